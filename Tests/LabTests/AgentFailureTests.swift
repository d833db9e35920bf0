import AgentAPI
import Glibc
import Leasing
import Netlink
import PCI
import SRIOV
import Synchronization
import Testing

extension LabSuite {
    @Suite(
        "What befalls the agent on the real kernel", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct AgentFailureTests {
        init() throws { try Lab.reset() }

        private func settings() throws -> [VirtualFunctionSettings] { try Lab.host().functions.compactMap(\.settings) }

        @Test("64 clients at once: no VF is given twice, none is left, and ledger and kernel agree at the end")
        func load() throws {
            let agent = try AgentProcess(AgentProcess.hostFile(virtualFunctions: 7))
            let clean = try settings()
            let result = try Command(["lease-bench", "load", AgentProcess.socketPath, "64", "2"]).finish()
            print(result.output)
            #expect(result.status == 0, "\(result)\n\(agent.command.errorSoFar)")
            #expect(try settings() == clean)
            let open = try Lab.run([
                "sqlite3", "/var/lib/sluice/ledger.db", "SELECT count(*) FROM lease WHERE state <> 'free'",
            ])
            let ended = try Lab.run([
                "sqlite3", "/var/lib/sluice/ledger.db",
                "SELECT count(*) FROM transition WHERE \"from\" = 'scrubbing' AND \"to\" = 'free'",
            ])
            #expect(open == "0\n" && ended == "128\n")
        }

        @Test("Killed at many moments under load: no lease is lost, none given twice, no VF keeps a tenant's settings")
        func killed() throws {
            let agent = try AgentProcess(AgentProcess.hostFile(virtualFunctions: 4))
            let clean = try settings()
            let tenants = Tenants(count: 16)
            var random = SystemRandomNumberGenerator()
            for round in 0..<(Lab.isSoak ? 50 : 10) {
                tenants.waitForAnswers(Int.random(in: 1...12, using: &random))
                agent.command.kill(SIGKILL)
                tenants.close()
                try agent.restartAfterCrash()
                // Whoever has an answer has a lease, and has it alone.
                let open = Dictionary(
                    try agent.leases().map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
                for (id, function) in tenants.held {
                    #expect(
                        open[id]?.state == "active" && open[id]?.function == function,
                        "round \(round): lease \(id) of \(function) is \(open[id].map { "\($0)" } ?? "lost")")
                }
                #expect(Set(tenants.held.values).count == tenants.held.count, "round \(round): given twice")
                tenants.open()
            }
            #expect(tenants.finish().isEmpty)
            let left = try agent.leases().map { "\($0.id) \($0.state) \($0.reason ?? "") \($0.consumer)" }
            #expect(left.isEmpty, "\(left)")
            #expect(try settings() == clean)
        }

        @Test("A full disk refuses a lease in one sentence and changes nothing; when there is room again, all goes on")
        func fullDisk() throws {
            try Lab.run(["mkdir", "-p", "/var/lib/sluice"])
            try Lab.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", "/var/lib/sluice"])
            defer { _ = try? Lab.run(["umount", "-l", "/var/lib/sluice"]) }
            let agent = try AgentProcess()
            defer { withExtendedLifetime(agent) {} }
            let kept = try #require(try agent.acquire().leases.first)
            let before = try settings()
            let filling = try Command(["dd", "if=/dev/zero", "of=/var/lib/sluice/filling", "bs=4k"]).finish()
            #expect(filling.status != 0)
            do throws(LeasingError) {
                // The last pages of the log may have had room left.
                for _ in 0..<64 {
                    let body = AgentProcess.body()
                    let grant: GrantView = try AgentProcess.connect().send("POST", "/v1/leases", body)
                    for lease in grant.leases {
                        let _: LeaseView = try AgentProcess.connect().send("DELETE", "/v1/leases/\(lease.id)")
                    }
                }
                Issue.record("a full disk took everything")
            } catch {
                #expect(error.code == .ledger, "\(error)")
                #expect(
                    error.remedy?.contains("free space") == true || error.remedy?.contains("full") == true, "\(error)")
            }
            #expect(try agent.leases().contains { $0.id == kept.id && $0.state == "active" })
            try Lab.run(["rm", "/var/lib/sluice/filling"])
            #expect(try agent.acquire().leases.count == 1)
            for lease in try agent.leases() where lease.id != kept.id { _ = try agent.release(lease.id) }
            #expect(try agent.leases().map(\.id) == [kept.id])
            #expect(try settings() == before)
        }

        @Test("A ledger that cannot be written keeps the agent from starting, and it says so")
        func readOnlyLedger() throws {
            try Lab.run(["mkdir", "-p", "/var/lib/sluice"])
            try Lab.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/var/lib/sluice"])
            defer { _ = try? Lab.run(["umount", "/var/lib/sluice"]) }
            let file = try Lab.file("read-only.yaml", AgentProcess.hostFile())
            let result = try Command(["sluiced", "-f", file, "--group", ""]).finish()
            #expect(result.status == 1 && result.error.contains("Read-only file system"), "\(result)")
            #expect(try Lab.host().functions.allSatisfy { $0.pci.physicalFunction == nil })
        }

        @Test("A clock that jumps back lets no lease live longer, one that jumps ahead ends none early")
        func clockJumps() throws {
            let agent = try AgentProcess()
            func jump(_ seconds: Int) throws {
                var now = timespec()
                clock_gettime(CLOCK_REALTIME, &now)
                now.tv_sec += seconds
                try #require(clock_settime(CLOCK_REALTIME, &now) == 0)
            }
            let long = try #require(try agent.acquire { $0.ttlSeconds = 3_600 }.leases.first)
            /// Takes a lease with a time to live, changes the clock, and follows the events until the lease has ended.
            func ending(after seconds: Int64, jump distance: Int) throws -> Duration {
                var lease: LeaseView?
                return try agent.event(within: 10) {
                    lease = try agent.acquire { $0.ttlSeconds = seconds }.leases.first
                    try jump(distance)
                } _: {
                    $0.contains(lease?.id ?? "no lease") && $0.contains("\"to\":\"free\"")
                }
            }
            defer { try? jump(-79_200) }
            print("lease of 3 s ended after \(try ending(after: 3, jump: -7_200))")
            // A lease that ends by itself makes the agent look at all deadlines.
            _ = try ending(after: 1, jump: 86_400)
            #expect(try agent.leases().map(\.id) == [long.id])
        }

        @Test("SIGTERM in the middle of an apply ends the agent within 2 s, and the next start finishes the apply")
        func stoppedInApply() throws {
            let agent = try AgentProcess()
            var result: (result: Command.Result, duration: Duration)?
            _ = try agent.event(within: 60) {
                for port in try Lab.host().physicalFunctions where port.link != nil {
                    try Lab.write("0", to: "\(PCIReader.path(port.pci.address))/sriov_numvfs")
                }
            } _: {
                // The loss is told before anything is done about it.
                guard $0.contains("function.removed") else { return false }
                result = try? agent.stop()
                return true
            }
            let stopped = try #require(result)
            #expect(stopped.result.status == 0 && stopped.duration < .seconds(2), "\(stopped)")
            try agent.start()
            #expect(try Lab.host().functions.count { $0.pci.isBoundToVFIO && $0.pci.physicalFunction != nil } == 8)
        }

        @Test(
            "A VF that cannot be reset is quarantined: list and doctor say so and why, nobody gets it, repair frees it")
        func quarantine() throws {
            let agent = try AgentProcess()
            #expect(try Lab.sluice("doctor").status == 0)
            let lease = try #require(try agent.acquire().leases.first)
            let methods = "/sys/bus/pci/devices/\(lease.address)/reset_method"
            try Lab.write("\n", to: methods)
            #expect(try agent.release(lease.id).state == "quarantined")
            let list = try Lab.sluice("list").output.split(separator: "\n").first { $0.contains(lease.address) }
            #expect(list?.contains("quarantined") == true, "\(list ?? "")")
            let doctor = try Lab.sluice("doctor")
            #expect(doctor.status == 3 && doctor.output.contains("[vf.quarantined]"), "\(doctor)")
            #expect(doctor.output.contains("lease repair \(lease.id)") && doctor.output.contains("reset"), "\(doctor)")
            let faults: [FaultView] = try agent.client().get("/v1/faults")
            #expect(faults.map(\.id) == ["vf.quarantined"] && faults.first?.subject == lease.address)
            #expect(throws: LeasingError.self) {
                try agent.acquire {
                    $0.pool = nil
                    $0.function = lease.address
                }
            }
            try Lab.write("default", to: methods)
            #expect(try Lab.sluice("lease", "repair", lease.id).status == 0)
            #expect(try agent.leases().isEmpty)
            #expect(try Lab.sluice("doctor").status == 0)
        }

