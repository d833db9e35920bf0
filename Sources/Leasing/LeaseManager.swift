internal import Netlink
public import PCI
public import SRIOV
internal import Synchronization

/// Gives functions to consumers and takes them back: chooses, records, prepares, and cleans.
///
/// The picture in memory and the ledger are changed together: a function is taken in memory first, so that two requests
/// never get the same one, and is done to only after the ledger has it on disk.
public final class LeaseManager: Sendable {
    let ledger: Ledger
    let care: FunctionCare
    let queues = DeviceQueues()
    let clock: any LeaseClock
    let probe: ConsumerProbe
    let watcher: ProcessWatcher
    let state: Mutex<State>
    private let onTransition: @Sendable ([Transition]) -> Void

    /// How long a lease may be reserved or prepared, and a domain may take to start, seconds.
    public static let startSeconds: Int64 = 120

    struct State {
        var host: Host
        var pools: PoolSet
        var leases: [String: Lease] = [:]
        var open: [FunctionIdentity: String] = [:]
        /// Leases that a task works on, and the tasks that wait for their turn.
        var owned: Set<String> = []
        var waiting: [String: [CheckedContinuation<Void, Never>]] = [:]
        /// Idempotency keys of requests that are being answered, and the tasks that wait for the answer.
        var answering: [String: [CheckedContinuation<Void, Never>]] = [:]
        var byKey: [String: [String]] = [:]
        /// Ports whose functions are being created or configured, and the requests that wait for the end of it.
        var maintained: Set<PCIAddress> = []
        var waitingForPorts: [CheckedContinuation<Void, Never>] = []
        /// How often something could not be recorded since the last success.
        var ledgerFailures = 0
    }

    /// A lease manager of a host. Leases of earlier runs are taken over as they are in the ledger; call `reconcile` to
    /// finish what was interrupted.
    ///
    /// The closures are called on any thread: one for each recorded change, one when a consumer or a holder has ended
    /// and `reconcile` has something to do.
    public init(
        kernel: any HostKernel, ledger: Ledger, host: Host, pools: PoolSet, clock: (any LeaseClock)? = nil,
        onTransition: @escaping @Sendable ([Transition]) -> Void = { _ in },
        onProcessExit: @escaping @Sendable () -> Void = {}
    ) throws {
        self.ledger = ledger
        self.clock = clock ?? HostClock(files: kernel.files)
        self.onTransition = onTransition
        care = FunctionCare(kernel: kernel)
        probe = ConsumerProbe(files: kernel.files)
        watcher = try ProcessWatcher(onExit: onProcessExit)
        var initial = State(host: host, pools: pools)
        for lease in try ledger.leases() { initial.store(lease) }
        state = Mutex(initial)
    }

    // MARK: Looking

    /// All leases that have not ended, oldest first.
    public var leases: [Lease] {
        state.withLock { $0.leases.values.filter(\.state.isOpen).sorted { ($0.created, $0.id) < ($1.created, $1.id) } }
    }

    /// A lease by its identifier; ended ones are known for a while when they had an idempotency key.
    public func lease(_ id: String) throws(LeasingError) -> Lease {
        guard let lease = state.withLock({ $0.leases[id.uppercased()] }) else {
            throw LeasingError(.noLease, "there is no lease \(id)", remedy: "sluice lease list shows the leases")
        }
        return lease
    }

    /// The pools and the functions that can be leased, as they were last seen.
    public var pools: PoolSet { state.withLock { $0.pools } }

    /// The host as it was last seen, with leases among the holders.
    public var host: Host {
        state.withLock { state in
            var host = state.host
            host.add(state.leases.values.filter(\.state.isOpen))
            return host
        }
    }

    /// Why the functions of the pools that are not free are not.
    public var occupied: [FunctionIdentity: Placement.Occupation] { state.withLock { $0.occupied() } }

    /// How often something could not be recorded since it last could.
    public var ledgerFailures: Int { state.withLock { $0.ledgerFailures } }

    /// Now, milliseconds since 1970.
    public var now: Int64 { clock.now().wall }

    /// Runs a body during which no function of some ports is leased: they are being created or configured.
    public func maintaining<Value>(_ ports: Set<PCIAddress>, _ body: () async throws -> Value) async throws -> Value {
        state.withLock { $0.maintained = ports }
        defer {
            let waiting = state.withLock { state in
                state.maintained = []
                defer { state.waitingForPorts = [] }
                return state.waitingForPorts
            }
            for continuation in waiting { continuation.resume() }
        }
        return try await body()
    }

    /// Waits until no port is maintained; false at once when none is.
    func waitForPorts() async -> Bool {
        var hasWaited = false
        await withCheckedContinuation { continuation in
            let isWaiting = state.withLock { state in
                guard !state.maintained.isEmpty else { return false }
                state.waitingForPorts.append(continuation)
                return true
            }
            hasWaited = isWaiting
            if !isWaiting { continuation.resume() }
        }
        return hasWaited
    }

