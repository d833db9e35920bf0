import AgentAPI
import Glibc
import Netlink
import PCI
import SRIOV
import Testing

extension LabSuite {
    @Suite(
        "What is written for machines, and what their VFs are set to", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct LibvirtMachineTests {
        init() throws { try Lab.reset() }

        @Test("Ports: 14 under SeaBIOS, with which it starts, 30 under OVMF, unless more or fewer are wished for")
        func ports() throws {
            let libvirt = try LibvirtFixture()
            try libvirt.define("bios")
            let added = try libvirt.sluice("vm", "ports", "bios")
            let bios = try libvirt.domain("bios")
            #expect(bios.hotplugPorts == 14 && bios.freeHotplugPorts > 8, "\(added) \(bios)")
            // Indexes are given, above all that libvirt has chosen: it fills those itself.
            let document = try libvirt.virsh("dumpxml", "bios", "--inactive")
            #expect(document.matches(of: /<controller type='pci' index='\d+' model='pcie-root-port'/).count == 14)
            try libvirt.virsh("start", "bios")
            #expect(try libvirt.sluice("vm", "ports", "bios", "--reserve", "20").contains("from its next start"))
            #expect(try libvirt.domain("bios").freeHotplugPorts == bios.freeHotplugPorts)
            try libvirt.define(
                "uefi",
                firmware: """
                    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
                    <nvram>/var/lib/libvirt/qemu/nvram/uefi.fd</nvram>
                    """)
            try libvirt.sluice("vm", "ports", "uefi")
            #expect(try libvirt.domain("uefi").hotplugPorts == 30)
        }

        @Test("A setting that the VF's driver refuses keeps a machine from starting, says which, and leaves nothing")
        func unsettable() throws {
            let libvirt = try LibvirtFixture()
            let clean = try LibvirtFixture.vfsWithoutAddresses()
            try libvirt.sluice("network", "sync")
            // igb takes none of them (lab of a real kernel): link state, another protocol, a minimal rate.
            for (name, option, word) in [
                ("link", ["--link-state", "enable"], "linkState"),
                ("tag", ["--vlan", "7", "--vlan-protocol", "802.1ad"], "vlan"),
                ("rate", ["--min-tx-rate", "100", "--max-tx-rate", "200"], "xRate"),
            ] {
                try libvirt.define(name)
                try Lab.run(["sluice", "vm", "attach", name, "--pool", "tenant"] + option)
                let refused = try libvirt.tryVirsh("start", name)
                #expect(refused.status != 0 && refused.error.contains(word), "\(name): \(refused)")
                #expect(refused.error.contains("ens10 vf"), "\(name): \(refused)")
                try Lab.wait(for: "all VFs to be free again") { try libvirt.free() == 4 }
                #expect(try LibvirtFixture.vfsWithoutAddresses() == clean, "\(name)")
            }
            // What is no setting is refused at once.
            let wrong = try Lab.sluice("vm", "attach", "link", "--pool", "tenant", "--link-state", "up")
            #expect(wrong.status != 0 && wrong.error.contains("auto, enable or disable"), "\(wrong)")
        }

        @Test("A machine with a standby can migrate; one with a VF alone cannot, and it is said what blocks")
        func migration() throws {
            let libvirt = try LibvirtFixture()
            try libvirt.sluice("network", "sync")
            // What libvirt itself needs for a virtio interface.
            try Lab.run(["modprobe", "-a", "tun", "bridge", "vhost_net"])
            let file = try Lab.file("plain-network.xml", "<network><name>plain</name><bridge name='virbr9'/></network>")
            try libvirt.virsh("net-define", file)
            try libvirt.virsh("net-start", "plain")
            try libvirt.define("alone")
            try libvirt.define("pair")
            try libvirt.sluice("vm", "attach", "alone", "--pool", "tenant")
            try libvirt.sluice("vm", "attach", "pair", "--pool", "tenant", "--failover", "plain")
            try libvirt.virsh("start", "alone")
            try libvirt.virsh("start", "pair")
            let blocked = try Lab.sluice("vm", "check-migration", "alone")
            #expect(blocked.status == 3 && blocked.output.contains("--failover"), "\(blocked)")
            let free = try Lab.sluice("vm", "check-migration", "pair")
            #expect(free.status == 0, "\(free)")
            let document = try libvirt.virsh("dumpxml", "pair")
            #expect(document.contains("<teaming type='transient' persistent='ua-sluice-standby-"), "\(document)")
            // One that runs gets both at once.
            try libvirt.define("late")
            try libvirt.sluice("vm", "ports", "late", "--reserve", "3")
            try libvirt.virsh("start", "late")
            try libvirt.sluice("vm", "attach", "late", "--pool", "tenant", "--failover", "plain", "--live")
            let live = try libvirt.virsh("dumpxml", "late")
            #expect(
                live.contains("<teaming type='persistent'/>") && live.contains("<teaming type='transient'"), "\(live)")
            let pair = try libvirt.domain("late").interfaces
            #expect(pair.count == 1 && pair.first?.lease != nil, "\(pair)")
            #expect(try Lab.sluice("vm", "check-migration", "late").status == 0)
        }

        @Test("What a domain has that we know nothing of survives when ports are added")
        func unknownElements() throws {
            let libvirt = try LibvirtFixture()
            try libvirt.define(
                "rich",
                """
                <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
                <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
                <graphics type='vnc' passwd='secret' autoport='yes'/>
                """,
                extra: """
                    <metadata><app:x xmlns:app='urn:app' k='1'>text</app:x></metadata>
                    <cputune><shares>512</shares></cputune>
                    """)
            func lines() throws -> [String] {
                try libvirt.virsh("dumpxml", "rich", "--inactive", "--security-info").split(separator: "\n")
                    .map(String.init)
            }
            let before = try lines()
            try libvirt.sluice("vm", "ports", "rich", "--reserve", "6")
            let after = try lines()
            let lost = before.filter { !after.contains($0) }
            #expect(lost.isEmpty && after.count > before.count, "\(lost)")
            #expect(after.contains { $0.contains("secret") })
        }
    }
}
