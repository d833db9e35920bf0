import AgentAPI
import Glibc
import Leasing
import Netlink
import PCI
import SRIOV
import Testing

extension LabSuite {
    @Suite(
        "Virtual machines of a real libvirtd", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct LibvirtTests {
        init() throws { try Lab.reset() }

        private func vfs() throws -> [VirtualFunctionSettings] { try LibvirtFixture.vfs() }

        @Test("What a tenant sets does not reach the next: trust, spoof check, VLAN, rate, read from the kernel")
        func tenants() throws {
            let libvirt = try LibvirtFixture()
            let clean = try LibvirtFixture.vfsWithoutAddresses()
            try libvirt.sluice("network", "sync")
            try libvirt.define("first")
            try libvirt.define("second")
            try libvirt.sluice(
                "vm", "attach", "first", "--pool", "tenant", "--vlan", "100", "--trust", "--no-spoof-check",
                "--max-tx-rate", "100")
            try libvirt.virsh("start", "first")
            let set = try #require(try vfs().first)
            #expect(set.trust == true && set.spoofCheck == false && set.maxTxRateMbps == 100, "\(set)")
            #expect(set.vlans == [VLAN(id: 100)], "\(set)")
            let lease = try #require(try libvirt.domain("first").interfaces.first?.lease)
            // Recorded by the hook, before the machine ran: what was found in use would be the agent's.
            let history = try libvirt.sluice("lease", "history", "ens10 vf 0")
            #expect(
                history.split(separator: "\n").contains {
                    $0.contains(lease) && $0.contains("reserved") && $0.contains("libvirt")
                },
                "\(history)")
            try libvirt.virsh("destroy", "first")
            #expect(try LibvirtFixture.vfsWithoutAddresses() == clean)
            try libvirt.sluice("vm", "attach", "second", "--pool", "tenant")
            try libvirt.virsh("start", "second")
            let next = try #require(try vfs().first)
            #expect(next.trust != true && next.spoofCheck != false && next.maxTxRateMbps ?? 0 == 0, "\(next)")
            // What libvirt cannot set is set all the same.
            #expect(next.vlans == [VLAN(id: 42, qos: 3)], "\(next)")
            try libvirt.virsh("destroy", "second")
            #expect(try libvirt.free() == 4)
            #expect(try LibvirtFixture.vfsWithoutAddresses() == clean)
        }

        @Test("A machine that would get more VFs than are free is refused before it starts, with who has them")
        func exhausted() throws {
            // The seed's port: 7 VFs, and two machines that want 4 each.
            let libvirt = try LibvirtFixture(LibvirtFixture.hostFile(virtualFunctions: 7))
            try libvirt.sluice("network", "sync")
            try libvirt.define("one")
            try libvirt.define("two")
            try libvirt.sluice("vm", "attach", "one", "--pool", "tenant", "--count", "4")
            try libvirt.sluice("vm", "attach", "two", "--pool", "tenant", "--count", "4")
            try libvirt.virsh("start", "one")
            let refused = try libvirt.tryVirsh("start", "two")
            #expect(refused.status != 0 && refused.error.contains("pool.exhausted"), "\(refused)")
            #expect(refused.error.contains("3 free functions that would do, 4 were asked for"), "\(refused)")
            #expect(refused.error.contains("ens10 vf 0  lease"), "\(refused)")
            #expect(try libvirt.free() == 3)
            let mac = try #require(try libvirt.domain("two").interfaces.first?.mac)
            try libvirt.sluice("vm", "detach", "two", mac)
            try libvirt.virsh("start", "two")
            #expect(try libvirt.free() == 0)
            try libvirt.virsh("destroy", "one")
            try libvirt.virsh("destroy", "two")
            #expect(try libvirt.free() == 7)
        }

        @Test("Without Sluice libvirt says only that none are available")
        func exhaustedWithoutSluice() throws {
            let libvirt = try LibvirtFixture(LibvirtFixture.hostFile(virtualFunctions: 1), hooks: false)
            try libvirt.sluice("network", "sync")
            let interface = "<interface type='network'><source network='tenant'/><model type='virtio'/></interface>"
            try libvirt.define("greedy", interface + interface)
            let result = try libvirt.tryVirsh("start", "greedy")
            #expect(
                result.error.contains("requires exclusive access to interfaces, but none are available"), "\(result)")
            let explained = try Lab.sluice("doctor", "--message", result.error)
            #expect(explained.output.contains("[pool.exhausted]"), "\(explained)")
        }

