import Diagnosis
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

@Suite("Faults of a host")
struct DiagnosisTests {
    private func host(_ change: (inout Host) -> Void = { _ in }) throws -> Host {
        let kernel = FakeKernel.lab()
        let port = try #require(try HostReader(kernel: kernel).read().physicalFunctions.first)
        let writer = kernel.writer
        let folder = "/sys/bus/pci/devices/\(port.pci.address)"
        let errors = writer.write(
            [.init(path: "\(folder)/sriov_numvfs", value: "2", operation: "make VFs")], deadline: .seconds(1))
        #expect(errors == [nil])
        var host = try HostReader(kernel: kernel).read()
        change(&host)
        return host
    }

    @Test("A healthy host has none")
    func healthy() throws {
        let healthy = try host { host in
            for index in host.functions.indices { host.functions[index].link?.flags.insert(.up) }
        }
        #expect(Diagnosis.faults(of: healthy, HostFacts()).isEmpty, "\(Diagnosis.faults(of: healthy, HostFacts()))")
    }

    @Test("Each fault is found, the worst first, with its device, evidence and a remedy")
    func faults() throws {
        let sick = try host { host in
            host.hasIOMMU = false
            let vfs = host.functions.indices.filter { host.functions[$0].pci.physicalFunction != nil }
            host.functions[vfs[0]].holders = [
                Holder(.lease(id: "7Q4M2K", consumer: "person:a", state: "quarantined: no reset"), through: "vf")
            ]
            host.functions[vfs[1]].holders = [
                Holder(.lease(id: "8AAAAA", consumer: "person:b", state: "lost"), through: "vf"),
                Holder(.lease(id: "9AAAAA", consumer: "person:c", state: nil), through: "vf"),
            ]
        }
        let faults = Diagnosis.faults(of: sick, HostFacts())
        #expect(faults.map(\.id) == ["host.noIOMMU", "pf.down", "vf.quarantined", "lease.lost"])
        #expect(faults[2].evidence == ["lease 7Q4M2K of person:a is quarantined: no reset"])
        #expect(faults[2].remedies.contains { $0.contains("sluice lease repair 7Q4M2K") })
        #expect(faults.allSatisfy { !$0.remedies.isEmpty && !$0.evidence.isEmpty })
    }

    @Test("Whatever is found or recognised can be explained, and says how it is found")
    func explanations() {
        let kinds = FaultKind.all
        #expect(Set(kinds.map { $0.id.lowercased() }).count == kinds.count)
        for kind in kinds {
            #expect(!kind.title.isEmpty && !kind.cause.isEmpty && !kind.remedies.isEmpty, "\(kind.id)")
            #expect(kind.detection != nil || !kind.messages.isEmpty, "\(kind.id) is neither found nor recognised")
        }
        #expect(FaultKind.named("HOST.noiommu")?.id == "host.noIOMMU")
        #expect(FaultKind.named("host.none") == nil)
    }

    private func facts(_ change: (inout HostFacts) -> Void) -> HostFacts {
        var facts = HostFacts()
        change(&facts)
        return facts
    }

    // MARK: One fault each, with the evidence and without it

    private func ids(_ host: Host, _ facts: HostFacts) -> [String] {
        Diagnosis.faults(of: host, facts).map(\.id).filter { $0 != "pf.down" }
    }

    @Test("Without an IOMMU it is said whether the firmware or the kernel lacks it")
    func noIOMMU() throws {
        let host = try host { $0.hasIOMMU = false }
        func fault(_ facts: HostFacts) throws -> Fault {
            try #require(Diagnosis.faults(of: host, facts).first { $0.id == "host.noIOMMU" })
        }
        let off = try fault(facts { ($0.commandLine, $0.iommuTables) = (["ro", "intel_iommu=off"], ["DMAR"]) })
        #expect(off.remedies == ["take intel_iommu=off off the kernel's command line"])
        #expect(off.evidence.contains("the firmware has it: /sys/firmware/acpi/tables/DMAR"))
        let firmware = try fault(facts { ($0.commandLine, $0.iommuTables) = (["ro"], []) })
        #expect(firmware.remedies.first?.contains("firmware") ?? false)
        #expect(firmware.evidence.contains { $0.contains("no DMAR, IVRS or IORT") })
        let unknown = try fault(HostFacts())
        #expect(unknown.remedies.count == 2 && unknown.evidence == ["/sys/kernel/iommu_groups is empty"])
    }

