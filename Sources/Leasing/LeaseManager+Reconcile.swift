internal import PCI
internal import SRIOV
internal import Synchronization

extension LeaseManager {
    /// Brings the ledger, the kernel and the holders into agreement; to be called after `update`, and at a start.
    ///
    /// Returns what could not be done; it is tried again at the next call.
    @discardableResult
    public func reconcile(isStart: Bool = false) async -> [LeasingError] {
        let work = leases.filter { lease in state.withLock { !$0.owned.contains(lease.id) } }
            .compactMap { lease in action(for: lease, isStart: isStart).map { (lease, $0) } }
        return await withTaskGroup(of: LeasingError?.self) { group in
            for (lease, action) in work {
                group.addTask { await self.perform(action, lease) }
            }
            var errors: [LeasingError] = []
            for await error in group { if let error { errors.append(error) } }
            return errors
        }
    }

    private func action(for lease: Lease, isStart: Bool) -> Reconciler.Action? {
        // Whoever asked for a lease that was not finished when the program ended has got no answer.
        if isStart, [.reserved, .preparing].contains(lease.state), member(of: lease) != nil {
            return .event(.expired, "the program was stopped before it was finished")
        }
        let member = member(of: lease)
        let holders = member?.function.holders ?? []
        watch(lease, holders)
        return Reconciler.action(
            for: lease,
            Reconciler.Facts(
                isPresent: member != nil, holders: holders, isConsumerAlive: probe.isAlive(lease.consumer),
                isOver: isOver(lease)))
    }

    private func perform(_ action: Reconciler.Action, _ lease: Lease) async -> LeasingError? {
        do throws(LeasingError) {
            switch action {
            case .event(let event, let reason):
                try await giveBack(lease.id, event, Cause(actor: "agent", reason))
            case .finish: try await finish(lease.id, Cause(actor: "agent", "nobody uses it any more"))
            case .noteHeld: try await noteHeld(lease.id)
            }
            return nil
        } catch {
            // Between the look and the act the lease has moved on.
            return error.code == .state || error.code == .noLease ? nil : error
        }
    }

    private func noteHeld(_ id: String) async throws(LeasingError) {
        try await owning(id) { () throws(LeasingError) in
            guard var lease = state.withLock({ $0.leases[id] }), lease.state == .active, !lease.wasHeld else { return }
            lease.wasHeld = true
            // A domain that has started lives until it ends.
            if lease.consumer.kind == .domain {
                lease.deadline = lease.ttlSeconds.map { clock.deadline(seconds: $0) }
            }
            try await record([Ledger.Change(lease: lease, path: [.active], cause: Cause(actor: "agent", "in use"))])
        }
    }

    // MARK: Time

    private func length(_ lease: Lease) -> Int64 {
        1000 * (lease.state == .active ? lease.ttlSeconds ?? Self.startSeconds : Self.startSeconds)
    }

    private func isOver(_ lease: Lease) -> Bool {
        lease.deadline.map { clock.remaining(until: $0, length: length(lease)) == 0 } ?? false
    }

    /// How long it is until the next lease ends by itself, milliseconds; nil when none does.
    public var millisecondsToNextDeadline: Int64? {
        leases.compactMap { lease in
            guard [.reserved, .preparing, .active, .lost].contains(lease.state) else { return nil }
            return lease.deadline.map { clock.remaining(until: $0, length: length(lease)) }
        }.min()
    }

    /// Watches the processes whose end is a lease's business: its consumer, and whoever has its function open.
    func watch(_ lease: Lease, _ holders: [Holder]) {
        var pids: [Int32] = []
        if lease.consumer.kind == .process, let pid = Int32(lease.consumer.identifier) { pids.append(pid) }
        for holder in holders {
            switch holder.kind {
            case .domain(_, _, let pid), .process(let pid, _): pids.append(pid)
            case .namespace(_, _, let pid): if let pid { pids.append(pid) }
            default: break
            }
        }
        for pid in pids where pid > 0 { watcher.watch(pid) }
    }
}
