import BootFiles
import HostFile
import PCI
import SRIOV
import SluiceTesting
import Testing

@Suite("What boot files say")
struct RenderTests {
    static let hostFile = """
        physicalFunctions:
          - { match: { netdev: ens10, permanentMAC: "02:5c:00:00:00:00" }, virtualFunctions: 2, driver: vfio-pci,
              defaults: { vlan: { id: 42, qos: 3, protocol: 802.1ad }, trust: on, spoofCheck: off, maxTxRateMbps: 100 } }
          - { match: { permanentMAC: "02:5c:00:00:00:01" }, virtualFunctions: 1, driver: kernel }
        passthrough:
          - { match: { serial: PM9A1-0002 }, driver: vfio-pci }
          - { match: { address: "0000:65:00.0", vendor: 0x10de, device: 0x2204 }, driver: vfio-pci }
        pools:
          tenant: { for: libvirt, functions: [{ physicalFunction: ens10 }] }
        """

    static func set(
        _ system: HostSystem?, hostFile: String = hostFile, _ change: (inout BootRenderer.Options) -> Void = { _ in }
    ) throws -> BootSet {
        let declared = try HostFile.parse(hostFile, file: "host.yaml")
        var options = BootRenderer.Options()
        change(&options)
        let ports = BootPort.list(declared, on: nil, files: LiveFileTree(root: "/nowhere"))
        return BootRenderer(
            declared: declared, ports: ports, system: try #require(system), options: options
        ).render()
    }

    private func text(_ set: BootSet, _ path: String) throws -> String {
        let file = try #require(set.files.first { $0.path == path }, "\(set.files.map(\.path))")
        guard case .whole(let text) = file.content else {
            Issue.record("\(path) is \(file.content)")
            return ""
        }
        return text
    }

