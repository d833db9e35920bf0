import Diagnosis
import HostFile
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

/// Faults that are told from files, the kernel's log, the host file and libvirt: each with its evidence, and without.
@Suite("Faults told from beside the devices")
struct FactFaultTests {
    private func host(virtualFunctions count: Int = 2, _ change: (inout Host) -> Void = { _ in }) throws -> Host {
        let kernel = FakeKernel.lab()
        let port = try #require(try HostReader(kernel: kernel).read().physicalFunctions.first)
        let path = "/sys/bus/pci/devices/\(port.pci.address)/sriov_numvfs"
        let errors = kernel.writer.write(
            [.init(path: path, value: "\(count)", operation: "make VFs")], deadline: .seconds(1))
        #expect(errors == [nil])
        var host = try HostReader(kernel: kernel).read()
        for index in host.functions.indices {
            host.functions[index].link?.flags.insert(.up)
            host.functions[index].link?.state = .up
        }
        change(&host)
        return host
    }

    private func faults(_ host: Host, _ change: (inout HostFacts) -> Void) -> [Fault] {
        var facts = HostFacts()
        change(&facts)
        return Diagnosis.faults(of: host, facts)
    }

    private func line(_ path: String, _ number: Int, _ text: String) -> ConfigurationLine {
        ConfigurationLine(path: path, number: number, text: text)
    }