        @Test("What somebody has otherwise libvirt does not hand out, and whoever asks for it by address is refused")
        func shared() throws {
            let libvirt = try LibvirtFixture()
            try libvirt.sluice("network", "sync")
            let lease = try #require(try libvirt.agent.acquire().leases.first)
            #expect(lease.name == "ens10 vf 0")
            try Lab.wait(for: "libvirt to be told") {
                try libvirt.virsh("net-port-list", "tenant").split(separator: "\n").contains { $0.contains("-") }
            }
            try libvirt.define("guest")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant")
            try libvirt.virsh("start", "guest")
            #expect(try libvirt.domain("guest").interfaces.map(\.name) == ["ens10 vf 1"])
            let slot = try #require(PCIAddress(lease.address))
            try libvirt.define(
                "thief",
                """
                <interface type='hostdev' managed='yes'><source><address type='pci' domain='0x0000' \
                bus='0x\(String(slot.bus, radix: 16))' slot='0x\(String(slot.device, radix: 16))' function='0x0'/></source></interface>
                """)
            let refused = try libvirt.tryVirsh("start", "thief")
            #expect(refused.status != 0 && refused.error.contains("lease \(lease.id) of person:test"), "\(refused)")
            #expect(try libvirt.agent.release(lease.id).state == "free")
            // Who has opened it without a lease keeps it too.
            let device = try VFIODevice(slot)
            let open = try libvirt.tryVirsh("start", "thief")
            #expect(open.status != 0 && open.error.contains("pid \(getpid())"), "\(open)")
            device.close()
            try Lab.wait(for: "the VF to be free") { try libvirt.free() == 3 }
            try libvirt.virsh("start", "thief")
            #expect(try libvirt.domain("thief").interfaces.first?.name == "ens10 vf 0")
        }

