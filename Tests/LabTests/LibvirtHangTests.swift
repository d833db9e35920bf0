import AgentAPI
import Glibc
import Testing

extension LabSuite {
    /// A daemon that lives and does not answer. In a suite of its own, since it takes the minute that libvirt has.
    @Suite(
        "A libvirtd that hangs", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct LibvirtHangTests {
        init() throws { try Lab.reset() }

        @Test("Whoever asks of libvirt is told after a minute; what needs no libvirt goes on; later all is well")
        func hangs() throws {
            let libvirt = try LibvirtFixture(LibvirtFixture.hostFile(virtualFunctions: 1))
            try libvirt.sluice("network", "sync")
            let pids = try Lab.run(["pidof", "libvirtd"]).split(whereSeparator: \.isWhitespace).compactMap { pid_t($0) }
            for pid in pids { kill(pid, SIGSTOP) }
            defer { for pid in pids { kill(pid, SIGCONT) } }
            let asked = try Command(["sluice", "vm", "list"])
            let lease = try #require(try libvirt.agent.acquire().leases.first)
            #expect(try libvirt.agent.release(lease.id).state == "free")
            let told = try asked.finish()
            #expect(told.status != 0 && told.error.contains("[libvirt.timeout]"), "\(told)")
            for pid in pids { kill(pid, SIGCONT) }
            try Lab.wait(for: "libvirt's answer") { try Lab.sluice("vm", "list").status == 0 }
        }
    }
}
