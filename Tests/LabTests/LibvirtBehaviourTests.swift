import AgentAPI
import Glibc
import Netlink
import PCI
import SRIOV
import Testing

extension LabSuite {
    /// What libvirt does with VFs, one behaviour each, and what Sluice makes of it.
    @Suite(
        "What libvirt does with VFs", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct LibvirtBehaviourTests {
        init() throws { try Lab.reset() }

        private func source(_ name: String) throws -> String {
            let slot = try #require(try Lab.host().functions.first { $0.name == name }).pci.address
            return """
                <source><address type='pci' domain='0x0000' bus='0x\(String(slot.bus, radix: 16))' \
                slot='0x\(String(slot.device, radix: 16))' function='0x\(slot.function)'/></source>
                """
        }

        /// What is refused, and that `sluice doctor` knows the sentence.
        private func expect(
            _ result: Command.Result, says text: String, fault: String, location: SourceLocation = #_sourceLocation
        ) throws {
            #expect(result.status != 0 && result.error.contains(text), "\(result)", sourceLocation: location)
            let explained = try Lab.sluice("doctor", "--message", result.error)
            #expect(explained.output.contains("[\(fault)]"), "\(explained)", sourceLocation: location)
        }

        @Test("Without Sluice: what libvirt refuses, it refuses with sentences that the doctor knows")
        func refusals() throws {
            let libvirt = try LibvirtFixture(hooks: false)
            try libvirt.sluice("network", "sync")
            let first = try source("ens10 vf 0")
            func interface(_ source: String, _ rest: String = "", managed: String = "yes") -> String {
                "<interface type='hostdev' managed='\(managed)'>\(rest)\(source)</interface>"
            }
            func start(_ name: String, _ devices: String, extra: String = "") throws -> Command.Result {
                try libvirt.define(name, devices, extra: extra)
                return try libvirt.tryVirsh("start", name)
            }
            // One VF for two machines.
            try libvirt.define("holder", interface(first))
            try libvirt.virsh("start", "holder")
            try expect(
                try start("second", interface(first)), says: "is in use by driver QEMU, domain holder", fault: "vf.held"
            )
            // One VF twice for one machine.
            let again = try Lab.file("again.xml", interface(first))
            try expect(
                try libvirt.tryVirsh("attach-device", "holder", again, "--live"),
                says: "is in use by driver QEMU, domain holder", fault: "vf.held")
            // A port is no VF.
            try expect(
                try start("port", interface(try source("ens11"))), says: "supported on SR-IOV Virtual Functions only",
                fault: "vf.notVirtual")
            // Several VLANs.
            let trunk = "<vlan trunk='yes'><tag id='5'/><tag id='6'/></vlan>"
            try expect(
                try start("trunk", interface(try source("ens10 vf 1"), trunk)), says: "vlan trunking is not supported",
                fault: "vf.vlanTrunk")
            // Port profiles are for other cards, and libvirt has one kind of them for VFs.
            func profile(_ type: String, _ parameters: String) -> String {
                "<virtualport type='\(type)'><parameters \(parameters)/></virtualport>"
            }
            let second = try source("ens10 vf 1")
            try expect(
                try start("cisco", interface(second, profile("802.1Qbh", "profileid='finance'"))),
                says: "sending of PortProfileRequest failed", fault: "vf.portProfile")
            try expect(
                try start(
                    "vepa",
                    interface(second, profile("802.1Qbg", "managerid='1' typeid='2' typeidversion='3'"))),
                says: "802.1Qbg is currently not supported on interfaces of type hostdev", fault: "vf.portProfile")
            // One alias for two devices.
            let alias = "<alias name='ua-uplink'/>"
            try libvirt.define("named", interface(first, alias))
            let twin = try Lab.file("twin.xml", interface(second, alias))
            try expect(
                try libvirt.tryVirsh("attach-device", "named", twin, "--config"),
                says: "non unique alias detected: ua-uplink", fault: "domain.alias")
            // A network that does not run.
            try libvirt.define(
                "early", "<interface type='network'><source network='late'/><model type='virtio'/></interface>")
            let network = try Lab.file(
                "late.xml",
                "<network><name>late</name><forward mode='hostdev' managed='yes'><pf dev='ens11'/></forward></network>")
            try libvirt.virsh("net-define", network)
            try expect(try libvirt.tryVirsh("start", "early"), says: "is not active", fault: "network.inactive")
            // A network of a port without VFs.
            try expect(try libvirt.tryVirsh("net-start", "late"), says: "No usable Vf's present", fault: "pf.noVFs")
            // A VFIO driver that there is not.
            try expect(
                try start(
                    "variant",
                    interface(try source("ens10 vf 1"), "<driver name='vfio' model='vfio-pci-none'/>")),
                says: "Failed to load PCI driver module", fault: "vf.driver")
            // A guest that may not have its memory: the kernel ends QEMU, and libvirt can only say that it has gone.
            let poor = try start(
                "poor", interface(try source("ens10 vf 1")),
                extra: "<memtune><hard_limit unit='MiB'>60</hard_limit></memtune>")
            #expect(poor.status != 0 && poor.error.contains("monitor"), "\(poor)")
            // A guest with an IOMMU of its own.
            try expect(
                try start(
                    "viommu",
                    interface(try source("ens10 vf 1")) + "<iommu model='intel'><driver intremap='on'/></iommu>",
                    extra: "<ioapic driver='qemu'/>"),
                says: "caching-mode", fault: "domain.cachingMode")
            // None of it has cost a VF.
            try libvirt.virsh("destroy", "holder")
            try Lab.wait(for: "all VFs to be free") { try libvirt.free() == 4 }
        }

        @Test("An unmanaged VF is refused while the host's driver has it, and starts when the host file says vfio-pci")
        func unmanaged() throws {
            for isDeclared in [false, true] {
                try Lab.reset()
                let file = LibvirtFixture.hostFile(virtualFunctions: 1)
                let libvirt = try LibvirtFixture(
                    isDeclared ? file : file.replacing(", driver: vfio-pci", with: ""), hooks: false)
                try libvirt.define(
                    "manual", "<interface type='hostdev' managed='no'>\(try source("ens10 vf 0"))</interface>")
                if isDeclared {
                    try libvirt.virsh("start", "manual")
                } else {
                    try expect(
                        try libvirt.tryVirsh("start", "manual"), says: "must be manually detached", fault: "vf.driver")
                }
            }
        }

        @Test("A VF whose driver cannot be changed: what libvirt says of it is known")
        func override() throws {
            let file = LibvirtFixture.hostFile(virtualFunctions: 1).replacing(", driver: vfio-pci", with: "")
            let libvirt = try LibvirtFixture(file, hooks: false)
            try libvirt.define(
                "guest", "<interface type='hostdev' managed='yes'>\(try source("ens10 vf 0"))</interface>")
            let address = try #require(try Lab.host().functions.first { $0.name == "ens10 vf 0" }).pci.address
            let path = "\(PCIReader.path(address))/driver_override"
            // As if the kernel refused the write.
            try Lab.run(["mount", "--bind", "/dev/full", path])
            defer { _ = try? Lab.run(["umount", path]) }
            try expect(
                try libvirt.tryVirsh("start", "guest"), says: "to driver_override interface of PCI device",
                fault: "vf.driver")
        }

        @Test("A network that somebody has stopped is started again; who may not lock its memory is refused before")
        func network() throws {
            let libvirt = try LibvirtFixture()
            try libvirt.sluice("network", "sync")
            try libvirt.virsh("net-destroy", "tenant")
            try Lab.wait(for: "the network to be active") { try libvirt.virsh("net-list", "--name").contains("tenant") }
            try libvirt.define("guest", extra: "<memtune><hard_limit unit='MiB'>32</hard_limit></memtune>")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant")
            let refused = try libvirt.tryVirsh("start", "guest")
            #expect(refused.status != 0 && refused.error.contains("domain.memoryLocked"), "\(refused)")
            #expect(try libvirt.free() == 4)
        }

        @Test(
            "A machine gets all VFs of a port, libvirt counts as many as Sluice, and the MAC addresses are those asked for"
        )
        func all() throws {
            let libvirt = try LibvirtFixture(LibvirtFixture.hostFile(virtualFunctions: 7))
            try libvirt.sluice("network", "sync")
            try libvirt.define("guest")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant", "--count", "7")
            try libvirt.virsh("start", "guest")
            #expect(try libvirt.free() == 0)
            #expect(try libvirt.virsh("net-dumpxml", "tenant").contains("connections='7'"))
            let given = Set(try libvirt.domain("guest").interfaces.compactMap { $0.mac?.lowercased() })
            let set = try Lab.host().functions.filter { $0.name.hasPrefix("ens10 vf") }
                .compactMap { $0.settings?.mac?.description }
            #expect(given.count == 7 && Set(set) == given)
        }
    }
}
