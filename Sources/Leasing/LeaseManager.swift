internal import Netlink
public import PCI
public import SRIOV
public import Synchronization

/// Gives functions to consumers and takes them back: chooses, records, prepares, and cleans.
///
/// The picture in memory and the ledger are changed together: a function is taken in memory first, so that two requests
/// never get the same one, and is done to only after the ledger has it on disk.
public final class LeaseManager: Sendable {
    package let ledger: Ledger
    let care: FunctionCare
    let queues = DeviceQueues()
    let clock: any LeaseClock
    let probe: ConsumerProbe
    let watcher: ProcessWatcher
    let state: Mutex<LeaseBook>
    /// Tells that `reconcile` has something to do.
    let onWork: @Sendable () -> Void
    /// Whether a domain, by UUID, is starting, or runs and has the function at an address; nil when nobody can tell. Set by
    /// whoever follows libvirt.
    public let domainLife = Mutex<@Sendable (String, PCIAddress) -> Bool?> { _, _ in nil }
    /// Tells that somebody was promised functions, or got none of them. Set by whoever shows what is free.
    public let onPromises = Mutex<@Sendable () -> Void> {}
    /// Tells that the picture of the host is old: a holder has ended.
    let onHolderGone: @Sendable () -> Void

    /// How long a lease may be reserved or prepared, and a domain may take to start, seconds.
    public static let startSeconds: Int64 = 120

    /// A lease manager of a host. Leases of earlier runs are taken over as they are in the ledger; call `reconcile` to
    /// finish what was interrupted.
    ///
    /// The closures are called on any thread: one when a consumer has ended, a lease has got a deadline, or something is
    /// left to do, and `reconcile` does it; the other when a holder has ended, and the host is to be read anew.
    public init(
        kernel: any HostKernel, ledger: Ledger, host: Host, pools: PoolSet, clock: (any LeaseClock)? = nil,
        onWork: @escaping @Sendable () -> Void = {}, onHolderGone: @escaping @Sendable () -> Void = {}
    ) throws {
        self.ledger = ledger
        self.clock = clock ?? HostClock(files: kernel.files)
        self.onWork = onWork
        self.onHolderGone = onHolderGone
        care = FunctionCare(kernel: kernel, serials: KnownSerials(state: ledger.state, files: kernel.files))
        probe = ConsumerProbe(files: kernel.files)
        watcher = try ProcessWatcher {
            onWork()
            onHolderGone()
        }
        var book = LeaseBook(host: host, pools: pools)
        for lease in try ledger.reader.leases() { book.store(lease) }
        state = Mutex(book)
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
        state.withLock { book in
            var host = book.host
            host.add(book.leases.values.filter(\.state.isOpen))
            return host
        }
    }

    /// The host as it was last seen, without leases.
    public var observedHost: Host { state.withLock { $0.host } }

    /// Why the functions of the pools that are not free are not.
    public var occupied: [FunctionIdentity: Placement.Occupation] { state.withLock { $0.occupied() } }

    /// The same, with the functions that somebody is about to get.
    public var occupiedOrPromised: [FunctionIdentity: Placement.Occupation] {
        state.withLock { book in
            book.occupied().merging(book.promised.mapValues { _ in .promised }) { known, _ in known }
        }
    }

    /// Now, milliseconds since 1970.
    public var now: Int64 { clock.now().wall }

    /// What happened to a device or a lease; see `LedgerReader.history`.
    public func history(of selector: String?) throws(LeasingError) -> [Transition] {
        try ledger.reader.history(of: selector, on: observedHost)
    }

    /// Throws `ledger.unusable` when the ledger cannot be read.
    public func checkLedger() throws(LeasingError) { _ = try ledger.reader.lastNumbers() }

    // MARK: Changing the picture

    /// Runs a body during which no function of some ports is leased: they are being created or configured. The body
    /// ends with an `update`, so that whoever waits for a port finds what has become of it.
    public func maintaining<Value>(_ ports: Set<PCIAddress>, _ body: () async throws -> Value) async throws -> Value {
        state.withLock { book in for port in ports { book.maintained[port, default: 0] += 1 } }
        defer {
            let waiting = state.withLock { book in
                book.maintenanceEnds += 1
                for port in ports {
                    let rest = (book.maintained[port] ?? 1) - 1
                    book.maintained[port] = rest > 0 ? rest : nil
                }
                defer { book.waitingForPorts = [] }
                return book.waitingForPorts
            }
            for continuation in waiting { continuation.resume() }
        }
        return try await body()
    }

