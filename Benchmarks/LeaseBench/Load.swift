internal import AgentAPI
internal import Dispatch
internal import Glibc
internal import Leasing
internal import SRIOV
internal import Synchronization

/// Many clients that take functions and give them back.
final class Load: Sendable {
    private let socket: String
    private let clients: Int
    private let rounds: Int
    private let state = Mutex(State())
    private let released = DispatchSemaphore(value: 0)

    private struct State {
        var held: Set<String> = []
        var doubles = 0
        var refused = 0
        var failures: [String] = []
        var acquire: [Double] = []
        var release: [Double] = []
    }

    init(socket: String, clients: Int, rounds: Int) {
        self.socket = socket
        self.clients = clients
        self.rounds = rounds
    }

    /// Prints the figures; false when something is wrong.
    func run() -> Bool {
        let clock = ContinuousClock()
        let start = clock.now
        _ = inParallel(Array(0..<clients)) { self.client($0) }
        let seconds = milliseconds(clock.now - start) / 1000
        let state = state.withLock { $0 }
        let open: [LeaseView] = (try? AgentClient(socket: socket)?.get("/v1/leases")) ?? []
        let left = open.filter { $0.consumer.hasPrefix("person:client-") }
        let cycles = state.acquire.count
        print("cycles \(cycles)")
        print("refused \(state.refused)")
        print("cyclesPerSecond \(Int(Double(cycles) / seconds))")
        for (name, times) in [("acquire", state.acquire.sorted()), ("release", state.release.sorted())] where cycles > 0
        {
            for part in [50, 99] {
                print("\(name)P\(part) \(rounded(times[min(times.count - 1, times.count * part / 100)])) ms")
            }
        }
        print("givenTwice \(state.doubles)")
        print("left \(left.count)")
        for failure in Set(state.failures).sorted().prefix(5) { print("failure \(failure)") }
        return state.doubles == 0 && left.isEmpty && state.failures.isEmpty && cycles == clients * rounds
    }

    private func client(_ number: Int) {
        guard let client = AgentClient(socket: socket) else {
            state.withLock { $0.failures.append("the agent does not answer") }
            return
        }
        var body = LeaseBody()
        (body.pool, body.consumer) = ("tenant", "person:client-\(number)")
        var settings = SettingsView()
        settings.trust = true
        body.settings = settings
        var done = 0
        while done < rounds {
            do throws(LeasingError) {
                guard let lease = try acquire(client, body) else {
                    // Somebody gives one back soon; whoever hears of it first gets it.
                    _ = released.wait(timeout: .now() + 1)
                    continue
                }
                let clock = ContinuousClock()
                let start = clock.now
                state.withLock { _ = $0.held.remove(lease.function) }
                let ended: LeaseView = try client.send("DELETE", "/v1/leases/\(lease.id)")
                state.withLock { state in
                    state.release.append(milliseconds(clock.now - start))
                    if ended.state != "free" { state.failures.append("released, it is \(ended.state)") }
                }
                released.signal()
                done += 1
            } catch {
                state.withLock { $0.failures.append("\(error)") }
                return
            }
        }
    }

    /// A lease; nil when the pool is exhausted just now.
    private func acquire(_ client: AgentClient, _ body: LeaseBody) throws(LeasingError) -> LeaseView? {
        let clock = ContinuousClock()
        let start = clock.now
        do throws(LeasingError) {
            let grant: GrantView = try client.send("POST", "/v1/leases", body)
            let time = milliseconds(clock.now - start)
            guard let lease = grant.leases.first else { return nil }
            state.withLock { state in
                state.acquire.append(time)
                if !state.held.insert(lease.function).inserted { state.doubles += 1 }
            }
            return lease
        } catch {
            guard error.code == .exhausted else { throw error }
            state.withLock { $0.refused += 1 }
            return nil
        }
    }
}

private func milliseconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) * 1e3 + Double(duration.components.attoseconds) / 1e15
}

private func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }
