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
protocol LeaseBackend: Sendable {
    func acquire(_ body: LeaseBody, idempotencyKey: String?) async throws -> GrantView
    func release(_ id: String) async throws -> LeaseView
    func repair(_ id: String) async throws -> LeaseView
}

/// Whoever tells about leases and pools.
protocol LeaseReading: Sendable {
    func pools() throws -> [PoolView]
    func leases() throws -> [LeaseView]
    func lease(_ id: String) throws -> LeaseView
    func history(_ selector: String?) throws -> [TransitionView]
}

/// Where the agent is, and what is used without it.
struct AgentOptions: ParsableArguments {
    @OptionGroup var location: AgentLocation

    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp("The host file with the pools, when no agent runs.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml"]))
    var file = HostFileOptions.defaultPath

    /// Whoever can change leases.
    func backend() async throws -> any LeaseBackend {
        if let client = location.client { return AgentBackend(client: client) }
        let backend = try LocalBackend(state: location.stateDirectory, file: file)
        await backend.reconcile()
        return backend
    }

    /// Whoever can tell about them; nothing is changed, cleaned or locked by asking.
    func reader() throws -> any LeaseReading {
        if let client = location.client { return AgentBackend(client: client) }
        return try RecordedLeases(state: location.stateDirectory, file: file)
    }
}

/// The agent.
private struct AgentBackend: LeaseBackend, LeaseReading {
    let client: AgentClient

    func pools() throws -> [PoolView] { try client.get("/v1/pools") }
    func leases() throws -> [LeaseView] { try client.get("/v1/leases") }
    func lease(_ id: String) throws -> LeaseView { try client.get("/v1/leases/\(escaped(id))") }
    func acquire(_ body: LeaseBody, idempotencyKey: String?) throws -> GrantView {
        // With a key the agent lets the request wait while it starts.
        let key = idempotencyKey ?? String(UInt64.random(in: 0 ... .max), radix: 36)
        return try client.send("POST", "/v1/leases", body, idempotencyKey: key)
    }
    func release(_ id: String) throws -> LeaseView { try client.send("DELETE", "/v1/leases/\(escaped(id))") }
    func repair(_ id: String) throws -> LeaseView { try client.send("POST", "/v1/leases/\(escaped(id))/repair") }
    func history(_ selector: String?) throws -> [TransitionView] {
        try client.get("/v1/history" + (selector.map { "?device=\(escaped($0))" } ?? ""))
    }

    private func escaped(_ text: String) -> String { AgentClient.escaped(text) }
}

/// This process, with the ledger in its hands while it runs.
private struct LocalBackend: LeaseBackend {
    let manager: LeaseManager
    private let ledger: Ledger

    init(state: StateDirectory, file: String) throws {
        let kernel = LinuxKernel(writer: try WriterProcess.channel())
        let declared = try HostFileOptions.load(file)
        ledger = try Ledger(in: state)
        let (host, pools) = try look(kernel, declared, state)
        manager = try LeaseManager(kernel: kernel, ledger: ledger, host: host, pools: pools)
    }

    /// Finishes what an earlier command or the agent has left.
    func reconcile() async {
        for error in await manager.reconcile(isStart: true) { Output.error("! \(error)") }
    }

    private var actor: String { "uid \(getuid())" }

    func acquire(_ body: LeaseBody, idempotencyKey: String?) async throws -> GrantView {
        GrantView(
            try await manager.acquire(body.request(person: person, idempotencyKey: idempotencyKey), actor: actor),
            explains: body.explain ?? false)
    }
    func release(_ id: String) async throws -> LeaseView { LeaseView(try await manager.release(id, actor: actor)) }
    func repair(_ id: String) async throws -> LeaseView { LeaseView(try await manager.repair(id, actor: actor)) }

    /// Who is at the keyboard, also under sudo.
    private var person: String {
        if let name = getenv("SUDO_USER") { return String(cString: name) }
        return getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) } ?? "uid-\(getuid())"
    }
}

/// The ledger as it lies on the disk, and the host as it is.
private struct RecordedLeases: LeaseReading {
    private let file: String
    private let state: StateDirectory
    private let reader: LedgerReader?

    init(state: StateDirectory, file: String) throws {
        (self.state, self.file) = (state, file)
        reader = try LedgerReader.open(in: state)
    }

    func pools() throws -> [PoolView] {
        let (_, pools) = try look(readOnlyKernel(), try HostFileOptions.load(file), state)
        let occupied = pools.occupied(by: try reader?.openLeases() ?? [])
        return pools.pools.map { PoolView($0, occupied: occupied) }
    }

    func leases() throws -> [LeaseView] { try reader?.openLeases().map(LeaseView.init) ?? [] }

    func lease(_ id: String) throws -> LeaseView {
        guard let lease = try reader?.leases().first(where: { $0.id == id.uppercased() }) else {
            throw LeasingError(.noLease, "there is no lease \(id)", remedy: "sluice lease list shows the leases")
        }
        return LeaseView(lease)
    }

    func history(_ selector: String?) throws -> [TransitionView] {
        guard let reader else { return [] }
        let host = try HostReader(kernel: readOnlyKernel()).read()
        return try reader.history(of: selector, on: host).map(TransitionView.init)
    }
}

/// The host as it is and its pools.
private func look(
    _ kernel: any HostKernel, _ declared: DeclaredHost, _ state: StateDirectory
) throws -> (host: Host, pools: PoolSet) {
    let serials = (try? KnownSerials(state: state, files: kernel.files).current()) ?? [:]
    let host = try HostReader(kernel: kernel).read(knownSerials: serials)
    let pools = PoolSet(declared, host: host, files: kernel.files, knownSerials: serials)
    if let overlap = pools.overlaps.first { throw overlap }
    return (host, pools)
}