    /// Waits until a port that is maintained is so no more; false at once when none is, and none has ceased to be since a
    /// count of such ends was taken.
    func waitForPorts(since ends: Int) async -> Bool {
        var hasEnded = false
        await withCheckedContinuation { continuation in
            let isWaiting = state.withLock { book in
                hasEnded = book.maintenanceEnds != ends || !book.maintained.isEmpty
                guard book.maintenanceEnds == ends, !book.maintained.isEmpty else { return false }
                book.waitingForPorts.append(continuation)
                return true
            }
            if !isWaiting { continuation.resume() }
        }
        return hasEnded
    }

    // MARK: One task a lease

    /// Runs a body that alone may change a lease.
    func owning<Value>(_ id: String, _ body: () async throws(LeasingError) -> Value) async throws(LeasingError) -> Value
    {
        await own(id)
        defer { disown([id]) }
        return try await body()
    }

    /// Waits until nobody else may change a lease; whoever does is to disown it.
    private func own(_ id: String) async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { book in
                if book.owned.insert(id).inserted { return true }
                book.waiting[id, default: []].append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    /// The lease that may make way for a request, when nobody else changes it any more: whoever does may be about to give it
    /// back, or to write something down. It is to be disowned, unless another takes its place. nil when there is none.
    func ownLease(inTheWayOf request: LeaseRequest) async -> String? {
        func current() -> String? { state.withLock { $0.lease(inTheWayOf: request) } }
        while let id = current() {
            await own(id)
            if current() == id { return id }
            disown([id])
        }
        return nil
    }

    /// Lets whoever waits for leases change them.
    func disown(_ ids: [String]) {
        let next = state.withLock { book in
            ids.compactMap { id -> CheckedContinuation<Void, Never>? in
                if var queue = book.waiting[id], !queue.isEmpty {
                    let next = queue.removeFirst()
                    book.waiting[id] = queue.isEmpty ? nil : queue
                    return next
                }
                book.owned.remove(id)
                return nil
            }
        }
        for continuation in next { continuation.resume() }
    }

    /// Records changes and then shows them. What cannot be recorded has not happened.
    func record(_ changes: [Ledger.Change]) async throws(LeasingError) {
        do {
            try await ledger.commit(changes)
        } catch let error as LeasingError {
            throw error
        } catch {
            throw LeasingError(.ledger, "the ledger cannot be written: \(error)")
        }
        state.withLock { book in for change in changes { book.store(change.lease) } }
        // A new deadline is waited for.
        if changes.contains(where: { $0.lease.deadline != nil }) { onWork() }
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
            // A request that was not granted has had no answer: whoever repeats it gets another lease.
            if [.reserved, .preparing].contains(lease.state), ![.preparing, .active].contains(next) {
                lease.idempotencyKey = nil
            }
            lease.state = next
            path.append(next)
        }
        lease.changed = clock.now().wall
        return Ledger.Change(lease: lease, path: path, cause: cause)
    }
}

extension Host {
    /// Adds leases to the holders of their functions.
    public mutating func add(_ leases: some Sequence<Lease>) {
        let byIdentity = Dictionary(leases.map { ($0.function, $0) }, uniquingKeysWith: { first, _ in first })
        let byAddress = Dictionary(leases.map { ($0.address, $0) }, uniquingKeysWith: { first, _ in first })
        guard !byIdentity.isEmpty else { return }
        for index in functions.indices where functions[index].isAssignable {
            let identity = FunctionIdentity(functions[index], in: self)
            // Without its netdev a port does not say who it is; its leases are where they were.
            let lease = byIdentity[identity] ?? (identity.isPlace ? byAddress[functions[index].pci.address] : nil)
            guard let lease else { continue }
            functions[index].holders.append(lease.holder(through: functions[index].name))
        }
    }
}

extension Lease {
    /// The lease as a holder of its function.
    public func holder(through name: String) -> Holder {
        let state = self.state == .active ? nil : self.state.rawValue + (reason.map { ": \($0)" } ?? "")
        let user = pod.flatMap { $0.isEmpty ? nil : "pod \($0)" } ?? "\(consumer)"
        return Holder(.lease(id: id, consumer: user, state: state), through: name)
    }
}