        @Test("What somebody used without a lease is reset before it is given to a tenant")
        func foreignUse() throws {
            let agent = try AgentProcess()
            let trace = try FunctionLevelResets()
            let vf = try #require(try Lab.host().functions.first { $0.name == "ens10 vf 0" })
            let held = try VFIODevice(vf.pci.address)
            func state() throws -> String? {
                let pool: PoolView = try agent.client().get("/v1/pools/tenant")
                return pool.functions.first { $0.name == "ens10 vf 0" }?.state
            }
            // Opening and closing a node is all that happens, and is seen.
            try Lab.wait(for: "the holder to be seen") { try state() == "foreign" }
            held.close()
            try Lab.wait(for: "its end to be seen") { try state() == "free" }
            let before = try trace.count()
            _ = try agent.acquire {
                $0.pool = nil
                $0.function = "\(vf.pci.address)"
            }
            #expect(try trace.count() == before + 1)
        }

        @Test("At rest nothing of the agent wakes in 20 s")
        func atRest() throws {
            let agent = try AgentProcess()
            let lease = try #require(try agent.acquire().leases.first)
            #expect(try agent.release(lease.id).state == "free")
            try Lab.run(["udevadm", "settle", "-t", "60"])
            /// What its threads ask the kernel for within some seconds: all sleep at the beginning and at the end.
            func calls(in seconds: Int) throws -> [Substring] {
                let trace = "/tmp/rest"
                let pid = "\(agent.command.pid)"
                _ = try Command(["timeout", "\(seconds)", "strace", "-f", "-p", pid, "-o", trace]).finish()
                let bytes = try #require(try LiveFileTree().contents(trace, limit: 1 << 20))
                return String(decoding: bytes, as: UTF8.self).split(separator: "\n")
            }
            // What the start has set off comes to its end meanwhile.
            _ = try calls(in: 5)
            let seen = try calls(in: 20)
            let woken = seen.filter { !$0.contains("<unfinished ...>") && !$0.contains("<detached ...>") }
            #expect(seen.contains { $0.contains("epoll") } && woken.isEmpty, "\(woken.prefix(20))")
            let status = try #require(try LiveFileTree().wholeText("/proc/\(agent.command.pid)/status"))
            let resident = try #require(
                status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }?
                    .split(separator: " ").dropFirst().first.flatMap { Int($0) })
            print("resident at rest: \(resident) kB")
        }
    }
}

