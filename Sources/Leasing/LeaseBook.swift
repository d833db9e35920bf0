internal import Netlink
public import PCI
internal import SRIOV

/// What the lease manager knows: the host, the leases, and who works on which. Values only; the manager guards it.
struct LeaseBook: Sendable {
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
    /// Ports whose functions are being created or configured, with how often, and the requests that wait for the end.
    var maintained: [PCIAddress: Int] = [:]
    var waitingForPorts: [CheckedContinuation<Void, Never>] = []
    /// How often a port has ceased to be maintained: whoever has seen it so meanwhile looks again.
    var maintenanceEnds = 0
    /// Leases whose request failed and could not give them back: `reconcile` does.
    var abandoned: Set<String> = []
    /// Leases whose function was removed, also if another one is in its place by now.
    var vanished: Set<String> = []
    /// Leases that make way for another one, by that one, until it is recorded.
    var makingWay: [String: Lease] = [:]
    /// Functions that a consumer is about to ask for by name: nobody else gets them.
    var promised: [FunctionIdentity: Consumer] = [:]
    /// When functions were last bound to a driver, of `moment`: a picture that was begun before may have another one.
    var bound: [FunctionIdentity: UInt64] = [:]
    var moment: UInt64 = 0
    /// Functions that somebody has used without a lease: they are reset before they are given to anybody.
    var soiled: Set<FunctionIdentity> = []

    init(host: Host, pools: PoolSet) {
        self.host = host
        self.pools = pools
        _ = noteForeignUse()
    }

    /// The states in which a lease's function is its consumer's, or about to be.
    private static let standing: Set<LeaseState> = [.reserved, .preparing, .active]

    /// Remembers that the function of a lease was removed. What is on its way back is cleaned, whichever is there then.
    mutating func noteRemoval(at address: PCIAddress) {
        guard let lease = pools.member(at: address).flatMap({ open[$0.identity] }).flatMap({ leases[$0] }),
            Self.standing.contains(lease.state)
        else { return }
        vanished.insert(lease.id)
    }

    /// Takes over a lease as the ledger has it.
    mutating func store(_ lease: Lease) {
        if !Self.standing.contains(lease.state) { vanished.remove(lease.id) }
        let key = leases[lease.id]?.idempotencyKey
        if let key, lease.idempotencyKey == nil {
            byKey[key]?.removeAll { $0 == lease.id }
            if byKey[key]?.isEmpty ?? false { byKey[key] = nil }
        }
        if lease.state.isOpen {
            leases[lease.id] = lease
            open[lease.function] = lease.id
        } else {
            if open[lease.function] == lease.id { open[lease.function] = nil }
            abandoned.remove(lease.id)
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
            guard let key = lease.idempotencyKey, let ids = byKey[key],
                ids.allSatisfy({ leases[$0]?.state.isOpen != true })
            else { continue }
            for id in ids { leases[id] = nil }
            byKey[key] = nil
        }
    }

    /// Gives up a lease that was only taken in memory; the one that made way for it is there again, and is returned.
    @discardableResult
    mutating func forget(_ lease: Lease) -> Lease? {
        let other = makingWay.removeValue(forKey: lease.id)
        leases[lease.id] = nil
        vanished.remove(lease.id)
        if open[lease.function] == lease.id { open[lease.function] = other?.id }
        return other
    }

    /// The lease of the function that a request names, which may make way for it; nil when there is none, or none may.
    func lease(inTheWayOf request: LeaseRequest) -> String? {
        guard request.takesFrom != nil, let member = request.function.flatMap({ pools.member(at: $0) }) else {
            return nil
        }
        return open[member.identity]
    }

    /// The lease that makes way for a request, which owns it.
    mutating func clearWay(for request: LeaseRequest, owning own: String?) -> Lease? {
        guard let own, own == lease(inTheWayOf: request), let lease = leases[own], lease.state == .active,
            lease.consumer.kind == request.takesFrom,
            // Another pod's is not taken, whatever a network's configuration says.
            lease.pod == nil || request.pod == nil || lease.pod == request.pod
                || request.consumer.kind == request.takesFrom
        else { return nil }
        open[lease.function] = nil
        return lease
    }

    /// An identifier that no lease has.
    func newIdentifier() -> String {
        var id = Lease.newIdentifier()
        while leases[id] != nil { id = Lease.newIdentifier() }
        return id
    }

    /// Why functions that can be leased are not free.
    func occupied() -> [FunctionIdentity: Placement.Occupation] {
        pools.occupied(
            by: open.values.compactMap { leases[$0] }, maintained: Set(maintained.keys))
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

    /// Remembers which functions are used without a lease, and returns who uses them.
    mutating func noteForeignUse() -> [Holder] {
        var holders: [Holder] = []
        for member in pools.allMembers where !member.function.holders.isEmpty && open[member.identity] == nil {
            soiled.insert(member.identity)
            holders += member.function.holders
        }
        return holders
    }
}

extension PoolSet {
    /// Why functions that can be leased are not free.
    public func occupied(
        by leases: [Lease], maintained: Set<PCIAddress> = []
    ) -> [FunctionIdentity: Placement.Occupation] {
        let byIdentity = Dictionary(leases.map { ($0.function, $0) }, uniquingKeysWith: { first, _ in first })
        // A port whose netdev is out of sight does not say who it is; what was leased there is still leased.
        let known = Set(allMembers.map(\.identity))
        let byAddress = Dictionary(
            leases.filter { !known.contains($0.function) }.map { ($0.address, $0) },
            uniquingKeysWith: { first, _ in first })
        var result: [FunctionIdentity: Placement.Occupation] = [:]
        for member in allMembers {
            let atPlace = member.identity.isPlace ? byAddress[member.function.pci.address] : nil
            if let lease = byIdentity[member.identity] ?? atPlace {
                result[member.identity] = .lease(lease)
            } else if maintained.contains(member.portAddress) {
                result[member.identity] = .maintained
            } else if !member.function.holders.isEmpty {
                result[member.identity] = .foreign(member.function.holders)
            }
        }
        return result
    }
}
