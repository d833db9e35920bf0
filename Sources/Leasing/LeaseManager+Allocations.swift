internal import Netlink
public import PCI
internal import SRIOV
internal import Synchronization

/// What the kubelet gives to pods. It names functions itself, says nothing when a pod has ended, and gives the same function
/// to the next: then the one before has ended.
extension LeaseManager {
    /// Leases a function that the kubelet has allocated, clean, whoever had it from the kubelet before. Where a pod's
    /// interface still has it, it is the allocation's when that is gone: the kubelet takes a pod for ended before its interfaces
    /// are taken away.
    ///
    /// Throws `lease.stillHeld` when somebody uses it, and what `acquire` throws when somebody else has it.
    @discardableResult
    public func allocate(
        _ address: PCIAddress, for consumer: Consumer, actor: String
    ) async throws(LeasingError) -> Lease {
        // A pod's interface may just be on its way.
        if let lease = lease(at: address) { await settle(lease.id) }
        if let lease = lease(at: address), lease.returnsTo == consumer, lease.state == .active {
            // Which pod it is for now the kubelet has yet to say.
            let kept = try await update(lease) { lease in
                lease.pod = nil
                // So that whoever is about to end what it was allocated for before does not.
                lease.changed += 1
            }
            if let kept, kept.state == .active { return kept }
        }
        var request = LeaseRequest(function: address, consumer: consumer)
        request.takesFrom = .allocation
        guard let lease = try await acquire(request, actor: actor).leases.first else {
            throw LeasingError(.exhausted, "nothing was leased")
        }
        return lease
    }

    /// Notes what the kubelet says of a lease: that it has the function allocated, which another one may have taken for a
    /// pod from the time before; and for which pod.
    public func note(_ lease: Lease, allocatedBy consumer: Consumer, pod: String) async throws(LeasingError) {
        _ = try await update(lease) { lease in
            if lease.consumer.kind != .allocation { lease.returnsTo = consumer }
            lease.pod = pod
        }
    }

    /// Ends what the kubelet has allocated a lease's function for. Where a pod's interface still has it, it is free when that
    /// is gone.
    public func endAllocation(_ lease: Lease) async throws(LeasingError) {
        guard lease.consumer.kind == .allocation else {
            _ = try await update(lease) { current in
                if current.changed == lease.changed { current.returnsTo = nil }
            }
            return
        }
        try await giveBack(
            lease.id, .consumerGone, Cause(actor: "agent", "the kubelet has given it back"), expecting: lease)
    }

    /// Changes what a lease says about whoever comes after it; nil when it is not open any more.
    private func update(_ lease: Lease, _ body: (inout Lease) -> Void) async throws(LeasingError) -> Lease? {
        try await owning(lease.id) { () throws(LeasingError) -> Lease? in
            guard var lease = state.withLock({ $0.leases[lease.id] }), lease.state.isOpen else { return nil }
            let before = lease
            body(&lease)
            guard lease != before else { return lease }
            lease.changed = max(clock.now().wall, lease.changed + 1)
            try await record([
                Ledger.Change(lease: lease, path: [lease.state], cause: Cause(actor: "agent", "allocation"))
            ])
            return lease
        }
    }

    /// What a function is set to for whoever gets it back; nil when it is free then.
    func settingsAfter(_ lease: Lease, _ member: Pool.Member) -> VirtualFunctionSettings? {
        lease.returnsTo.map { _ in state.withLock { handedBackSettings(lease, member, $0) } }
    }

    private func handedBackSettings(_ lease: Lease, _ member: Pool.Member, _ book: LeaseBook) -> VirtualFunctionSettings
    {
        let pool = book.pools.pool(of: member.identity).flatMap { book.pools[name: $0]?.declared }
        return (pool?.settings ?? .init()).filled(from: member.policy)
    }

    /// The lease that begins when another one ends, its function clean; none when it is free then.
    func handBack(_ lease: Lease, _ member: Pool.Member, _ cause: Cause) throws(LeasingError) -> [Ledger.Change] {
        guard let consumer = lease.returnsTo else { return [] }
        let time = clock.now()
        var next = state.withLock { book in
            var next = Lease(
                id: book.newIdentifier(), function: member.identity, address: member.function.pci.address,
                name: member.function.name, pool: book.pools.pool(of: member.identity), consumer: consumer,
                time: time.wall)
            next.boot = time.boot
            next.pod = lease.pod
            next.driverBefore = lease.driverBefore
            next.settings = handedBackSettings(lease, member, book)
            return next
        }
        var change = try change(
            &next, through: [.prepare, .prepared], cause: Cause(actor: cause.actor, "back from \(lease.consumer)"))
        change.path.insert(nil, at: 0)
        change.after = next.settings
        return [change]
    }
}
