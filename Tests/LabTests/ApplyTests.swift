import Glibc
import Netlink
import PCI
import SRIOV
import Testing

extension LabSuite {
    @Suite(
        "Plan and apply on the real kernel", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct ApplyTests {
        static let example = "/src/Documentation/examples/lab.yaml"

        init() throws { try Lab.reset() }

        @Test("4 × 7 VFs come from zero to set and bound; a second apply writes nothing; one VLAN touches one VF")
        func bringUp() throws {
            #expect(try Lab.sluice("plan", "-f", Self.example).status == 2)
            let applied = try Lab.sluice("apply", "-f", Self.example, "--yes")
            #expect(applied.status == 0, "\(applied)")
            let host = try Lab.host()
            for port in ["ens10", "ens11", "ens12", "ens13"] {
                let function = try #require(host.functions.first { $0.name == port })
                let vfs = host.virtualFunctions(of: function.pci.address)
                #expect(vfs.count == 7)
                for vf in vfs {
                    let isKernels = port == "ens10" && [5, 6].contains(vf.index)
                    #expect(vf.pci.driver == (isKernels ? "igbvf" : "vfio-pci"), "\(vf.name)")
                }
            }
            let first = try #require(host.functions.first { $0.name == "ens10 vf 5" })
            #expect(first.settings?.vlans == [VLAN(id: 100, qos: 3)])
            #expect(first.settings?.maxTxRateMbps == 500)
            let trusted = try #require(host.functions.first { $0.name == "ens13 vf 0" })
            #expect(trusted.settings?.mac == MACAddress("52:54:00:5c:00:01"))
            #expect(trusted.settings?.trust == true && trusted.settings?.spoofCheck == false)
            for device in ["ens10", "0000:41:10.6", "ens10 vf 3", "52:54:00:5c:00:01", "PM9A1-0002", "0000:00:00.0"] {
                let shown = try Lab.sluice("show", device)
                #expect(shown.status == 0 && shown.output.contains("IOMMU group"), "\(device): \(shown)")
            }
            try secondApplyWritesNothing()
            try oneVLANTouchesOneVF()
        }

        private func secondApplyWritesNothing() throws {
            let trace = try traced("-f", Self.example)
            #expect(trace.writes.isEmpty, "\(trace.writes)")
            #expect(trace.changes.isEmpty, "\(trace.changes)")
            #expect(try Lab.sluice("plan", "-f", Self.example).status == 0)
        }

        private func oneVLANTouchesOneVF() throws {
            let text = String(
                decoding: try #require(try LiveFileTree().contents(Self.example, limit: 1 << 20)), as: UTF8.self)
            let changed = text.replacing(
                "virtualFunctions: 0-3, vlan: { id: 42 }", with: "virtualFunctions: 0-2, vlan: { id: 42 }"
            )
            .replacing(
                "    ranges:\n      - { virtualFunctions: 0-2",
                with: "    ranges:\n      - { virtualFunctions: 3, vlan: { id: 43 } }\n      - { virtualFunctions: 0-2")
            #expect(changed != text)
            let before = try Lab.host()
            let trace = try traced("-f", try Lab.file("changed.yaml", changed))
            #expect(trace.writes.isEmpty, "\(trace.writes)")
            #expect(trace.changes.count == 1, "\(trace.changes)")
            let after = try Lab.host()
            let differing = zip(before.functions, after.functions).filter { $0.settings != $1.settings }.map(\.1)
            #expect(differing.map(\.name) == ["ens10 vf 3"])
            #expect(differing.first?.settings?.vlans == [VLAN(id: 43)])
        }

        /// Applies under strace: the files of sysfs and procfs opened for writing, and the netlink messages that change links.
        private func traced(_ arguments: String...) throws -> (writes: [Substring], changes: [Substring]) {
            let path = "/tmp/trace"
            try Lab.run(
                [
                    "strace", "-f", "--seccomp-bpf", "-s", "256", "-e", "trace=openat,sendto,sendmsg", "-o", path,
                    "sluice", "apply",
                    "--yes",
                ] + arguments)
            let bytes = try #require(try LiveFileTree().contents(path, limit: 16 << 20))
            let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            #expect(lines.contains { $0.contains("RTM_GETLINK") }, "the trace shows no netlink at all")
            let writes = lines.filter { line in
                (line.contains("\"/sys/") || line.contains("\"/proc/"))
                    && (line.contains("O_WRONLY") || line.contains("O_RDWR"))
            }
            return (
                writes,
                lines.filter { $0.contains("RTM_SETLINK") || $0.contains("RTM_NEWLINK") && $0.contains("sendto") }
            )
        }

        // MARK: Holders

        func port(_ count: Int, driver: String = "vfio-pci") -> String {
            """
            physicalFunctions:
              - match: { netdev: ens12 }
                virtualFunctions: \(count)
                driver: \(driver)
            """
        }

        /// Lets somebody hold the first VF of ens12, and expects that fewer, more and no VFs are refused.
        func expectRefusal(
            driver: String, holder: String, hold: (Function) throws -> Void, release: () throws -> Void
        ) throws {
            try Lab.settle()
            let vf = try #require(try Lab.host().functions.first { $0.name == "ens12 vf 0" })
            defer { try? release() }
            try hold(vf)
            for (count, command) in [(0, ["plan"]), (2, ["plan"]), (5, ["apply", "--yes"])] {
                let file = try Lab.file("resize.yaml", port(count, driver: driver))
                let refused = try Command(["sluice"] + command + ["-f", file]).finish()
                #expect(refused.status == 3, "\(refused)")
                #expect(refused.output.contains(holder) && refused.output.contains("vf.held"), "\(refused.output)")
            }
            #expect(try Lab.host().virtualFunctions(of: vf.pci.physicalFunction ?? vf.pci.address).count == 3)
        }

        /// Gives ens12 three VFs.
        func makeVFs(driver: String) throws {
            let applied = try Lab.sluice("apply", "-f", Lab.file("start.yaml", port(3, driver: driver)), "--yes")
            #expect(applied.status == 0, "\(applied)")
        }

        @Test("A VF that a process has open through VFIO keeps its port from being resized")
        func vfioHolder() throws {
            try makeVFs(driver: "vfio-pci")
            var device: VFIODevice?
            try expectRefusal(
                driver: "vfio-pci", holder: "pid \(getpid())", hold: { device = try VFIODevice($0.pci.address) },
                release: { device?.close() })
        }

        @Test("A VF in another network namespace, bridged, in Open vSwitch, with an address or below a macvtap too")
        func networkHolders() throws {
            try makeVFs(driver: "kernel")
            func expect(_ holder: String, hold: (String) throws -> Void, release: [String]) throws {
                try expectRefusal(
                    driver: "kernel", holder: holder, hold: { try hold(try #require($0.link?.name)) },
                    release: { try Lab.run(release) })
            }
            try expect(
                "bridge br-test",
                hold: {
                    try Lab.run(["ip", "link", "add", "br-test", "type", "bridge"])
                    try Lab.run(["ip", "link", "set", $0, "master", "br-test"])
                }, release: ["ip", "link", "delete", "br-test"])
            try expect(
                "macvtap tap-test",
                hold: { try Lab.run(["ip", "link", "add", "link", $0, "name", "tap-test", "type", "macvtap"]) },
                release: ["ip", "link", "delete", "tap-test"])
            let control = "/usr/share/openvswitch/scripts/ovs-ctl"
            try Lab.run([control, "start", "--system-id=random"])
            defer { _ = try? Lab.run([control, "stop"]) }
            try expect(
                "openvswitch ovs-system",
                hold: { try Lab.run(["ovs-vsctl", "add-br", "ovs-test", "--", "add-port", "ovs-test", $0]) },
                release: ["ovs-vsctl", "del-br", "ovs-test"])
            try expect(
                "host address 192.0.2.7/24",
                hold: {
                    try Lab.run(["ip", "address", "add", "192.0.2.7/24", "dev", $0])
                    try Lab.run(["ip", "link", "set", $0, "up"])
                }, release: ["ip", "address", "flush", "to", "192.0.2.0/24"])
            try expect(
                "network namespace tenant",
                hold: {
                    try Lab.run(["ip", "netns", "add", "tenant"])
                    try Lab.run(["ip", "link", "set", $0, "netns", "tenant"])
                }, release: ["ip", "netns", "delete", "tenant"])
        }

        @Test("--evict gives up the holder that it names and no other")
        func evict() throws {
            #expect(
                try Lab.sluice("apply", "-f", Lab.file("start.yaml", port(3, driver: "kernel")), "--yes").status == 0)
            try Lab.settle()
            let vfs = try Lab.host().functions.filter { $0.physicalFunctionName == "ens12" }
            try Lab.run(["ip", "link", "add", "br-test", "type", "bridge"])
            try Lab.run(["ip", "netns", "add", "tenant"])
            defer { _ = try? Lab.run(["ip", "link", "delete", "br-test"]) }
            defer { _ = try? Lab.run(["ip", "netns", "delete", "tenant"]) }
            try Lab.run(["ip", "link", "set", try #require(vfs[0].link?.name), "master", "br-test"])
            try Lab.run(["ip", "link", "set", try #require(vfs[1].link?.name), "netns", "tenant"])
            let file = try Lab.file("resize.yaml", port(2, driver: "kernel"))
            let half = try Lab.sluice("apply", "-f", file, "--yes", "--evict", "br-test")
            #expect(half.status == 3 && half.output.contains("tenant") && !half.output.contains("br-test"), "\(half)")
            #expect(try Lab.sluice("apply", "-f", file, "--yes", "--evict", "nobody").status == 64)
            let both = try Lab.sluice("apply", "-f", file, "--yes", "--evict", "br-test", "--evict", "tenant")
            #expect(both.status == 0, "\(both)")
            #expect(try Lab.host().functions.filter { $0.physicalFunctionName == "ens12" }.count == 2)
        }

        @Test("A port with the default route or in a bridge is left alone")
        func protectedPort() throws {
            let file = try Lab.file("start.yaml", port(2))
            try Lab.run(["ip", "link", "add", "br-test", "type", "bridge"])
            try Lab.run(["ip", "link", "set", "ens12", "master", "br-test"])
            let bridged = try Lab.sluice("plan", "-f", file)
            try Lab.run(["ip", "link", "delete", "br-test"])
            #expect(bridged.status == 3 && bridged.output.contains("pf.protected"), "\(bridged)")
            try Lab.run(["ip", "address", "add", "192.0.2.7/24", "dev", "ens12"])
            try Lab.run(["ip", "link", "set", "ens12", "up"])
            try Lab.run(["ip", "route", "add", "default", "via", "192.0.2.1"])
            let routed = try Lab.sluice("plan", "-f", file)
            try Lab.run(["ip", "address", "flush", "dev", "ens12"])
            try Lab.run(["ip", "link", "set", "ens12", "down"])
            #expect(routed.status == 3 && routed.output.contains("default route"), "\(routed)")
        }

        // MARK: Interruption

        @Test("An apply that is killed at any moment, on its way up or down, is finished by the next")
        func killed() throws {
            let up = try Lab.file(
                "up.yaml",
                port(3) + """

                        defaults: { vlan: { id: 42 }, trust: on }
                        ranges:
                          - { virtualFunctions: 1, driver: kernel, mac: 52:54:00:00:00:55 }
                          - { virtualFunctions: 2, driver: kernel }
                    passthrough: [{ match: { serial: PM9A1-0002 }, driver: vfio-pci }]
                    """)
            let down = try Lab.file(
                "down.yaml", port(0) + "\npassthrough: [{ match: { serial: PM9A1-0002 }, driver: kernel }]\n")
            let seed = UInt64.random(in: 0 ... .max)
            var generator = SplitMix(seed: seed)
            var interrupted = 0
            let rounds = Lab.isSoak ? 20 : 6
            for round in 1...rounds {
                let isUp = round % 2 == 1
                let file = isUp ? up : down
                // Some time after it has recorded that a step begins or is done. Its writer goes on.
                let records = Int.random(in: 0...(isUp ? 9 : 3), using: &generator)
                let delay = useconds_t.random(in: 0...80_000, using: &generator)
                let place =
                    "seed \(seed), round \(round), \(delay) µs after \(records) records, \(isUp ? "up" : "down")"
                let apply = try Command(["sluice", "apply", "-f", file, "--yes"])
                while try !apply.hasEnded && journalRecords() < records { usleep(1_000) }
                // Any moment will do, also one in the middle of a write.
                usleep(delay)
                apply.kill(SIGKILL)
                let killed = try apply.finish()
                if killed.status == 128 + SIGKILL { interrupted += 1 }
                let next = try Lab.sluice("apply", "-f", file, "--yes")
                #expect(next.status == 0, "\(place): \(next)")
                #expect(try Lab.plan(file).isEmpty, "\(place)")
                #expect(try Journal.interrupted(in: StateDirectory()) == nil, "\(place)")
                try Lab.settle()
                try check(isUp: isUp, place)
            }
            #expect(interrupted > rounds / 2, "only \(interrupted) were killed in time (seed \(seed))")
        }

        /// How many steps have begun or ended by the journal of the apply that runs; -1 before there is one.
        private func journalRecords() throws -> Int {
            let journal = try LiveFileTree().wholeText("/var/lib/sluice/apply.journal")
            return journal?.split(separator: "\n").count { $0.hasPrefix("begin ") || $0.hasPrefix("done ") } ?? -1
        }

        private func check(isUp: Bool, _ place: String) throws {
            let host = try Lab.host()
            let vfs = host.functions.filter { $0.physicalFunctionName == "ens12" }
            let drive = host.functions.first { "\($0.pci.address)" == "0000:02:00.0" }
            #expect(drive?.pci.driver == (isUp ? "vfio-pci" : "nvme"), "\(place)")
            #expect(vfs.count == (isUp ? 3 : 0), "\(place)")
            for vf in vfs {
                #expect(vf.pci.driver == (vf.index == 0 ? "vfio-pci" : "igbvf"), "\(place): \(vf.name)")
                #expect(vf.settings?.vlans == [VLAN(id: 42)] && vf.settings?.trust == true, "\(place): \(vf.name)")
                // Its driver has the MAC too, and not only its port.
                if vf.index == 1 { #expect(vf.link?.address?.mac == MACAddress("52:54:00:00:00:55"), "\(place)") }
            }
        }

        @Test("Settings that nobody declared survive a resize that is killed between removing and creating the VFs")
        func owedSettings() throws {
            #expect(try Lab.sluice("apply", "-f", Lab.file("start.yaml", port(3)), "--yes").status == 0)
            try Lab.run(["ip", "link", "set", "ens12", "vf", "1", "mac", "52:54:00:00:00:11", "vlan", "77"])
            let file = try Lab.file("resize.yaml", port(4))
            let plan = try Lab.sluice("apply", "-f", file, "--yes")
            #expect(plan.status == 0, "\(plan)")
            #expect(try settings(1)?.vlans == [VLAN(id: 77)])
            // The journal of an apply that got as far as removing the VFs.
            let journal = """
                sluice-journal 1
                apply pid=1 time=0 file=\(file)
                device 0000:81:00.0 name=ens12 numvfs=4 autoprobe=0 up=1
                was 0000:81:00.0 vf=1 mac=52:54:00:00:00:11 vlans=77/0/8100
                step 0000:81:00.0 1 sriov_numvfs 4 → 0
                step 0000:81:00.0 2 sriov_numvfs 0 → 3
                begin 0000:81:00.0 1
                done 0000:81:00.0 1
                begin 0000:81:00.0 2

                """
            try Lab.write("0", to: "/sys/bus/pci/devices/0000:81:00.0/sriov_numvfs")
            _ = try Lab.file("journal", journal)
            try Lab.run(["cp", "/tmp/journal", "/var/lib/sluice/apply.journal"])
            let recovered = try Lab.sluice("apply", "--recover", "--yes")
            #expect(recovered.status == 0, "\(recovered)")
            #expect(recovered.output.contains("sriov_numvfs 0 → 3  interrupted"), "\(recovered.output)")
            #expect(try settings(1)?.vlans == [VLAN(id: 77)])
            #expect(try settings(1)?.mac == MACAddress("52:54:00:00:00:11"))
            let again = try Lab.sluice("apply", "--recover", "--yes")
            #expect(again.output == "No apply was interrupted.\n")
        }

        func settings(_ index: Int) throws -> VirtualFunctionSettings? {
            try Lab.host().functions.first { $0.name == "ens12 vf \(index)" }?.settings
        }

        @Test("Two applies at once: the second says who holds the lock, or waits")
        func locked() throws {
            let file = try Lab.file("start.yaml", port(7))
            let first = try Command(["sluice", "apply", "-f", file, "--yes"])
            // The first has the lock as soon as it has written its name; stopped there, it keeps it.
            try Lab.wait(for: "the first to begin") {
                try LiveFileTree().text("/var/lib/sluice/apply.lock")?.isEmpty == false
            }
            kill(first.pid, SIGSTOP)
            defer { kill(first.pid, SIGCONT) }
            let refused = try Lab.sluice("apply", "-f", file, "--yes", "--no-wait")
            let second = try Command(["sluice", "apply", "-f", file, "--yes"])
            try Lab.wait(for: "the second to wait") { second.errorSoFar.contains("(pid \(first.pid)") }
            kill(first.pid, SIGCONT)
            #expect(try first.finish().status == 0)
            let waited = try second.finish()
            #expect(
                refused.status == 1 && refused.error.contains("apply.locked")
                    && refused.error.contains("pid \(first.pid)"), "\(refused)")
            #expect(waited.status == 0 && waited.output.contains("Nothing to do"), "\(waited)")
        }

        @Test("A write that hangs is reported with its holder, and the program ends; the next one waits for it")
        func hung() throws {
            #expect(try Lab.sluice("apply", "-f", Lab.file("start.yaml", port(2)), "--yes").status == 0)
            let vf = try #require(try Lab.host().functions.first { $0.name == "ens12 vf 0" })
            let device = try VFIODevice(vf.pci.address)
            let file = try Lab.file("none.yaml", port(0))
            // It ends although the kernel has not returned: that is what the writer process is for.
            let hung = try Lab.sluice(
                "apply", "-f", file, "--yes", "--evict", "pid:\(getpid())", "--deadline", "2")
            #expect(hung.status == 1 && hung.error.contains("[device.hung]"), "\(hung)")
            #expect(hung.error.contains("vfio_unregister_group_dev"), "\(hung)")
            #expect(hung.error.contains("\(vf.pci.address) is held by") && hung.error.contains("pid \(getpid())"))
            let plan = try Lab.sluice("plan", "-f", file)
            #expect(plan.status == 3 && plan.output.contains("has not returned from the kernel"), "\(plan)")
            device.close()
            let next = try Lab.sluice("apply", "-f", file, "--yes")
            #expect(next.status == 0, "\(next)")
            #expect(try Lab.host().functions.allSatisfy { $0.physicalFunctionName != "ens12" })
        }

        // MARK: Names of holders

        @Test("A domain is named, and a container, and a bond")
        func names() throws {
            let start = try Lab.file("start.yaml", port(2))
            #expect(try Lab.sluice("apply", "-f", start, "--yes").status == 0)
            let vf = try #require(try Lab.host().functions.first { $0.name == "ens12 vf 0" })
            let group = try #require(vf.pci.iommuGroup)
            // What libvirt's QEMU looks like: its name among its arguments, the group open.
            let machine = try Command([
                "python3", "-c", "import os, signal; os.open('/dev/vfio/\(group)', os.O_RDWR); signal.pause()",
                "-name", "guest=vm-1,debug-threads=on", "-uuid", "1b2c3d4e-0000-4000-8000-000000000001",
            ])
            let kernel = try Lab.kernel()
            try Lab.wait(for: "the group to be opened") { kernel.isOpen(group: group) != false }
            let none = try Lab.file("none.yaml", port(0))
            let refused = try Lab.sluice("plan", "-f", none)
            #expect(refused.output.contains("vm-1 (libvirt, pid \(machine.pid))"), "\(refused)")
            #expect(refused.output.contains("virsh shutdown vm-1"), "\(refused)")
            machine.kill(SIGKILL)
            _ = try machine.finish()

            let kernels = try Lab.file("kernel.yaml", port(2, driver: "kernel"))
            #expect(try Lab.sluice("apply", "-f", kernels, "--yes").status == 0)
            try Lab.settle()
            let names = try Lab.host().virtualFunctions(of: Lab.address("0000:81:00.0")).compactMap(\.link?.name)
            try #require(names.count == 2)
            let container = String(repeating: "0123456789abcdef", count: 4)
            try Lab.run(["mkdir", "/sys/fs/cgroup/\(container)"])
            defer { _ = try? Lab.run(["rmdir", "/sys/fs/cgroup/\(container)"]) }
            let pod = try Command(["unshare", "--net", "sleep", "600"])
            try Lab.wait(for: "unshare") { try LiveFileTree().text("/proc/\(pod.pid)/comm") == "sleep" }
            try Lab.run(["bash", "-c", "echo \(pod.pid) >/sys/fs/cgroup/\(container)/cgroup.procs"])
            try Lab.run(["ip", "link", "set", names[0], "netns", "\(pod.pid)"])
            try Lab.run(["ip", "link", "add", "bond7", "type", "bond"])
            try Lab.run(["ip", "link", "set", names[1], "down"])
            try Lab.run(["ip", "link", "set", names[1], "master", "bond7"])
            let both = try Lab.sluice("plan", "-f", none)
            #expect(both.status == 3 && both.output.contains("container 0123456789ab"), "\(both)")
            #expect(both.output.contains("bond bond7 (\(names[1]))"), "\(both)")
            try Lab.run(["ip", "link", "del", "bond7"])
            pod.kill(SIGKILL)
            _ = try pod.finish()
        }
    }
}

/// A small seeded generator, so that a failure can be repeated.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = state
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }
}