/// Tenants that take and give back as fast as they can, through restarts of the agent. What they know is what they were
/// answered.
final class Tenants: Sendable {
    private struct State {
        var held: [String: String] = [:]
        var answers = 0
        var wanted = Int.max
        var isOpen = true
        var isFinishing = false
        var failures: [String] = []
    }

    private let state = Mutex(State())
    private let changed = Condition()
    private let ended: Mutex<Int>
    private let count: Int

    init(count: Int) {
        self.count = count
        ended = Mutex(0)
        for number in 0..<count {
            startThread { [self] in
                run(number)
                ended.withLock { $0 += 1 }
                changed.signal()
            }
        }
    }

    /// The leases that tenants were given, and their functions.
    var held: [String: String] { state.withLock { $0.held } }

    /// Waits until the agent has answered some more requests.
    func waitForAnswers(_ number: Int) {
        let wanted = state.withLock { $0.answers + number }
        changed.wait { self.state.withLock { $0.answers >= wanted } }
    }

    /// Nobody asks until the agent is there again.
    func close() { state.withLock { $0.isOpen = false } }

    func open() {
        state.withLock { $0.isOpen = true }
        changed.signal()
    }

    /// Lets everybody give back what they have, and returns what went wrong.
    func finish() -> [String] {
        state.withLock { $0.isFinishing = true }
        changed.signal()
        changed.wait { self.ended.withLock { $0 } == self.count }
        return state.withLock { $0.failures }
    }

    private func answered(_ change: (inout State) -> Void = { _ in }) {
        state.withLock { state in
            state.answers += 1
            change(&state)
        }
        changed.signal()
    }

    private func run(_ number: Int) {
        var round = 0
        while !state.withLock({ $0.isFinishing }) {
            round += 1
            guard let lease = acquire(number, key: "tenant-\(number)-\(round)") else { continue }
            release(lease)
        }
    }

    /// Asks with the same key until there is an answer.
    private func acquire(_ number: Int, key: String) -> LeaseView? {
        var body = LeaseBody()
        (body.pool, body.consumer) = ("tenant", "person:tenant-\(number)")
        var settings = SettingsView()
        (settings.trust, settings.maxTxRateMbps, settings.vlan) = (true, 100, .init(id: 100 + number))
        body.settings = settings
        while true {
            changed.wait { self.state.withLock { $0.isOpen } }
            do throws(LeasingError) {
                let grant: GrantView = try AgentProcess.connect().send(
                    "POST", "/v1/leases", body, idempotencyKey: key)
                guard let lease = grant.leases.first else { return nil }
                answered { $0.held[lease.id] = lease.function }
                return lease
            } catch  where [LeasingError.Code.unreachable.rawValue, "agent.starting"].contains(error.code.rawValue) {
                continue
            } catch {
                answered { $0.failures.append("acquire: \(error)") }
                return nil
            }
        }
    }

    private func release(_ lease: LeaseView) {
        // From here on the agent may have given it to somebody else before we hear of it.
        state.withLock { _ = $0.held.removeValue(forKey: lease.id) }
        while true {
            changed.wait { self.state.withLock { $0.isOpen } }
            do throws(LeasingError) {
                let ended: LeaseView = try AgentProcess.connect().send("DELETE", "/v1/leases/\(lease.id)")
                answered { if ended.state != "free" { $0.failures.append("release: \(ended.state)") } }
                return
            } catch  where [LeasingError.Code.unreachable.rawValue, "agent.starting"].contains(error.code.rawValue) {
                continue
            } catch {
                // It had ended before the agent was killed, and its answer was lost.
                answered { if error.code != .noLease { $0.failures.append("release: \(error)") } }
                return
            }
        }
    }
}

/// A condition that threads wait for.
final class Condition: @unchecked Sendable {
    // Neither is moved while it is in use.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func signal() {
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    func wait(until isMet: () -> Bool) {
        pthread_mutex_lock(mutex)
        while !isMet() { pthread_cond_wait(condition, mutex) }
        pthread_mutex_unlock(mutex)
    }
}