    /// Takes over a new picture of the host and its pools.
    public func update(host: Host, pools: PoolSet) {
        state.withLock { state in
            state.host = host
            state.pools = pools
        }
    }

    // MARK: One task a lease

    /// Runs a body that alone may change a lease.
    func owning<Value>(_ id: String, _ body: () async throws(LeasingError) -> Value) async throws(LeasingError) -> Value
    {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.owned.insert(id).inserted { return true }
                state.waiting[id, default: []].append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
        defer {
            let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
                if var queue = state.waiting[id], !queue.isEmpty {
                    let next = queue.removeFirst()
                    state.waiting[id] = queue.isEmpty ? nil : queue
                    return next
                }
                state.owned.remove(id)
                return nil
            }
            next?.resume()
        }
        return try await body()
    }

    /// Records changes and then shows them. What cannot be recorded has not happened.
    func record(_ changes: [Ledger.Change]) async throws(LeasingError) {
        do {
            let transitions = try await ledger.commit(changes)
            state.withLock { state in
                state.ledgerFailures = 0
                for change in changes { state.store(change.lease) }
            }
            onTransition(transitions)
        } catch let error as LeasingError {
            if error.code == .ledger { state.withLock { $0.ledgerFailures += 1 } }
            throw error
        } catch {
            throw LeasingError(.ledger, "the ledger cannot be written: \(error)")
        }
    }

    /// The function of a lease on the host as it is; nil when it is not there.
    func member(of lease: Lease) -> Pool.Member? { state.withLock { $0.member(of: lease) } }

    /// A lease's change through events, ready to be recorded.
    func change(_ lease: inout Lease, through events: [LeaseEvent], cause: Cause) throws(LeasingError) -> Ledger.Change
    {
        var path: [LeaseState?] = [lease.state]
        for event in events {
            guard let next = lease.state.after(event) else {
                throw LeasingError(
                    .state, "lease \(lease.id) is \(lease.state.rawValue); \(event.rawValue) is not possible then")
            }
            lease.state = next
            path.append(next)
        }
        lease.changed = clock.now().wall
        return Ledger.Change(lease: lease, path: path, cause: cause)
    }
}

extension LeaseManager.State {
    mutating func store(_ lease: Lease) {
        if lease.state.isOpen {
            leases[lease.id] = lease
            open[lease.function] = lease.id
        } else {
            if open[lease.function] == lease.id { open[lease.function] = nil }
            // Only repeated requests ask for leases that have ended.
            leases[lease.id] = lease.idempotencyKey == nil ? nil : lease
        }
        guard let key = lease.idempotencyKey else { return }
        if byKey[key]?.contains(lease.id) != true { byKey[key, default: []].append(lease.id) }
        forgetOldKeys()
    }

    /// Keeps the memory of repeated requests bounded, as the ledger does.
    private mutating func forgetOldKeys() {
        guard byKey.count > 2 * LedgerSchema.keptLeases else { return }
        let ended = leases.values.filter { !$0.state.isOpen }.sorted { $0.changed < $1.changed }
        for lease in ended.dropLast(LedgerSchema.keptLeases) {
            leases[lease.id] = nil
            if let key = lease.idempotencyKey { byKey[key] = nil }
        }
    }

    mutating func forget(_ lease: Lease) {
        leases[lease.id] = nil
        if open[lease.function] == lease.id { open[lease.function] = nil }
    }

    func occupied() -> [FunctionIdentity: Placement.Occupation] {
        var result: [FunctionIdentity: Placement.Occupation] = [:]
        for member in pools.allMembers {
            if let lease = open[member.identity].flatMap({ leases[$0] }) {
                result[member.identity] = .lease(lease)
            } else if maintained.contains(member.portAddress) {
                result[member.identity] = .maintained
            } else if !member.function.holders.isEmpty {
                result[member.identity] = .foreign(member.function.holders)
            }
        }
        return result
    }

    func member(of lease: Lease) -> Pool.Member? {
        if let member = pools.member(lease.function) { return member }
        // It may not be declared any more, or its port's netdev may be out of sight.
        guard
            let function = host.functions.first(where: { FunctionIdentity($0, in: host) == lease.function })
                ?? host[lease.address].flatMap({ FunctionIdentity($0, in: host).isPlace ? $0 : nil })
        else { return nil }
        return Pool.Member(
            function: function, identity: lease.function, port: function.pci.physicalFunction.flatMap { host[$0] },
            policy: .init(), driver: nil)
    }
}

extension Host {
    /// Adds leases to the holders of their functions.
    public mutating func add(_ leases: some Sequence<Lease>) {
        let byIdentity = Dictionary(leases.map { ($0.function, $0) }, uniquingKeysWith: { first, _ in first })
        guard !byIdentity.isEmpty else { return }
        for index in functions.indices where functions[index].isAssignable {
            guard let lease = byIdentity[FunctionIdentity(functions[index], in: self)] else { continue }
            functions[index].holders.append(
                Holder(.lease(id: lease.id, consumer: "\(lease.consumer)"), through: functions[index].name))
        }
    }
}