    @Test("Every system that is known gets files where its own programs look for them", arguments: HostSystem.names)
    func systems(name: String) throws {
        let set = try Self.set(HostSystem.named(name))
        let paths = set.files.map(\.path)
        switch name.prefix(while: { $0 != "-" }) {
        case "ubuntu":
            #expect(
                paths.contains("/etc/netplan/60-sluice.yaml") && paths.contains("/etc/default/grub.d/60-sluice.cfg"))
            #expect(paths.contains("/etc/apparmor.d/local/abstractions/libvirt-qemu"))
            #expect(set.commands.contains { $0.arguments == ["netplan", "generate"] })
        case "debian":
            #expect(
                paths.contains("/etc/network/interfaces.d/sluice")
                    && paths.contains("/etc/initramfs-tools/hooks/sluice"))
            #expect(set.commands.contains { $0.arguments == ["update-initramfs", "-u", "-k", "all"] })
        default:
            #expect(paths.contains("/etc/NetworkManager/system-connections/sluice-ens10.nmconnection"))
            #expect(paths.contains("/etc/dracut.conf.d/50-sluice.conf"))
            let grubby = try #require(set.commands.first { $0.arguments.first == "grubby" })
            #expect(grubby.arguments.last == "--args=intel_iommu=on iommu=pt")
            #expect(grubby.undo?.last == "--remove-args=intel_iommu=on iommu=pt")
        }
        #expect(
            paths
                == Array(Set(paths)).sorted { first, second in
                    let topics = [first, second].compactMap { path in set.files.first { $0.path == path }?.topic }
                    return (topics[0], first) < (topics[1], second)
                })
        for file in set.files {
            if case .whole(let text) = file.content {
                #expect(text.contains("# Written by sluice boot install (\(file.topic.rawValue))"), "\(file.path)")
                #expect(text.hasSuffix("\n") && !text.contains("vfio-pci.ids"), "\(file.path)")
            }
        }
    }

    @Test("A script begins with its interpreter, the header comes after it")
    func scripts() throws {
        let set = try Self.set(HostSystem.named("debian")) { $0.startsAgent = false }
        let scripts = set.files.filter { $0.mode == 0o755 }
        #expect(scripts.count == 3)
        for file in scripts {
            guard case .whole(let text) = file.content else { continue }
            #expect(text.hasPrefix("#!/bin/sh\n# Written by sluice boot install"), "\(file.path)")
        }
    }

    @Test("Drives are told apart by serial number, other devices by place and model; never by the model alone")
    func devices() throws {
        let set = try Self.set(HostSystem.named("debian"))
        let rules = try text(set, "/etc/udev/rules.d/60-sluice-devices.rules")
        // The number is known a while after the controller has come.
        #expect(
            rules.contains(
                #"ACTION=="add", SUBSYSTEM=="nvme", SUBSYSTEMS=="pci", RUN+="/usr/local/libexec/sluice-take-device $id $kernel""#
            ))
        #expect(try text(set, "/usr/local/libexec/sluice-take-device").contains("'PM9A1-0002') driver=vfio-pci ;;"))
        #expect(
            rules.contains(
                #"ACTION=="add", SUBSYSTEM=="pci", KERNEL=="0000:65:00.0", ATTR{vendor}=="0x10de", ATTR{device}=="0x2204", RUN+="/usr/local/libexec/sluice-take-device $kernel vfio-pci""#
            ))
        let model = try Self.set(
            HostSystem.named("debian"),
            hostFile: "passthrough: [{ match: { vendor: 0x10de, device: 0x2204 }, driver: vfio-pci }]")
        #expect(!model.files.contains { $0.topic == .devices && $0.path.hasSuffix(".rules") })
        #expect(model.notes.contains { $0.text.contains("udev cannot tell it from others of its model") })
    }

    @Test(
        "Without the agent udev makes the VFs: their settings in words of ip, their drivers; and nothing when it is there"
    )
    func functions() throws {
        let with = try Self.set(HostSystem.named("debian"))
        #expect(!with.files.contains { $0.topic == .functions })
        #expect(with.files.count { $0.topic == .agent } == 2)
        var bare = try #require(HostSystem.named("debian"))
        bare.agentUnit = nil
        let without = try Self.set(bare)
        #expect(
            !without.files.contains { $0.topic == .agent }
                && without.notes.contains { $0.text.contains("sluiced.service") })
        let set = try Self.set(HostSystem.named("debian")) { $0.startsAgent = false }
        let script = try text(set, "/usr/local/libexec/sluice-make-functions")
        for line in [
            "pf0)", "create 2", "vf_is 0 vlan 42 qos 3 proto 802.1ad", "vf_is 1 max_tx_rate 100",
            "vf_is 0 spoofchk off", "vf_is 0 trust on", "bind 1 vfio-pci", "pf1)", "create 1", "release\n    bind 0\n",
        ] { #expect(script.contains(line), "\(line)") }
        let rules = try text(set, "/etc/udev/rules.d/82-sluice-functions.rules")
        #expect(
            rules.contains(
                #"ATTR{address}=="02:5c:00:00:00:00", RUN+="/usr/local/libexec/sluice-make-functions pf0 $id $name""#))
        #expect(try text(set, "/etc/systemd/system/libvirtd.service.d/50-sluice.conf").contains("systemd-udev-settle"))
    }

    @Test("What is a risk is done only when it is wished for; qemu.conf may make one of them necessary")
    func risks() throws {
        let usual = Set(try Self.set(HostSystem.named("debian")).files.map(\.topic))
        let risky: Set<BootTopic> = [.vfioGroup, .memlock, .unsafeInterrupts]
        #expect(usual.isDisjoint(with: risky))
        #expect(Set(BootTopic.allCases.filter { $0.caution != nil }) == risky)
        let all = Set(try Self.set(HostSystem.named("debian")) { $0.additional = risky }.files.map(\.topic))
        #expect(all.isSuperset(of: risky))
        var system = try #require(HostSystem.named("debian"))
        system.hasStaticOwnership = true
        #expect(try Self.set(system).files.contains { $0.topic == .vfioGroup })
    }

    @Test("Kubernetes needs bridged frames in the packet filter, so a host with such a pool keeps them there")
    func bridge() throws {
        #expect(try Self.set(HostSystem.named("debian")).files.count { $0.topic == .bridge } == 2)
        let set = try Self.set(
            HostSystem.named("debian"),
            hostFile: Self.hostFile
                + "\n  pods: { for: kubernetes, functions: [{ passthrough: { serial: PM9A1-0002 } }] }")
        #expect(!set.files.contains { $0.topic == .bridge } && set.notes.contains { $0.text.contains("Kubernetes") })
    }

    @Test("A port that somebody configures already, or that the host uses, is left alone and said so")
    func configured() throws {
        var system = try #require(HostSystem.named("ubuntu"))
        system.networkFiles = ["/etc/netplan/01.yaml": "network:\n  ethernets:\n    # ens10 is ours\n    ens10: {}\n"]
        let set = try Self.set(system)
        let plan = try text(set, "/etc/netplan/60-sluice.yaml")
        #expect(!plan.contains("0-sluice-ens10") && plan.contains("02:5c:00:00:00:01"))
        #expect(set.notes.contains { $0.text.contains("/etc/netplan/01.yaml:4") })
        system.networkFiles = ["/etc/netplan/01.yaml": "network:\n  ethernets:\n    ens100: {}\n    # ens10: {}\n"]
        #expect(try text(try Self.set(system), "/etc/netplan/60-sluice.yaml").contains("0-sluice-ens10:"))
    }

    @Test("The command line gets what it lacks; a processor that needs no word for its IOMMU gets none")
    func commandLine() throws {
        var system = try #require(HostSystem.named("debian"))
        system.iommu = .amd
        let path = "/etc/default/grub.d/60-sluice.cfg"
        #expect(try text(try Self.set(system), path).contains("\"$GRUB_CMDLINE_LINUX iommu=pt\""))
        system.kernelWords = ["quiet", "iommu=pt"]
        let set = try Self.set(system)
        #expect(
            !set.files.contains { $0.topic == .kernel } && !set.commands.contains { $0.arguments == ["update-grub"] })
        #expect(set.notes.contains { $0.text.contains("has iommu=pt already") })
    }

    @Test("Entries of systemd-boot are made of a file that is there: one with our words alone would not boot")
    func noCommandLine() throws {
        var system = try #require(HostSystem.named("debian"))
        system.bootLoader = .systemdBoot
        let set = try Self.set(system)
        #expect(!set.files.contains { $0.topic == .kernel } && !set.commands.contains { $0.arguments.first == "sh" })
        #expect(set.notes.contains { $0.text.contains("there is no /etc/kernel/cmdline") })
        system.hasCommandLineFile = true
        #expect(try Self.set(system).files.contains { $0.content == .words(["intel_iommu=on", "iommu=pt"]) })
    }

    @Test("Words that some kernels have already stay when ours are taken from all")
    func partialWords() throws {
        var system = try #require(HostSystem.named("rhel"))
        system.someKernelWords = ["iommu=pt"]
        let grubby = try #require(try Self.set(system).commands.first { $0.arguments.first == "grubby" })
        #expect(grubby.arguments.last == "--args=intel_iommu=on iommu=pt")
        #expect(grubby.undo?.last == "--remove-args=intel_iommu=on")
    }

    @Test("Names of the host file end no string and no line of what they are written into")
    func names() throws {
        let hostFile = """
            physicalFunctions:
              - { match: { netdev: "a\\",RUN+=\\"x" }, virtualFunctions: 1 }
              - { match: { label: "Slot 1" }, virtualFunctions: 2 }
              - { match: { label: "Slot 2" }, virtualFunctions: 3 }
            passthrough: [{ match: { serial: "a'b" }, driver: vfio-pci }]
            """.replacing("\\\\", with: "\\")
        for name in ["ubuntu", "rhel", "debian"] {
            let set = try Self.set(HostSystem.named(name), hostFile: hostFile) { $0.startsAgent = false }
            for file in set.files {
                guard case .whole(let text) = file.content else { continue }
                for line in text.split(separator: "\n") where !line.hasPrefix("#") && !line.contains("    # ") {
                    #expect(!line.contains("RUN+=\"x"), "\(file.path): \(line)")
                }
            }
            let script = try text(set, "/usr/local/libexec/sluice-make-functions")
            #expect(script.contains("pf1)") && script.contains("pf2)"))
            #expect(try text(set, "/usr/local/libexec/sluice-take-device").contains(#"'a'\''b') driver=vfio-pci"#))
        }
    }
}
