public import PCI
internal import SRIOV
internal import Synchronization

extension LeaseManager {
    /// Brings the ledger, the kernel and the holders into agreement; to be called after `update`, and at a start.
    ///
    /// Returns what could not be done; the caller tries again later.
    @discardableResult
    public func reconcile(isStart: Bool = false) async -> [LeasingError] {
        var errors: [LeasingError] = []
        if isStart {
            do throws(LeasingError) { try await anchorDeadlines() } catch { errors.append(error) }
        }
        let work = state.withLock { book in
            book.leases.values.filter { $0.state.isOpen && !book.owned.contains($0.id) }
        }.compactMap { lease in action(for: lease, isStart: isStart).map { (lease, $0) } }
        return await withTaskGroup(of: LeasingError?.self) { group in
            for (lease, action) in work {
                group.addTask { await self.perform(action, lease) }
            }
            for await error in group { if let error { errors.append(error) } }
            return errors
        }
    }

    /// The kernel has removed the function at an address. Whoever removes VFs may make them anew at once: at the next look
    /// they would all be there, and a lease would go on with a function that was never set for it.
    public func functionRemoved(at address: PCIAddress) { state.withLock { $0.noteRemoval(at: address) } }

    private func action(for lease: Lease, isStart: Bool) -> Reconciler.Action? {
        let (member, isAbandoned, hasVanished) = state.withLock {
            ($0.member(of: lease), $0.abandoned.contains(lease.id), $0.vanished.contains(lease.id))
        }
        // Whoever asked for a lease that was not finished when the program ended has got no answer.
        if isStart, [.reserved, .preparing].contains(lease.state), member != nil {
            return .event(.expired, "the program was stopped before it was finished")
        }
        if isAbandoned, lease.state == .preparing { return .event(.prepareFailed, "it could not be prepared") }
        let holders = member?.function.holders ?? []
        watchConsumer(of: lease)
        for holder in holders { watch(holder) }
        return Reconciler.action(
            for: lease,
            Reconciler.Facts(
                isPresent: !hasVanished && (member != nil || isAwaited(lease)), holders: holders,
                isConsumerAlive: isAlive(lease),
                isOver: isOver(lease)))
    }

    /// Whether a lease of an earlier boot waits for its VF: its port is there, and has none yet.
    private func isAwaited(_ lease: Lease) -> Bool {
        guard lease.boot != clock.now().boot else { return false }
        return state.withLock { book in
            book.host.physicalFunctions.contains { port in
                lease.function.isVirtualFunction(of: port, in: book.host)
                    && book.host.virtualFunctions(of: port.pci.address).isEmpty
            }
        }
    }

    private func isAlive(_ lease: Lease) -> Bool? {
        let isOfThisBoot = lease.boot == clock.now().boot
        if !isOfThisBoot, [.process, .namespace].contains(lease.consumer.kind) { return false }
        if lease.consumer.kind == .domain { return isInHandsOfLibvirt(lease) ? true : nil }
        return probe.isAlive(lease.consumer)
    }

    private func perform(_ action: Reconciler.Action, _ lease: Lease) async -> LeasingError? {
        do throws(LeasingError) {
            switch action {
            case .event(let event, let reason):
                try await giveBack(lease.id, event, Cause(actor: "agent", reason), expecting: lease)
            case .finish: try await finish(lease.id, Cause(actor: "agent", "nobody uses it any more"))
            case .noteHeld: try await noteHeld(lease.id)
            }
            return nil
        } catch {
            // Between the look and the act the lease has moved on.
            return error.code == .state || error.code == .noLease ? nil : error
        }
    }

    /// Takes leases that outlive a reboot over into this boot.
    ///
    /// After a reboot only the wall clock can tell how much of a lease's time is left. That is asked once: from then on
    /// the clock of this boot counts, whatever the wall clock does.
    private func anchorDeadlines() async throws(LeasingError) {
        let boot = clock.now().boot
        let changes = leases.compactMap { lease -> Ledger.Change? in
            guard lease.boot != boot, ![.process, .namespace].contains(lease.consumer.kind), member(of: lease) != nil
            else { return nil }
            var lease = lease
            lease.boot = boot
            lease.deadline = lease.deadline.map { deadline in
                clock.deadline(milliseconds: clock.remaining(until: deadline, length: length(lease)))
            }
            return Ledger.Change(lease: lease, path: [lease.state], cause: Cause(actor: "agent", "reboot"))
        }
        if !changes.isEmpty { try await record(changes) }
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
        guard !isStarting(lease) else { return false }
        return lease.deadline.map { clock.remaining(until: $0, length: length(lease)) == 0 } ?? false
    }

    /// Whether a lease's domain is on its way: one with much memory takes minutes before it opens what it is given.
    private func isStarting(_ lease: Lease) -> Bool {
        lease.state == .active && !lease.wasHeld && isInHandsOfLibvirt(lease)
    }

    /// How long it is until the next lease ends by itself, milliseconds; nil when none does. A lease that is being worked
    /// on is not waited for: its end is told.
    public var millisecondsToNextDeadline: Int64? {
        state.withLock { book in
            book.leases.values.filter { lease in
                [.reserved, .preparing, .active, .lost].contains(lease.state) && !book.owned.contains(lease.id)
            }
        }.filter { !isStarting($0) }.compactMap { lease in
            lease.deadline.map { clock.remaining(until: $0, length: length(lease)) }
        }.min()
    }

    // MARK: Processes

    /// Watches the process that a lease is for, as long as its end is the lease's business.
    func watchConsumer(of lease: Lease) {
        guard lease.consumer.kind == .process, [.reserved, .preparing, .active, .lost].contains(lease.state),
            let pid = Int32(lease.consumer.identifier)
        else { return }
        // One that has ended already is found dead by whoever reconciles.
        _ = watcher.watch(pid)
    }

    /// Watches a process that uses a function: the function is free when it ends.
    func watch(_ holder: Holder) {
        let pid: Int32
        switch holder.kind {
        case .domain(_, _, let number), .process(let number, _): pid = number
        case .namespace(_, _, let number?): pid = number
        default: return
        }
        // It has ended since the host was read, so the host is to be read again.
        if pid > 0, !watcher.watch(pid) { onHolderGone() }
    }
}
