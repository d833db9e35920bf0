import Glibc
import Netlink
import PCI
import SRIOV
import Testing

extension LabSuite {
    /// Faults that a real kernel has: provoked, told of, mended by the doctor, and gone.
    @Suite(
        "The doctor on the real kernel", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct DoctorTests {
        init() throws { try Lab.reset() }

        private static let hostFile = """
            physicalFunctions:
              - match: { netdev: ens10 }
                virtualFunctions: 2
                driver: vfio-pci
                defaults: { trust: off }
            """

        private func ids(_ arguments: String...) throws -> [String] {
            let result = try Command(["sluice"] + ["doctor", "-o", "name"] + arguments).finish()
            #expect([0, 2, 3].contains(result.status), "\(result)")
            return result.output.split(separator: "\n").map(String.init)
        }

        /// A fault is there, is mended, and is there no more.
        private func mend(_ id: String, _ arguments: String..., location: SourceLocation = #_sourceLocation) throws {
            let options = arguments
            let found = try Command(["sluice"] + ["doctor", "-o", "name"] + options).finish()
            #expect(found.output.split(separator: "\n").map(String.init) == [id], "\(found)", sourceLocation: location)
            let mended = try Command(["sluice"] + ["doctor", "--fix", id, "--yes"] + options).finish()
            #expect(mended.status == 0, "\(mended)", sourceLocation: location)
            let after = try Command(["sluice"] + ["doctor"] + options).finish()
            #expect(after.status == 0, "\(after)", sourceLocation: location)
        }

        @Test("What differs from the host file: no VFs, too few, another driver, another setting; each is mended")
        func declared() throws {
            let file = try Lab.file("doctor.yaml", Self.hostFile)
            try mend("pf.noVFs", "-f", file)
            let address = try #require(try Lab.host().functions.first { $0.name == "ens10 vf 0" }).pci.address
            try Lab.run(["ip", "link", "set", "ens10", "vf", "0", "trust", "on"])
            let drift = try Lab.sluice("doctor", "-f", file)
            #expect(drift.status == 2 && drift.output.contains("trust"), "\(drift)")
            // Asked for in the file's place, and told by a recording as well.
            try Lab.run(["rm", "-f", "/tmp/sick.txt"])
            #expect(try Lab.sluice("snapshot", "-f", "/tmp/sick.txt").status == 0)
            #expect(try ids("--snapshot", "/tmp/sick.txt", "-f", file) == ["vf.drift"])
            #expect(try ids("--snapshot", "/tmp/sick.txt").isEmpty)
            try mend("vf.drift", "-f", file)
            try Lab.write("\(address)", to: "/sys/bus/pci/drivers/vfio-pci/unbind")
            try mend("vf.driver", "-f", file)
            let more = try Lab.file(
                "more.yaml", Self.hostFile.replacing("virtualFunctions: 2", with: "virtualFunctions: 3"))
            try mend("pf.fewerVFs", "-f", more)
        }

        @Test(
            "A port that is down is brought up without addresses, though nobody has declared it; without --yes nothing is"
        )
        func down() throws {
            try Lab.run(["ip", "link", "set", "ens11", "down"])
            try Lab.write("1", to: "/sys/class/net/ens11/device/sriov_numvfs")
            try Lab.settle()
            let refused = try Lab.sluice("doctor", "--fix", "pf.down")
            #expect(refused.status != 0 && refused.error.contains("--yes"), "\(refused)")
            #expect(try ids() == ["pf.down"])
            try mend("pf.down")
            let addresses = try Lab.run(["ip", "-o", "addr", "show", "dev", "ens11"])
            #expect(addresses.isEmpty, "\(addresses)")
        }

        @Test("A bridge that filters: open now and after the next boot; what was in the file is kept")
        func bridge() throws {
            try Lab.run(["modprobe", "br_netfilter"])
            try Lab.run(["sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1"])
            try Lab.run(["ip", "link", "add", "brdoctor", "type", "bridge"])
            try Lab.run(["modprobe", "tun"])
            try Lab.run(["ip", "tuntap", "add", "tapdoctor", "mode", "tap"])
            defer {
                for link in ["brdoctor", "tapdoctor"] { _ = try? Lab.run(["ip", "link", "del", link]) }
                _ = try? Lab.run([
                    "rm", "-f", "/etc/sysctl.d/90-sluice-bridge.conf", "/etc/udev/rules.d/90-sluice-bridge.rules",
                ])
            }
            for link in ["ens13", "tapdoctor"] { try Lab.run(["ip", "link", "set", link, "master", "brdoctor"]) }
            defer { _ = try? Lab.run(["ip", "link", "set", "ens13", "nomaster"]) }
            _ = try Lab.run(["sh", "-c", "echo '# mine' >/etc/sysctl.d/90-sluice-bridge.conf"])
            // Without its name it is left: others on the host may want it so.
            let unnamed = try Lab.sluice("doctor", "--fix", "--yes")
            #expect(unnamed.status == 3 && unnamed.output.contains("[bridge.filtered]"), "\(unnamed)")
            // The agent looks again when it is asked: nothing tells it of such files.
            let agent = try AgentProcess(Self.hostFile)
            defer { withExtendedLifetime(agent) {} }
            try mend("bridge.filtered")
            let setting = "/proc/sys/net/bridge/bridge-nf-call-iptables"
            #expect(try LiveFileTree().text(setting) == "0")
            // As at the next boot: the module comes and brings its own settings.
            try Lab.run(["udevadm", "control", "--reload"])
            try Lab.run(["rmmod", "br_netfilter"])
            try Lab.run(["modprobe", "br_netfilter"])
            try Lab.wait(for: "the rule") { try LiveFileTree().text(setting) == "0" }
            #expect(
                try LiveFileTree().wholeText("/etc/sysctl.d/90-sluice-bridge.conf")?
                    .contains("net.bridge.bridge-nf-call-iptables = 0\n") ?? false)
            // What was there before comes back.
            #expect(try Lab.sluice("boot", "uninstall", "--only", "bridge", "--yes", "--no-run").status == 0)
            #expect(try LiveFileTree().wholeText("/etc/sysctl.d/90-sluice-bridge.conf") == "# mine\n")
        }

        @Test("A recording tells of everybody who makes VFs, and has nothing else of their files")
        func makers() throws {
            let names = ["/etc/udev/rules.d/98-doctor.rules", "/etc/udev/rules.d/99-doctor.rules"]
            defer { for name in names { unlink(name) } }
            for name in names {
                try Lab.run(["sh", "-c", "printf 'ENV{key}=\"secret\"\\nATTR{device/sriov_numvfs}=\"4\"\\n' >\(name)"])
            }
            try Lab.run(["rm", "-f", "/tmp/makers.txt"])
            #expect(try Lab.sluice("snapshot", "-f", "/tmp/makers.txt").status == 0)
            #expect(try LiveFileTree().wholeText("/tmp/makers.txt")?.contains("secret") == false)
            let file = try Lab.file(
                "doctor.yaml", "physicalFunctions: [{ match: { netdev: ens10 }, virtualFunctions: 0 }]\n")
            for arguments in [["--snapshot", "/tmp/makers.txt"], []] {
                let told = try Command(["sluice", "doctor", "-f", file] + arguments).finish()
                for name in names { #expect(told.output.contains("\(name):2: ATTR"), "\(told)") }
            }
        }

        @Test("A record of libvirt that nobody needs is told of; a message says who has the node that it names")
        func records() throws {
            let file = try Lab.file("doctor.yaml", Self.hostFile)
            #expect(try Lab.sluice("apply", "-f", file, "--yes").status == 0)
            let record = "/run/libvirt/hostdevmgr/ens10_vf0"
            try Lab.run(["mkdir", "-p", "/run/libvirt/hostdevmgr"])
            try Lab.run(["sh", "-c", "echo '{}' >\(record)"])
            defer { unlink(record) }
            #expect(try ids() == ["libvirt.staleRecord"])
            let vf = try #require(try Lab.host().functions.first { $0.name == "ens10 vf 1" })
            let device = try VFIODevice(vf.pci.address)
            defer { device.close() }
            let group = try #require(vf.pci.iommuGroup)
            let told = try Lab.sluice(
                "doctor", "--message",
                "vfio \(vf.pci.address): failed to open /dev/vfio/\(group): Device or resource busy")
            #expect(told.output.contains("[vf.held]") && told.output.contains("pid \(getpid())"), "\(told)")
        }

        @Test("The agent tells when a fault comes and when it is mended, also of what only the kernel's log has")
        func events() throws {
            let agent = try AgentProcess(Self.hostFile)
            let group = try #require(
                try Lab.host().functions.first { $0.name == "ens10 vf 0" }?.pci.iommuGroup)
            func told(_ text: String) throws -> Bool {
                try Lab.sluice("events", "--last", "100").output.contains(text)
            }
            // What was said before is forgotten with this, and afterwards what is said here.
            try Lab.run(["dmesg", "-C"])
            defer { _ = try? Lab.run(["dmesg", "-C"]) }
            let denial = "apparmor=\"DENIED\" operation=\"open\" profile=\"libvirt-x\" name=\"/dev/vfio/\(group)\""
            try Lab.run(["sh", "-c", "printf '%s\\n' '\(denial)' >/dev/kmsg"])
            try Lab.wait(for: "the fault's event") { try told("[access.vfioNode]") }
            let doctor = try Lab.sluice("doctor")
            #expect(doctor.status == 3 && doctor.output.contains(denial), "\(doctor)")
            let metrics = try Lab.run([
                "curl", "-s", "--unix-socket", AgentProcess.socketPath, "http://localhost/metrics",
            ])
            #expect(metrics.contains("sluice_fault{id=\"access.vfioNode\",severity=\"error\"} 1"), "\(metrics)")
            let rules = "/etc/apparmor.d/local/abstractions"
            try Lab.run(["mkdir", "-p", rules])
            try Lab.run(["sh", "-c", "echo '/dev/vfio/[0-9]* rw,' >\(rules)/libvirt-qemu"])
            defer { unlink("\(rules)/libvirt-qemu") }
            // Any event makes it look again.
            for state in ["up", "down"] { try Lab.run(["ip", "link", "set", "ens11", state]) }
            try Lab.wait(for: "the fault to be gone") { try told("no longer: AppArmor") }
            withExtendedLifetime(agent) {}
        }
    }
}