        @Test("A running machine gets VFs, all or none, and is refused before anything changes when it has no ports")
        func live() throws {
            let libvirt = try LibvirtFixture()
            try libvirt.sluice("network", "sync")
            try libvirt.define("guest")
            try libvirt.sluice("vm", "ports", "guest", "--reserve", "3")
            try libvirt.virsh("start", "guest")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant", "--count", "2")
            let document = try libvirt.virsh("dumpxml", "guest", "--inactive")
            // Without a model libvirt would make it an rtl8139 on a bus where it cannot be when the machine runs.
            #expect(document.contains("<model type='virtio'/>") && !document.contains("rtl8139"))
            let view = try libvirt.domain("guest")
            #expect(
                view.interfaces.count == 2 && view.interfaces.allSatisfy { $0.in == ["live", "config"] }, "\(view)")
            #expect(view.freeHotplugPorts == 1)
            let refused = try Lab.sluice("vm", "attach", "guest", "--pool", "tenant", "--count", "2", "--live")
            #expect(refused.status == 3 && refused.error.contains("[domain.noPorts]"), "\(refused)")
            #expect(try libvirt.domain("guest") == view)
            #expect(try libvirt.free() == 2)
            // What virsh plugs in is leased by the hook, and set as the pool says: libvirt sets no priority.
            try libvirt.virsh("attach-interface", "guest", "network", "tenant", "--model", "virtio", "--live")
            #expect(try libvirt.free() == 1)
            try Lab.wait(for: "the VLAN of all three") {
                try vfs().count { $0.vlans == [VLAN(id: 42, qos: 3)] } == 3
            }
            #expect(try libvirt.domain("guest").interfaces.filter { $0.in.contains("live") }.count == 3)
            // What libvirt refuses all the same is explained, and costs nothing: the node of the next VF is hidden.
            try libvirt.sluice("vm", "ports", "guest", "--reserve", "6")
            try libvirt.virsh("destroy", "guest")
            try libvirt.virsh("start", "guest")
            let left = try libvirt.free()
            let next = try #require(
                try Lab.host().functions.first { $0.name.hasPrefix("ens10 vf") && $0.holders.isEmpty }?.pci.iommuGroup)
            try Lab.run(["mv", "/dev/vfio/\(next)", "/dev/vfio/hidden"])
            defer { _ = try? Lab.run(["mv", "/dev/vfio/hidden", "/dev/vfio/\(next)"]) }
            let failed = try Lab.sluice("vm", "attach", "guest", "--pool", "tenant", "--live")
            #expect(failed.status != 0 && failed.error.contains("[vf.driver]"), "\(failed)")
            try Lab.wait(for: "the VF to be free again") { try libvirt.free() == left }
            // A machine in its firmware lets nothing go.
            let address = try #require(view.interfaces.first?.address)
            let kept = try Lab.sluice("vm", "detach", "guest", address, "--live", "--wait", "2")
            #expect(kept.status == 3 && kept.error.contains("[domain.keepsDevice]"), "\(kept)")
            try libvirt.virsh("destroy", "guest")
            #expect(try libvirt.free() == 4)
        }

        @Test("Without Sluice a machine without free ports ends a live attach with No more available PCI slots")
        func portsWithoutSluice() throws {
            let libvirt = try LibvirtFixture(hooks: false)
            try libvirt.sluice("network", "sync")
            try libvirt.define("guest")
            try libvirt.virsh("start", "guest")
            let file = try Lab.file(
                "interface.xml",
                "<interface type='network'><source network='tenant'/><model type='virtio'/></interface>")
            var last = try libvirt.tryVirsh("attach-device", "guest", file, "--live")
            for _ in 0..<3 where last.status == 0 {
                last = try libvirt.tryVirsh("attach-device", "guest", file, "--live")
            }
            #expect(last.error.contains("No more available PCI slots"), "\(last)")
            // The surprise: without a model, an interface of a network that libvirt cannot look at becomes an rtl8139 on the
            // conventional bus (older versions do so with every network).
            let plain = try Lab.file("plain.xml", "<interface type='network'><source network='later'/></interface>")
            try libvirt.virsh("attach-device", "guest", plain, "--config")
            let document = try libvirt.virsh("dumpxml", "guest", "--inactive")
            #expect(document.contains("rtl8139"), "\(document)")
        }

        @Test("A network made by hand for a port is taken over; the machine that runs on it keeps its VF")
        func adoption() throws {
            let libvirt = try LibvirtFixture(
                LibvirtFixture.hostFile().replacing(
                    "settings: { vlan: { id: 42, qos: 3 } }", with: "settings: { trust: off }"))
            let file = try Lab.file(
                "seed.xml",
                """
                <network><name>ens10-sr-iov</name><forward mode='hostdev' managed='yes'><driver name='vfio'/>
                <pf dev='ens10'/></forward><vlan><tag id='77'/></vlan></network>
                """)
            try libvirt.virsh("net-define", file)
            try libvirt.virsh("net-start", "ens10-sr-iov")
            try libvirt.define(
                "guest",
                "<interface type='network'><source network='ens10-sr-iov'/><model type='virtio'/></interface>")
            try libvirt.virsh("start", "guest")
            let before = try libvirt.virsh("net-port-list", "ens10-sr-iov")
            #expect(try libvirt.sluice("network", "sync").contains("adopt"))
            #expect(try libvirt.virsh("net-port-list", "ens10-sr-iov") == before)
            #expect(try libvirt.virsh("net-list", "--all", "--name").split(separator: "\n").count == 1)
            #expect(try libvirt.sluice("network", "sync").contains("keep"))
            // The tag is its maker's, and stays.
            #expect(try libvirt.virsh("net-dumpxml", "ens10-sr-iov").contains("<tag id='77'/>"))
            // The VF that the machine has is given to no other.
            try libvirt.define("other")
            try libvirt.sluice("vm", "attach", "other", "--pool", "tenant", "--count", "3")
            try libvirt.virsh("start", "other")
            #expect(try libvirt.free() == 0)
            #expect(Set(try libvirt.agent.leases().map(\.address)).count == 4)
            try libvirt.virsh("destroy", "guest")
            #expect(try libvirt.free() == 1)
        }

        @Test("VFs that are made anew are in the network at once, and a machine with one of another port keeps it")
        func refreshed() throws {
            func file(_ count: Int) -> String {
                """
                physicalFunctions:
                  - { match: { netdev: ens10 }, virtualFunctions: 1, driver: vfio-pci }
                  - { match: { netdev: ens11 }, virtualFunctions: \(count), driver: vfio-pci }
                pools:
                  tenant: { for: libvirt, functions: [{ physicalFunction: ens10 }, { physicalFunction: ens11 }] }
                """
            }
            let libvirt = try LibvirtFixture(file(1))
            try libvirt.sluice("network", "sync")
            try libvirt.define("guest")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant")
            try libvirt.virsh("start", "guest")
            let guest = try libvirt.domain("guest")
            #expect(guest.interfaces.map(\.name) == ["ens10 vf 0"])
            _ = try Lab.file(String(libvirt.agent.file.dropFirst(5)), file(2))
            libvirt.agent.command.kill(SIGHUP)
            try Lab.wait(for: "the network to have three VFs") {
                try libvirt.virsh("net-dumpxml", "tenant").split(separator: "\n")
                    .count { $0.contains("<address") } == 3
            }
            #expect(try libvirt.domain("guest") == guest)
            let ports = try libvirt.virsh("net-port-list", "tenant").split(separator: "\n")
            #expect(ports.count == 1, "\(ports)")
            #expect(try libvirt.free() == 2)
            try libvirt.virsh("destroy", "guest")
            #expect(try libvirt.free() == 3)
        }

        @Test("libvirtd and the agent may be killed in any order: no VF is lost, none given twice")
        func killed() throws {
            let libvirt = try LibvirtFixture()
            try libvirt.sluice("network", "sync")
            for name in ["a", "b", "c"] { try libvirt.define(name) }
            try libvirt.sluice("vm", "attach", "a", "--pool", "tenant")
            try libvirt.virsh("start", "a")
            // One by address, which the network knows nothing of.
            try libvirt.sluice("vm", "ports", "b", "--reserve", "2")
            try libvirt.virsh("start", "b")
            try libvirt.sluice("vm", "attach", "b", "--pool", "tenant", "--live")
            let before = Set(try libvirt.agent.leases().map(\.address))
            #expect(before.count == 2)
            try LibvirtFixture.killDaemon()
            try LibvirtFixture.startDaemon()
            try Lab.wait(for: "the agent's connection to libvirt") { try Lab.sluice("vm", "list").status == 0 }
            try libvirt.sluice("vm", "attach", "c", "--pool", "tenant")
            try libvirt.virsh("start", "c")
            #expect(Set(try libvirt.agent.leases().map(\.address)).count == 3)
            #expect(Set(try libvirt.agent.leases().map(\.address)).isSuperset(of: before))
            try libvirt.virsh("destroy", "c")
            // The agent away: the hook lets the machine start, and the agent takes it over when it returns.
            libvirt.agent.command.kill(SIGKILL)
            try libvirt.virsh("start", "c")
            try libvirt.virsh("destroy", "a")
            try libvirt.agent.restartAfterCrash()
            try Lab.wait(for: "the leases of b and c") { try libvirt.agent.leases().count == 2 }
            #expect(Set(try libvirt.agent.leases().map(\.address)).count == 2)
            #expect(try libvirt.domain("c").interfaces.first?.lease != nil)
            #expect(try vfs().filter { $0.vlans == [VLAN(id: 42, qos: 3)] }.count == 2)
            // QEMU itself: its VF comes back clean.
            _ = try Command(["pkill", "-9", "-f", "guest=c,"]).finish()
            try Lab.wait(for: "the VF of c") { try libvirt.free() == 3 }
            try libvirt.virsh("destroy", "b")
            #expect(try libvirt.free() == 4)
            try Lab.wait(for: "no record to be left") {
                try LiveFileTree().entries("/run/libvirt/hostdevmgr")?.isEmpty ?? true
            }
        }

        @Test("Without the agent a machine starts with a warning, or, when that is wished, not at all")
        func policy() throws {
            let libvirt = try LibvirtFixture()
            try libvirt.sluice("network", "sync")
            try libvirt.define("guest")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant")
            _ = try libvirt.agent.stop()
            try Lab.run(["mkdir", "-p", "/etc/sluice"])
            try Lab.run(["bash", "-c", "echo refuse >/etc/sluice/libvirt-hook"])
            let refused = try libvirt.tryVirsh("start", "guest")
            #expect(refused.status != 0 && refused.error.contains("agent.unreachable"), "\(refused)")
            try Lab.run(["rm", "/etc/sluice/libvirt-hook"])
            try libvirt.virsh("start", "guest")
            try libvirt.agent.start()
            try Lab.wait(for: "its lease") { try libvirt.agent.leases().count == 1 }
        }

        @Test("A port that is down: libvirt alone refuses its VFs; under the agent it is up again before that")
        func portDown() throws {
            let libvirt = try LibvirtFixture(hooks: false)
            try libvirt.sluice("network", "sync")
            try libvirt.define("guest")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant")
            _ = try libvirt.agent.stop()
            try Lab.run(["ip", "link", "set", "ens10", "down"])
            let refused = try libvirt.tryVirsh("start", "guest")
            #expect(refused.error.contains("because the PF is not online"), "\(refused)")
            #expect(try Lab.sluice("doctor").output.contains("[pf.down]"))
            #expect(try Lab.sluice("doctor", "--message", refused.error).output.contains("[pf.down]"))
            try libvirt.agent.start()
            try libvirt.virsh("start", "guest")
        }

        @Test(
            "A VF node that QEMU may not open: libvirt alone lets QEMU fail, with Sluice the start is refused and explained"
        )
        func nodeAccess() throws {
            try Lab.run(["bash", "-c", "echo 'dynamic_ownership = 0' >>/etc/libvirt/qemu.conf"])
            defer { _ = try? Lab.run(["sed", "-i", "/^dynamic_ownership = 0/d", "/etc/libvirt/qemu.conf"]) }
            do {
                let libvirt = try LibvirtFixture(hooks: false)
                try libvirt.sluice("network", "sync")
                try libvirt.define("guest")
                try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant")
                let failed = try libvirt.tryVirsh("start", "guest")
                #expect(failed.error.contains("Permission denied"), "\(failed)")
            }
            try Lab.reset()
            let libvirt = try LibvirtFixture()
            try libvirt.sluice("network", "sync")
            try libvirt.define("guest")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant")
            let refused = try libvirt.tryVirsh("start", "guest")
            #expect(
                refused.error.contains("access.vfioNode") && refused.error.contains("dynamic_ownership"), "\(refused)")
            #expect(try libvirt.free() == 4)
        }

        @Test("Starts and stops in a row leave nothing behind")
        func rounds() throws {
            let libvirt = try LibvirtFixture(LibvirtFixture.hostFile(virtualFunctions: 7))
            let clean = try LibvirtFixture.vfsWithoutAddresses()
            try libvirt.sluice("network", "sync")
            try libvirt.define("guest")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant")
            for _ in 0..<(Lab.isSoak ? 20 : 2) {
                try libvirt.virsh("start", "guest")
                #expect(try libvirt.free() == 6)
                try libvirt.virsh("destroy", "guest")
                #expect(try libvirt.free() == 7)
            }
            #expect(try LibvirtFixture.vfsWithoutAddresses() == clean)
            #expect(try libvirt.virsh("net-port-list", "tenant").split(separator: "\n").isEmpty)
        }
    }
}
