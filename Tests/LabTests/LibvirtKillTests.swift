import AgentAPI
import Glibc
import Netlink
import PCI
import SRIOV
import Testing

extension LabSuite {
    @Suite(
        "Kills in the middle of what libvirt does", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct LibvirtKillTests {
        init() throws { try Lab.reset() }

        /// Who is killed with SIGKILL.
        private enum Victim: String, CaseIterable {
            case qemu, libvirtd, agent
        }

        /// Kills, each at a part of the time that the work takes undisturbed, in percent.
        private struct Round: CustomStringConvertible {
            var kills: [(victim: Victim, percent: Int)]
            var description: String { kills.map { "\($0.victim) at \($0.percent) %" }.joined(separator: ", ") }
        }

        /// Each alone, early and late, and each two and all three in every order.
        private static let all: [Round] = {
            let alone = Victim.allCases.flatMap { victim in [25, 70].map { Round(kills: [(victim, $0)]) } }
            let pairs = Victim.allCases.flatMap { first in
                Victim.allCases.filter { $0 != first }.map { Round(kills: [(first, 30), ($0, 60)]) }
            }
            let triples = pairs.map { pair in
                let last = Victim.allCases.filter { victim in !pair.kills.contains { $0.victim == victim } }
                return Round(kills: [(pair.kills[0].victim, 25), (pair.kills[1].victim, 45)] + last.map { ($0, 65) })
            }
            return alone + pairs + triples
        }()

        /// All of them in make soak, which takes ten minutes; else one for each kind of work.
        private static func rounds(_ one: Round) -> [Round] { Lab.isSoak ? all : [one] }

        /// Runs work with kills in it, mends what was killed, and looks at what is left.
        private func run(_ round: Round, _ libvirt: LibvirtFixture, _ work: [String], whole: Duration) throws {
            let clock = ContinuousClock()
            let start = clock.now
            let command = try Command(work)
            for (victim, percent) in round.kills {
                let rest = start + whole * percent / 100 - clock.now
                if rest > .zero { usleep(UInt32(rest / .microseconds(1))) }
                switch victim {
                case .qemu: _ = try Command(["pkill", "-9", "-f", "guest=guest,"]).finish()
                case .libvirtd: try LibvirtFixture.killDaemon()
                case .agent: libvirt.agent.command.kill(SIGKILL)
                }
            }
            // It may have been done, or have failed: what counts is what is left.
            _ = try command.finish()
            let victims = round.kills.map(\.victim)
            if victims.contains(.agent) { try libvirt.agent.restartAfterCrash() }
            if victims.contains(.libvirtd) { try LibvirtFixture.startDaemon() }
            try Lab.wait(for: "the agent's connection after \(round)") { try Lab.sluice("vm", "list").status == 0 }
            var state = ""
            try Lab.wait(for: "leases to be what machines have after \(round): \(state)") {
                let (leases, used) = (try libvirt.agent.leases().map(\.address), try used(libvirt))
                state = "leases \(leases), used \(used)"
                return Set(leases) == used && Set(leases).count == leases.count
            }
        }

        /// What machines have, as QEMU and libvirt say.
        private func used(_ libvirt: LibvirtFixture) throws -> Set<String> {
            let functions = try Lab.host().functions.filter { $0.name.hasPrefix("ens10 vf") }
            let vfs = functions.map(\.pci.address.description)
            // A libvirtd that was killed between QEMU's answer and its own record does not know of it any more.
            let open = functions.filter { $0.holders.contains(where: \.isDomain) }.map(\.pci.address.description)
            let number = /<address type='pci' domain='0x(\w+)' bus='0x(\w+)' slot='0x(\w+)' function='0x(\w+)'/
            let documents = try libvirt.virsh("list", "--name").split(separator: "\n").map { name in
                try libvirt.virsh("dumpxml", String(name))
            }
            // The guest's own addresses are on other buses than the host's VFs.
            return Set(
                documents.flatMap { $0.matches(of: number) }
                    .map { "\($0.output.1):\($0.output.2):\($0.output.3).\($0.output.4)" }
            ).intersection(vfs).union(open)
        }

        /// Nothing runs any more: everything is free and clean, and nobody has left a note.
        private func checkNothingLeft(_ libvirt: LibvirtFixture, after round: Round) throws {
            try Lab.wait(for: "all VFs to be free after \(round)") { try libvirt.free() == 2 }
            try Lab.wait(for: "all VFs to be clean after \(round)") {
                try Lab.host().functions.filter { $0.name.hasPrefix("ens10 vf") }.allSatisfy { function in
                    function.holders.isEmpty && function.settings?.vlans ?? [] == [] && function.settings?.trust != true
                }
            }
            try Lab.wait(for: "no record to be left after \(round)") {
                try LiveFileTree().entries("/run/libvirt/hostdevmgr")?.isEmpty ?? true
            }
            try Lab.wait(for: "no port to be left after \(round)") {
                try libvirt.virsh("net-port-list", "tenant").isEmpty
            }
        }

        private func time(_ body: () throws -> Void) rethrows -> Duration {
            try ContinuousClock().measure(body)
        }

        private func stop(_ libvirt: LibvirtFixture) throws {
            if try libvirt.virsh("list", "--name").contains("guest") { _ = try libvirt.tryVirsh("destroy", "guest") }
        }

        @Test("QEMU, libvirtd and the agent are killed while a machine starts: no VF is lost or given twice")
        func start() throws {
            let libvirt = try LibvirtFixture(LibvirtFixture.hostFile(virtualFunctions: 2))
            try libvirt.sluice("network", "sync")
            try libvirt.define("guest")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant", "--trust")
            let whole = try time { try libvirt.virsh("start", "guest") }
            try libvirt.virsh("destroy", "guest")
            for round in Self.rounds(Round(kills: [(.libvirtd, 25), (.agent, 60)])) {
                try run(round, libvirt, ["virsh", "-q", "start", "guest"], whole: whole)
                try stop(libvirt)
                try checkNothingLeft(libvirt, after: round)
            }
        }

        @Test("QEMU, libvirtd and the agent are killed while a machine gets a VF: no VF is lost or given twice")
        func attach() throws {
            let libvirt = try LibvirtFixture(LibvirtFixture.hostFile(virtualFunctions: 2))
            try libvirt.sluice("network", "sync")
            try libvirt.define("guest")
            try libvirt.sluice("vm", "ports", "guest", "--reserve", "2")
            let work = ["sluice", "vm", "attach", "guest", "--pool", "tenant", "--live", "--trust"]
            try libvirt.virsh("start", "guest")
            let whole = try time { try Lab.run(work) }
            try libvirt.virsh("destroy", "guest")
            for round in Self.rounds(Round(kills: [(.agent, 30), (.qemu, 60)])) {
                try libvirt.virsh("start", "guest")
                try run(round, libvirt, work, whole: whole)
                try stop(libvirt)
                try checkNothingLeft(libvirt, after: round)
            }
        }

        /// The only VF is the machine's, so nobody else gets one.
        private func expectKept(_ libvirt: LibvirtFixture) throws {
            let leases = try libvirt.agent.leases()
            try #require(leases.count == 1 && leases.allSatisfy { $0.state == "active" }, "\(leases)")
            let refused = try Lab.sluice("lease", "acquire", "--pool", "tenant", "--for", "person:next")
            #expect(refused.status != 0 && refused.error.contains("pool.exhausted"), "\(refused)")
        }

        @Test(
            "A machine ends while libvirtd is away, and the agent is killed then: its VF is nobody's until libvirt is back"
        )
        func away() throws {
            let libvirt = try LibvirtFixture(LibvirtFixture.hostFile(virtualFunctions: 1))
            try libvirt.sluice("network", "sync")
            try libvirt.define("guest")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant")
            try libvirt.virsh("start", "guest")
            // The agent is reading machines when the daemon dies: what it cannot ask must not look as if it did not run.
            for number in 0..<8 { try libvirt.define("stopped-\(number)") }
            try LibvirtFixture.killDaemon()
            try expectKept(libvirt)
            libvirt.agent.command.kill(SIGKILL)
            _ = try Command(["pkill", "-9", "-f", "guest=guest,"]).finish()
            try libvirt.agent.restartAfterCrash()
            // libvirtd will set the VF as it was before, whoever has it then.
            try expectKept(libvirt)
            try LibvirtFixture.startDaemon()
            try Lab.wait(for: "the VF to be free") { try libvirt.free() == 1 }
            try libvirt.sluice("lease", "acquire", "--pool", "tenant", "--for", "person:next")
        }
    }
}
