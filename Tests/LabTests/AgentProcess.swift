import AgentAPI
import Glibc
import Leasing
import PCI
import SRIOV
import Testing

/// A real sluiced beside the test, with a host file of its own. It tells through sd_notify when it is ready.
final class AgentProcess {
    static let socketPath = "/run/sluice/sluice.sock"
    /// One pool of the VFs of all four ports. The kernel takes a second for a few VFs, so there are no more than needed.
    static func hostFile(virtualFunctions count: Int = 2) -> String {
        """
        physicalFunctions:
          - { match: { netdev: ens10 }, virtualFunctions: \(count), driver: vfio-pci, defaults: { trust: off } }
          - { match: { netdev: ens11 }, virtualFunctions: \(count), driver: vfio-pci }
          - { match: { netdev: ens12 }, virtualFunctions: \(count), driver: vfio-pci }
          - { match: { netdev: ens13 }, virtualFunctions: \(count), driver: vfio-pci }
        pools:
          tenant:
            functions: [{ physicalFunction: ens10 }, { match: { netdev: ens11 } }, { match: { numaNode: 1 } }]
            settings: { vlan: { id: 42 } }
        """
    }

    private(set) var command: Command
    /// The host file that it was started with.
    let file: String
    private let arguments: [String]
    private let notify: Int32
    private let notifyPath: String

    /// Starts an agent, below another program if there is a prefix; the closure may have to wake it.
    init(
        _ hostFile: String = AgentProcess.hostFile(), arguments: [String] = [], prefix: [String] = [],
        wakeUp: @escaping @Sendable () -> Void = {}
    ) throws {
        file = try Lab.file("agent-\(getpid()).yaml", hostFile)
        self.arguments = prefix + ["sluiced", "-f", file, "--group", ""] + arguments
        let path = "/tmp/notify-\(UInt64.random(in: 0 ... .max))"
        notifyPath = path
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        notify = descriptor
        try #require(bound == 0)
        command = try Self.start(self.arguments, notifyPath)
        startThread(wakeUp)
        try waitFor("READY=1")
    }

    deinit {
        command.kill(SIGKILL)
        _ = try? command.finish()
        close(notify)
        unlink(notifyPath)
    }

    private static func start(_ arguments: [String], _ notify: String) throws -> Command {
        setenv("NOTIFY_SOCKET", notify, 1)
        defer { unsetenv("NOTIFY_SOCKET") }
        return try Command(arguments)
    }

    /// Waits until the agent has said something to systemd.
    func waitFor(_ state: String) throws {
        var time = timeval(tv_sec: 90, tv_usec: 0)
        setsockopt(notify, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        var bytes = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(notify, &bytes, bytes.count, 0)
            try #require(count > 0, "the agent did not say \(state): \(command.errorSoFar)")
            if String(decoding: bytes[..<count], as: UTF8.self).contains(state) { return }
        }
    }

    func client() throws -> AgentClient {
        try #require(AgentClient(socket: Self.socketPath), "\(command.errorSoFar)")
    }

    /// A client of whatever agent answers now.
    static func connect() throws(LeasingError) -> AgentClient {
        guard let client = AgentClient(socket: socketPath) else {
            throw LeasingError(.unreachable, "no agent answers")
        }
        return client
    }

    /// A request for one function of the pool.
    static func body() -> LeaseBody {
        var body = LeaseBody()
        body.pool = "tenant"
        body.consumer = "person:test"
        return body
    }

    /// Starts it anew after it was killed.
    func restartAfterCrash() throws {
        _ = try command.finish()
        try start()
    }

    /// Ends it as systemd does, and returns how long that took.
    func stop() throws -> (result: Command.Result, duration: Duration) {
        let clock = ContinuousClock()
        let start = clock.now
        command.kill(SIGTERM)
        // One that does not end is told of with what its threads wait for.
        try Lab.wait(for: "the agent's end: \(threads)") { command.hasEnded }
        let result = try command.finish()
        return (result, clock.now - start)
    }

    private var threads: String {
        let folder = "/proc/\(command.pid)/task"
        let tasks = ((try? LiveFileTree().entries(folder)) ?? nil) ?? []
        return tasks.map { task in
            let parts = ["comm", "wchan", "syscall"].map { name in
                ((try? LiveFileTree().text("\(folder)/\(task)/\(name)")) ?? nil) ?? "?"
            }
            return parts.joined(separator: " ")
        }.joined(separator: "; ")
    }

    /// Starts it again after `stop` or `crash`.
    func start() throws {
        command = try Self.start(arguments, notifyPath)
        try waitFor("READY=1")
    }

    func acquire(_ change: (inout LeaseBody) -> Void = { _ in }, key: String? = nil) throws -> GrantView {
        var body = Self.body()
        change(&body)
        return try client().send("POST", "/v1/leases", body, idempotencyKey: key)
    }

    func release(_ id: String) throws -> LeaseView { try client().send("DELETE", "/v1/leases/\(id)") }

    func leases() throws -> [LeaseView] { try client().get("/v1/leases") }

    /// Follows the agent's events until one satisfies a condition; the body is run once the stream stands.
    func event(
        within seconds: Int64, after body: @escaping () throws -> Void, _ condition: (String) -> Bool
    ) throws -> Duration {
        let clock = ContinuousClock()
        var start: ContinuousClock.Instant?
        var thrown: (any Error)?
        var found: Duration?
        try client().lines("/v1/events", lastEventID: nil, quietSeconds: 120) { line in
            // The first line is sent when the subscription stands.
            if start == nil {
                start = clock.now
                do { try body() } catch { thrown = error }
                return thrown == nil
            }
            guard line.hasPrefix("data: "), condition(line) else { return true }
            found = start.map { clock.now - $0 }
            return false
        }
        if let thrown { throw thrown }
        let duration = try #require(found)
        #expect(duration < .seconds(seconds), "it took \(duration)")
        return duration
    }
}