    @Test("Guests that may send any interrupt are told of, on a host that has something to give them")
    func unsafeInterrupts() throws {
        #expect(ids(try host(), facts { $0.allowsUnsafeInterrupts = true }) == ["host.unsafeInterrupts"])
        #expect(
            ids(Host(nodes: [], hasIOMMU: true, functions: [], links: []), facts { $0.allowsUnsafeInterrupts = true })
                .isEmpty)
    }

    @Test("A function that is bound to VFIO beside one of the host, in one group, cannot be passed through")
    func groups() throws {
        let sick = try host { host in
            let vfs = host.functions.indices.filter { host.functions[$0].pci.physicalFunction != nil }
            host.functions[vfs[0]].pci.driver = "vfio-pci"
            host.functions[vfs[1]].pci.driver = "igbvf"
            for index in vfs { host.functions[index].pci.iommuGroup = 7 }
        }
        let fault = try #require(Diagnosis.faults(of: sick, HostFacts()).first { $0.id == "iommu.groupNotViable" })
        #expect(fault.evidence.count == 1 && fault.evidence[0].contains("igbvf"))
        var mended = sick
        for index in mended.functions.indices where mended.functions[index].pci.driver == "igbvf" {
            mended.functions[index].pci.driver = nil
        }
        #expect(ids(mended, HostFacts()).isEmpty)
    }

    @Test(
        "Memory that the firmware keeps of a device is an obstacle, unless it is relaxable or nobody passes it through")
    func reservedRegions() throws {
        func group(_ kind: String) throws -> HostFacts {
            let text = """
                P: /kernel/iommu_groups/7
                A: type=DMA\\n
                A: reserved_regions=0x00000000bdf6f000 0x00000000bdf7efff \(kind)\\n

                """
            return HostFacts(reading: try RecordedTree(Array(text.utf8)))
        }
        func host(_ driver: String) throws -> Host {
            try self.host { host in
                let vf = host.functions.firstIndex { $0.pci.physicalFunction != nil }
                if let vf { (host.functions[vf].pci.driver, host.functions[vf].pci.iommuGroup) = (driver, 7) }
            }
        }
        let fault = try #require(
            try Diagnosis.faults(of: host("vfio-pci"), group("direct")).first { $0.id == "iommu.reservedRegion" })
        #expect(fault.evidence == ["/sys/kernel/iommu_groups/7/reserved_regions: 0xbdf6f000–0xbdf7efff direct"])
        #expect(try ids(host("vfio-pci"), group("direct-relaxable")).isEmpty)
        #expect(try ids(host("igbvf"), group("direct")).isEmpty)
    }

    @Test("A drive of the host whose model is among those for vfio-pci is told of before it is lost at a boot")
    func storage() throws {
        func sick(_ holders: [Holder]) throws -> Host {
            try host { host in
                // A function of the port's, as if it were an NVMe drive.
                guard let drive = host.functions.firstIndex(where: { $0.pci.physicalFunction != nil }) else { return }
                host.functions[drive].pci.classCode = PCIClass(rawValue: 0x010802)
                host.functions[drive].holders = holders
            }
        }
        let used = try sick([Holder(.mount("/"), through: "nvme0n1p2")])
        let model = try #require(used.functions.first { $0.pci.classCode.isStorage }).pci.model
        let ids = facts { $0.commandLine = ["quiet", "vfio-pci.ids=8086:10ed,\(model)"] }
        #expect(self.ids(used, ids) == ["storage.takenAtBoot"])
        #expect(self.ids(used, facts { $0.commandLine = ["vfio-pci.ids=8086:10ed"] }).isEmpty)
        #expect(self.ids(try sick([]), ids).isEmpty)
    }

    @Test("A bridge that joins machines and a card must not filter; one without a card, or without machines, may")
    func bridges() throws {
        func host(_ names: [(name: String, kind: String?)]) throws -> Host {
            try self.host { host in
                var bridge = host.links[0]
                (bridge.index, bridge.name, bridge.kind, bridge.device) = (900, "br0", "bridge", nil)
                for (offset, port) in names.enumerated() {
                    var link = host.links[0]
                    (link.index, link.name, link.kind, link.master) = (Int32(901 + offset), port.name, port.kind, 900)
                    if port.kind != nil { link.device = nil }
                    host.links.append(link)
                }
                host.links.append(bridge)
            }
        }
        let filters = facts { $0.bridgeFilters = ["bridge-nf-call-iptables"] }
        let both = try host([("eno1", nil), ("vnet0", "tun")])
        let fault = try #require(Diagnosis.faults(of: both, filters).first { $0.id == "bridge.filtered" })
        #expect(fault.remedies.first == "sysctl -w net.bridge.bridge-nf-call-iptables=0")
        #expect(ids(both, HostFacts()).isEmpty)
        #expect(try ids(host([("vnet0", "tun")]), filters).isEmpty)
        #expect(try ids(host([("eno1", nil), ("veth0", "veth")]), filters).isEmpty)
    }

    @Test("The facts are read of a recorded host too")
    func recorded() throws {
        let text = """
            P: /proc
            A: cmdline=BOOT_IMAGE=/vmlinuz ro intel_iommu=on\\n

            P: /firmware/acpi/tables
            A: APIC=\\n
            A: DMAR=\\n

            P: /module/vfio_iommu_type1/parameters
            A: allow_unsafe_interrupts=Y\\n

            P: /kernel/iommu_groups/7
            A: type=DMA\\n
            A: reserved_regions=0x00000000bdf6f000 0x00000000bdf7efff direct\\n

            """
        let facts = HostFacts(reading: try RecordedTree(Array(text.utf8)))
        #expect(facts.commandLine == ["BOOT_IMAGE=/vmlinuz", "ro", "intel_iommu=on"])
        #expect(facts.iommuTables == ["DMAR"] && facts.allowsUnsafeInterrupts)
        #expect(facts.groups.first?.reservedRegions.first?.kind == "direct")
    }
}