    /// One fault of one kind is found with a change, and none at all without it.
    private func expect(
        _ id: String, on host: Host? = nil, evidence: String, silent: (inout HostFacts) -> Void = { _ in },
        _ change: (inout HostFacts) -> Void, location: SourceLocation = #_sourceLocation
    ) throws {
        let host = try host ?? self.host()
        let found = faults(host, change)
        #expect(found.map(\.id) == [id], sourceLocation: location)
        #expect(
            found.first?.evidence.contains { $0.contains(evidence) } ?? false, "\(found.first?.evidence ?? [])",
            sourceLocation: location)
        #expect(faults(host, silent).isEmpty, sourceLocation: location)
    }

    @Test("Processor, modules, lockdown, interrupt remapping")
    func kernel() throws {
        try expect("host.noVirtualization", evidence: "neither vmx nor svm", silent: { $0.processorFlags = ["svm"] }) {
            $0.processorFlags = ["hypervisor"]
        }
        try expect("host.noVFIO", evidence: "modules.dep", silent: { $0.hasVFIO = true }) { $0.hasVFIO = false }
        let denied = "Lockdown: modprobe: unsigned module loading is restricted; see man kernel_lockdown.7"
        // Locked down without having refused anything is in order, and so is what was refused before.
        try expect(
            "host.lockedDown", evidence: denied, silent: { $0.lockdown = "integrity" }
        ) { ($0.lockdown, $0.log) = ("integrity", [denied]) }
        #expect(faults(try host()) { ($0.lockdown, $0.log) = ("none", [denied]) }.isEmpty)
        try expect(
            "host.noInterruptRemapping", evidence: "kernel log", silent: { $0.log = ["DMAR-IR: Enabled IRQ remapping"] }
        ) {
            $0.log = ["vfio_iommu_type1_attach_group: No interrupt remapping support."]
        }
    }

    @Test("What the kernel has said of a port: no room, fewer VFs; of another port it is no fault of this one")
    func portLog() throws {
        let none = try host(virtualFunctions: 0)
        let address = try #require(none.physicalFunctions.first).pci.address
        let text = "not enough MMIO resources for SR-IOV"
        try expect(
            "pf.noMemorySpace", on: none, evidence: text, silent: { $0.log = ["igb 0000:ff:00.0: \(text)"] }
        ) { $0.log = ["igb \(address): \(text)"] }
        // VFs that are there by now have found room.
        #expect(try faults(host()) { $0.log = ["igb \(address): \(text)"] }.isEmpty)
        let two = try host()
        try expect(
            "pf.fewerVFs", on: two, evidence: "8 VFs requested",
            silent: { $0.log = ["igb \(address): 8 VFs requested; only 7 enabled"] }
        ) { $0.log = ["igb \(address): 8 VFs requested; only 2 enabled"] }
    }

    @Test("A port without a link is told of only when somebody uses its VFs")
    func carrier() throws {
        func host(_ holders: [Holder]) throws -> Host {
            try self.host { host in
                for index in host.functions.indices where host.functions[index].pci.sriov != nil {
                    host.functions[index].link?.state = .down
                }
                let vf = host.functions.firstIndex { $0.pci.physicalFunction != nil }
                if let vf { host.functions[vf].holders = holders }
            }
        }
        let domain = Holder(.domain(name: "vm-1", uuid: nil, pid: 4711), through: "/dev/vfio/7")
        let found = faults(try host([domain])) { _ in }
        #expect(found.map(\.id) == ["pf.noCarrier"] && found[0].evidence.contains { $0.contains("vm-1") })
        #expect(faults(try host([])) { _ in }.isEmpty)
    }

    @Test("What AppArmor has denied, until a rule allows it; a rule that denies is said")
    func appArmor() throws {
        let host = try host()
        let vf = try #require(host.functions.first { $0.pci.physicalFunction != nil })
        let group = vf.pci.iommuGroup ?? 0
        let vfHost = try self.host { host in
            for index in host.functions.indices where host.functions[index].pci.address == vf.pci.address {
                host.functions[index].pci.iommuGroup = group
            }
        }
        let denial = "audit: apparmor=\"DENIED\" operation=\"open\" profile=\"libvirt-1b\" name=\"/dev/vfio/\(group)\""
        let local = "/etc/apparmor.d/local/abstractions/libvirt-qemu"
        try expect(
            "access.vfioNode", on: vfHost, evidence: denial,
            silent: { facts in
                facts.log = [denial]
                facts.configuration = [line(local, 3, "/dev/vfio/[0-9]* rw,")]
            }
        ) { $0.log = [denial] }
        let forbidden = faults(vfHost) { facts in
            facts.log = [denial]
            facts.configuration = [line(local, 3, "deny /dev/vfio/[0-9]* rw,")]
        }
        #expect(forbidden.first?.cause == "a rule forbids it")
        #expect(forbidden.first?.evidence.contains("\(local):3: deny /dev/vfio/[0-9]* rw,") ?? false)
    }

    @Test("libvirt's configuration: nodes that stay root's, unless a rule or the user lets QEMU open them")
    func qemuConfiguration() throws {
        let conf = "/etc/libvirt/qemu.conf"
        try expect(
            "access.staticOwnership", evidence: "\(conf):9: dynamic_ownership = 0",
            silent: { facts in
                facts.configuration = [
                    line(conf, 9, "dynamic_ownership = 0"),
                    line("/etc/udev/rules.d/10.rules", 1, "SUBSYSTEM==\"vfio\", GROUP=\"kvm\", MODE=\"0660\""),
                ]
            }
        ) { $0.configuration = [line(conf, 9, "dynamic_ownership = 0")] }
        // The last line counts.
        #expect(
            faults(try host()) {
                $0.configuration = [line(conf, 9, "dynamic_ownership = 0"), line(conf, 12, "dynamic_ownership=1")]
            }.isEmpty)
        // Root opens what it likes.
        #expect(
            faults(try host()) {
                $0.configuration = [line(conf, 9, "dynamic_ownership = 0"), line(conf, 12, "user = \"root\"")]
            }.isEmpty)
    }

    @Test("SELinux, and memory that may not be locked")
    func log() throws {
        try expect(
            "access.selinux", evidence: "vfio_device_t", silent: { $0.log = ["avc:  denied  { read } for httpd"] }
        ) {
            $0.log = ["avc:  denied  { read write } for comm=\"qemu-kvm\" tcontext=system_u:object_r:vfio_device_t:s0"]
        }
        try expect("domain.memoryLocked", evidence: "RLIMIT_MEMLOCK") {
            $0.log = ["vfio_pin_pages_remote: RLIMIT_MEMLOCK (65536) exceeded"]
        }
    }

    @Test("Machines without ports, records of nobody, networks and pools: told of when they are so")
    func libvirt() throws {
        try expect(
            "domain.noPorts", evidence: "ports",
            silent: {
                $0.domains = [
                    .init(name: "a", freeHotplugPorts: 1, functions: 1),
                    .init(name: "b", freeHotplugPorts: 0, functions: 0),
                ]
            }
        ) { $0.domains = [.init(name: "a", freeHotplugPorts: 0, functions: 1)] }
        let host = try host()
        let port = try #require(host.physicalFunctions.first).name
        let held = try self.host { host in
            for index in host.functions.indices where host.functions[index].index == 1 {
                host.functions[index].holders = [Holder(.domain(name: "a", uuid: nil, pid: 1), through: "/dev/vfio/1")]
            }
        }
        try expect(
            "libvirt.staleRecord", on: host, evidence: "/run/libvirt/hostdevmgr/\(port)_vf1",
            silent: { $0.libvirtRecords = ["\(port)_vf99", "nonsense"] }
        ) { $0.libvirtRecords = ["\(port)_vf1"] }
        #expect(faults(held) { $0.libvirtRecords = ["\(port)_vf1"] }.isEmpty)
        let good = HostFacts.NetworkFacts(name: "tenant", isActive: true, isAutostarted: true, stale: [])
        for (change, id) in [
            ({ $0.isActive = false }, "network.inactive"), ({ $0.isAutostarted = false }, "network.inactive"),
            ({ $0.stale = ["0000:41:10.0 is in the pool and not in the network"] }, "network.stale"),
        ] as [((inout HostFacts.NetworkFacts) -> Void, String)] {
            var bad = good
            change(&bad)
            try expect(id, evidence: bad.stale.first ?? "net-info", silent: { $0.networks = [good] }) {
                $0.networks = [bad]
            }
        }
        try expect(
            "pool.exhausted", evidence: "0 of 4",
            silent: { $0.pools = [.init(name: "a", free: 1, total: 4), .init(name: "empty", free: 0, total: 0)] }
        ) { $0.pools = [.init(name: "a", free: 0, total: 4)] }
    }

    @Test("VFs that nothing makes at the next boot; others who make them where the host file does")
    func persistence() throws {
        let udev = line("/etc/udev/rules.d/70.rules", 2, "ATTR{device/sriov_numvfs}=\"4\"")
        try expect("boot.notPersistent", evidence: "VFs", silent: { ($0.hasSystemd, $0.startsAgent) = (true, true) }) {
            $0.hasSystemd = true
        }
        #expect(try faults(host()) { ($0.hasSystemd, $0.configuration) = (true, [udev]) }.isEmpty)
        #expect(try faults(host(virtualFunctions: 0)) { $0.hasSystemd = true }.isEmpty)
        try expect("pf.otherMaker", evidence: "70.rules:2", silent: { $0.startsAgent = true }) {
            ($0.startsAgent, $0.configuration) = (true, [udev])
        }
    }

    @Test("A unit that makes VFs beside libvirt's start; ordered, by anything, it is in order")
    func bootOrder() throws {
        let folder = "/etc/systemd/system"
        let maker = "\(folder)/vfs.service"
        let write = "ExecStart=/bin/sh -c 'echo 2 > /sys/class/net/ens10/device/sriov_numvfs'"
        func facts(
            libvirt: String = "libvirtd.service", wants: String = "multi-user", unit: [String] = [],
            maker: String = maker, autostart: String = "/etc/libvirt/qemu/autostart/vm.xml",
            dropIn: (unit: String, line: String)? = nil, also: String? = nil, write: String = write
        ) throws -> [Fault] {
            let text = (["[Unit]", "Description=x"] + unit + ["[Service]", write]).joined(separator: "\n") + "\n"
            var files = [
                (maker, text), ("\(folder)/multi-user.target.wants/\(libvirt)", "\n"),
                ("\(folder)/\(wants).target.wants/vfs.service", "\n"), ("/run/systemd/system/x", "\n"),
                (autostart, "\n"),
            ]
            if let also { files.append((also, "\n")) }
            if let dropIn { files.append(("\(folder)/\(dropIn.unit).d/90.conf", "[Unit]\n\(dropIn.line)\n")) }
            var folders: [String: String] = [:]
            for (path, text) in files {
                let (name, folder) = (path.split(separator: "/").last ?? "", path.split(separator: "/").dropLast())
                let value = text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
                folders["/" + folder.joined(separator: "/"), default: ""] += "A: \(name)=\(value)\n"
            }
            let tree = try RecordedTree(Array(folders.map { "P: \($0)\n\($1)\n" }.joined().utf8))
            // What a snapshot keeps says the same.
            let host = try self.host()
            func found(_ files: any FileTree) -> [Fault] {
                Diagnosis.faults(of: host, HostFacts(reading: files)).filter { $0.id == "boot.order" }
            }
            let snapshot = try SnapshotWriter.record(files: tree, serials: [:])
            let (live, told) = (found(tree), found(try RecordedTree(Array(snapshot.utf8))))
            #expect(live.map(\.evidence) == told.map(\.evidence))
            return live
        }
        let late = try facts()
        #expect(late.map(\.subject) == ["vfs.service"], "\(late)")
        #expect(late.first?.evidence.first?.hasPrefix("\(maker):4: ExecStart") ?? false, "\(late)")
        #expect(late.first?.remedies.first?.contains("systemctl edit vfs.service") ?? false)
        for unit in ["Before=multi-user.target", "After=network-pre.target", "Before=network-online.target"] {
            #expect(try facts(unit: [unit]).count == 1, "\(unit)")
        }
        #expect(try facts(dropIn: ("libvirtd.service", "Wants=vfs.service")).count == 1)
        for unit in [
            "Before=libvirtd.service", "Before = network.target", "Before=multi-user.target \\\n libvirtd.service",
        ] {
            #expect(try facts(unit: [unit]).isEmpty, "\(unit)")
        }
        #expect(try facts(dropIn: ("vfs.service", "Before=libvirtd.service")).isEmpty)
        #expect(try facts(dropIn: ("libvirtd.service", "After=vfs.service")).isEmpty)
        #expect(try facts(wants: "network").isEmpty)
        #expect(try facts(wants: "other").isEmpty)
        #expect(try facts(libvirt: "libvirtd-other.service").isEmpty)
        // What has an order of its own must not get another one.
        for unit in ["After=multi-user.target", "After=libvirtd.service", "Documentation=man:virsh(1)"] {
            #expect(try facts(unit: [unit]).isEmpty, "\(unit)")
        }
        // libvirt that starts nothing by itself, or is masked; what only reads, or makes none at its end.
        #expect(try facts(autostart: "/etc/libvirt/qemu/networks/autostart/default.xml").isEmpty)
        #expect(try facts(autostart: "/etc/libvirt/qemu/networks/autostart/vfs.xml").count == 1)
        #expect(try facts(write: write.replacing("ExecStart=", with: "ExecStop=")).isEmpty)
        #expect(try facts(write: "ExecStart=/bin/cat /sys/class/net/ens10/device/sriov_numvfs").isEmpty)
        #expect(
            try facts(write: write + "\nExecStop=/bin/sh -c 'echo 0 > /sys/x/sriov_numvfs'").first?.evidence.first?
                .contains("echo 2") ?? false)
        // rc.local is run when systemd's generator says so.
        #expect(try facts(maker: "/etc/rc.local").isEmpty)
        let generated = "/run/systemd/generator/multi-user.target.wants/rc-local.service"
        #expect(try facts(maker: "/etc/rc.local", also: generated).map(\.subject) == ["rc-local.service"])
    }

    @Test("A device of the host file that is not there, or is another one, with what the kernel has renamed")
    func notFound() throws {
        let host = try self.host()
        let port = try #require(host.physicalFunctions.first)
        let log = ["igb \(port.pci.address) \(port.name): renamed from eno7", "eth0: renamed from veth12"]
        let text = "physicalFunctions:\n  - { match: { netdev: eno7 }, virtualFunctions: 2 }"
        let found = faults(host) { ($0.plan, $0.log) = (try? plan(text, on: host), log) }
        #expect(found.map(\.id) == ["pf.notFound"] && found.allSatisfy { $0.fix == nil }, "\(found)")
        #expect(found.first?.evidence.contains("kernel log: \(log[0])") ?? false, "\(found)")
        let other = text.replacing("eno7", with: "\(port.name), permanentMAC: 02:00:00:00:00:99")
        #expect(faults(host) { $0.plan = try? plan(other, on: host) }.map(\.id) == ["pf.notFound"])
        let there = text.replacing("eno7", with: port.name)
        #expect(!faults(host) { $0.plan = try? plan(there, on: host) }.map(\.id).contains("pf.notFound"))
        #expect(RelevantLog.isRelevant(log[0]) && !RelevantLog.isRelevant(log[1]))
    }

    @Test("A VF of a pool that a network manager configures, unless somebody has leased it")
    func managed() throws {
        let host = try host()
        let port = try #require(host.physicalFunctions.first)
        let index = try #require(host.functions.firstIndex { $0.pci.physicalFunction == port.pci.address })
        let link = try #require(host.functions[index].link ?? port.link)
        var with = host
        with.functions[index].link = link
        var leased = with
        leased.functions[index].holders.append(
            Holder(.lease(id: "ABC123", consumer: "process:1", state: nil), through: "a lease"))
        func found(_ host: Host, managers: [Int32: String], isDeclared: Bool = true) -> [Fault] {
            faults(host) { facts in
                if isDeclared { facts.handedOut = [host.functions[index].pci.address] }
                facts.managers = managers
            }.filter { $0.id == "vf.managed" }
        }
        let one = found(with, managers: [link.index: "NetworkManager"])
        #expect(one.count == 1 && one.allSatisfy { $0.title.contains("NetworkManager") }, "\(one)")
        #expect(found(with, managers: [:]).isEmpty)
        #expect(found(with, managers: [link.index: "NetworkManager"], isDeclared: false).isEmpty)
        #expect(found(leased, managers: [link.index: "NetworkManager"]).isEmpty)
    }

    @Test("Of the audit daemon's log the denials since the boot that concern VFs")
    func auditLog() {
        let log = """
            type=AVC msg=audit(1700000000.100:1): apparmor="DENIED" operation="open" name="/dev/vfio/25" comm="qemu"
            type=AVC msg=audit(1800000000.100:2): apparmor="DENIED" operation="open" name="/dev/vfio/26" comm="qemu"
            type=AVC msg=audit(1800000001.100:3): avc:  denied  { read } for pid=9 path="/dev/vfio/27" tclass=chr_file
            type=AVC msg=audit(1800000002.100:4): apparmor="DENIED" operation="open" name="/etc/passwd" comm="cat"
            type=AVC msg=audit(1800000003.100:5): apparmor="ALLOWED" operation="open" name="/dev/vfio/28" comm="qemu"
            type=AVC msg=audit(1800000003.100:6): apparmor="ALLOWED" name="/dev/vfio/29" denied_mask="r"
            type=EXECVE msg=audit(1800000003.100:7): a0="denied" a1="/dev/vfio/30"
            type=AVC msg=audit(1800000004.100:8): apparmor="DENIED" name="/dev/vfio/31" ouid=0\u{1d}OUID="root"
            type=SYSCALL msg=audit(: denied /dev/vfio
            """
        let denials = AuditLog.denials(in: log, since: 1_750_000_000)
        #expect(denials.map { ["26", "27", "31"].filter($0.contains) } == [["26"], ["27"], ["31"]], "\(denials)")
        #expect(!denials.contains { $0.contains("root") })
    }

    // MARK: The host file

    private func plan(_ text: String, on host: Host) throws -> Plan {
        Planner(host: host, files: FakeKernel.lab().files).plan(to: try HostFile.parse(text, file: "host.yaml"))
    }

    @Test("What differs from the host file: no VFs is one fault, drivers and settings are one each, with the place")
    func drift() throws {
        let none = try host(virtualFunctions: 0)
        let port = try #require(none.physicalFunctions.first).name
        let text = """
            physicalFunctions:
              - { match: { netdev: \(port) }, virtualFunctions: 2, driver: vfio-pci, defaults: { trust: on } }
            """
        let without = faults(none) { $0.plan = try? plan(text, on: none) }
        #expect(without.map(\.id) == ["pf.noVFs"], "\(without.map(\.id))")
        #expect(
            without[0].evidence.contains("declared at host.yaml:2:5")
                || without[0].evidence.contains { $0.hasPrefix("declared at host.yaml:2") })
        let two = try host()
        let differing = faults(two) { $0.plan = try? plan(text, on: two) }.map(\.id)
        #expect(Set(differing) == ["vf.driver", "vf.drift"], "\(differing)")
        let asDeclared = "physicalFunctions:\n  - { match: { netdev: \(port) }, virtualFunctions: 2 }"
        #expect(faults(two) { $0.plan = try? plan(asDeclared, on: two) }.filter { $0.id != "pf.drift" }.isEmpty)
        let more = faults(two) { $0.plan = try? plan(asDeclared.replacing("s: 2", with: "s: 4"), on: two) }
        #expect(more.map(\.id) == ["pf.fewerVFs"], "\(more.map(\.id))")
        // What is refused an apply does not mend.
        let tooMany = faults(none) { $0.plan = try? plan(asDeclared.replacing("s: 2", with: "s: 99"), on: none) }
        #expect(tooMany.map(\.id) == ["pf.fewerVFs"] && tooMany.allSatisfy { $0.fix == nil }, "\(tooMany)")
    }

    // MARK: Reading

    @Test("Only lines that concern VFs are read of configuration, with their places; comments are none")
    func configuration() throws {
        let text = """
            P: /etc/netplan
            A: 50.yaml=network:\\n  ethernets:\\n    eno49:\\n      virtual-function-count: 4\\n      password: secret\\n

            P: /etc/udev/rules.d
            A: 70.rules=# ATTR{device/sriov_numvfs}="7"\\nACTION=="add", ATTR{device/sriov_numvfs}="4"\\n

            P: /run/libvirt/hostdevmgr
            A: eno49_vf3=\\n

            P: /kernel/log
            A: lines=usb 1-1: new device\\nvfio-pci 0000:04:10.0: Relaying device request to user (#1)\\n

            P: /kernel/security
            A: lockdown=none [integrity] confidentiality\\n

            P: /etc/systemd/system/multi-user.target.wants
            A: sluiced.service=\\n

            P: /run/NetworkManager/devices
            A: 7=[device]\\nmanaged=true\\nconnection-uuid=x\\n
            A: 8=[device]\\nmanaged=true\\n

            P: /run/systemd/units
            A: invocation:NetworkManager.service=\\n

            P: /run/systemd/netif/links
            A: 9=ADMIN_STATE=configured\\nOPER_STATE=routable\\n
            A: 10=ADMIN_STATE=unmanaged\\n

            """
        let facts = HostFacts(reading: try RecordedTree(Array(text.utf8)))
        #expect(
            facts.configuration.map(\.description) == [
                "/etc/netplan/50.yaml:4: virtual-function-count: 4",
                "/etc/udev/rules.d/70.rules:2: ACTION==\"add\", ATTR{device/sriov_numvfs}=\"4\"",
            ])
        #expect(facts.libvirtRecords == ["eno49_vf3"] && facts.lockdown == "integrity" && facts.startsAgent)
        #expect(facts.managers == [7: "NetworkManager"])
        #expect(facts.log == ["vfio-pci 0000:04:10.0: Relaying device request to user (#1)"])
        #expect(facts.hasVFIO == nil && facts.processorFlags == nil)
        #expect(facts.pools.isEmpty && facts.networks.isEmpty && facts.domains.isEmpty)
    }

    @Test("What the agent knows survives in a snapshot: networks, machines and pools are told of there too")
    func agentFacts() throws {
        var facts = HostFacts()
        facts.pools = [.init(name: "a b", free: 0, total: 4)]
        facts.networks = [.init(name: "n=1", isActive: false, isAutostarted: true, stale: ["x\ny"])]
        facts.domains = [.init(name: "guest", freeHotplugPorts: 0, functions: 1)]
        let host = try host()
        let expected = Diagnosis.faults(of: host, facts).map(\.id)
        #expect(expected.contains("pool.exhausted") && expected.contains("network.inactive"), "\(expected)")
        let text = try SnapshotWriter.record(
            files: FakeKernel.lab().files, serials: [:], agent: try AgentFacts(facts).text())
        let recorded = HostFacts(reading: try RecordedTree(Array(text.utf8)))
        let told = Diagnosis.faults(of: host, recorded).map(\.id)
        #expect(Set(told).isSuperset(of: expected), "\(told)")
        let broken = text.replacing("{\"domains\"", with: "{\"domain\"")
        #expect(HostFacts(reading: try RecordedTree(Array(broken.utf8))).networks.isEmpty)
    }
}
