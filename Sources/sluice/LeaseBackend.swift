internal import AgentAPI
internal import ArgumentParser
internal import FoundationEssentials
internal import Glibc
internal import HostFile
internal import Leasing
internal import PCI
internal import SRIOV

/// Whoever answers for leases and pools: the agent when it runs, this process when it does not. Both give the same
/// answers, from the same ledger.
protocol LeaseBackend {
    func pools() async throws -> [PoolView]
    func leases() async throws -> [LeaseView]
    func lease(_ id: String) async throws -> LeaseView
    func acquire(_ body: LeaseBody, idempotencyKey: String?) async throws -> GrantView
    func release(_ id: String) async throws -> LeaseView
    func repair(_ id: String) async throws -> LeaseView
    func history(_ selector: String?) async throws -> [TransitionView]
}

/// Where the agent is, and what is used without it.
struct AgentOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The agent's socket.", valueName: "path"), completion: .file())
    var socket = AgentClient.defaultSocket

    @Option(
        name: .long, help: ArgumentHelp("Where the records are, when no agent runs.", valueName: "dir"),
        completion: .directory)
    var state = "/var/lib/sluice"

    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp("The host file with the pools, when no agent runs.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml"]))
    var file = HostFileOptions.defaultPath

    func backend() async throws -> any LeaseBackend {
        if let client = AgentClient(socket: socket) { return AgentBackend(client: client) }
        return try await LocalBackend(state: StateDirectory(path: state), file: file)
    }
}

/// The agent.
private struct AgentBackend: LeaseBackend {
    let client: AgentClient

    func pools() throws -> [PoolView] { try client.get("/v1/pools") }
    func leases() throws -> [LeaseView] { try client.get("/v1/leases") }
    func lease(_ id: String) throws -> LeaseView { try client.get("/v1/leases/\(escaped(id))") }
    func acquire(_ body: LeaseBody, idempotencyKey: String?) throws -> GrantView {
        try client.send("POST", "/v1/leases", body, idempotencyKey: idempotencyKey)
    }
    func release(_ id: String) throws -> LeaseView { try client.send("DELETE", "/v1/leases/\(escaped(id))") }
    func repair(_ id: String) throws -> LeaseView { try client.send("POST", "/v1/leases/\(escaped(id))/repair") }
    func history(_ selector: String?) throws -> [TransitionView] {
        try client.get("/v1/history" + (selector.map { "?device=\(escaped($0))" } ?? ""))
    }

    private func escaped(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain =
                UnicodeScalar(byte).properties.isAlphabetic || (48...57).contains(byte) || "-._~".utf8.contains(byte)
            return isPlain && byte < 128
                ? String(UnicodeScalar(byte)) : "%" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
    }
}

/// This process, with the ledger in its hands while it runs.
private struct LocalBackend: LeaseBackend {
    let manager: LeaseManager
    private let ledger: Ledger

    init(state: StateDirectory, file: String) async throws {
        let kernel = LinuxKernel(writer: try WriterProcess.channel())
        let declared = try HostFileOptions.load(file)
        ledger = try Ledger(in: state)
        let host = try HostReader(kernel: kernel).read()
        let pools = PoolSet(
            declared, host: host, files: kernel.files,
            knownSerials: (try? KnownSerials(state: state, files: kernel.files).current()) ?? [:])
        if let overlap = pools.overlaps.first { throw overlap }
        manager = try LeaseManager(kernel: kernel, ledger: ledger, host: host, pools: pools)
        for error in await manager.reconcile(isStart: true) { Output.error("! \(error)") }
    }

    private var actor: String { "uid \(getuid())" }

    func pools() -> [PoolView] {
        let occupied = manager.occupied
        return manager.pools.pools.map { PoolView($0, occupied: occupied) }
    }
    func leases() -> [LeaseView] { manager.leases.map(LeaseView.init) }
    func lease(_ id: String) throws -> LeaseView { LeaseView(try manager.lease(id)) }
    func acquire(_ body: LeaseBody, idempotencyKey: String?) async throws -> GrantView {
        GrantView(
            try await manager.acquire(body.request(person: person, idempotencyKey: idempotencyKey), actor: actor))
    }
    func release(_ id: String) async throws -> LeaseView { LeaseView(try await manager.release(id, actor: actor)) }
    func repair(_ id: String) async throws -> LeaseView { LeaseView(try await manager.repair(id, actor: actor)) }
    func history(_ selector: String?) throws -> [TransitionView] {
        try manager.history(of: selector).map(TransitionView.init)
    }

    /// Who is at the keyboard, also under sudo.
    private var person: String {
        if let name = getenv("SUDO_USER") { return String(cString: name) }
        return getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) } ?? "uid-\(getuid())"
    }
}
