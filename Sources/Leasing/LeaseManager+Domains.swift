public import Netlink
public import PCI
internal import SRIOV
internal import Synchronization

extension LeaseManager {
    /// The open lease of the function at an address.
    public func lease(at address: PCIAddress) -> Lease? {
        state.withLock { book in
            book.pools.member(at: address).flatMap { book.open[$0.identity] }.flatMap { book.leases[$0] }
        }
    }

    /// Whether a lease's domain starts, runs or ends under libvirt, which sets its functions before and after.
    public func isInHandsOfLibvirt(_ lease: Lease) -> Bool {
        lease.consumer.kind == .domain
            && domainLife.withLock { $0 }(lease.consumer.identifier, lease.address) == true
    }

    /// Leases of domains that nobody has opened yet, and that libvirt does not have either: of a start or an attach that
    /// was cut short, or of a domain that is still to start.
    public var unopenedDomainLeases: [Lease] {
        leases.filter {
            $0.consumer.kind == .domain && $0.state == .active && !$0.wasHeld && !isInHandsOfLibvirt($0)
        }
    }

    /// Who asked for a lease; nil when the ledger does not know any more.
    public func requester(of lease: Lease) throws(LeasingError) -> String? {
        try ledger.reader.history(lease: lease.id).first?.cause.actor
    }

    /// Ends a lease whose domain's start or attach was cut short. Nothing happens to one that has moved on since it was
    /// looked at.
    public func endCutShort(_ lease: Lease) async throws(LeasingError) {
        guard !isInHandsOfLibvirt(lease) else { return }
        try await giveBack(
            lease.id, .consumerGone, Cause(actor: "agent", "libvirt has not finished what it was for"), expecting: lease
        )
    }

    /// Waits until nobody works on a lease.
    public func settle(_ id: String) async {
        try? await owning(id) { () throws(LeasingError) in }
    }

    /// Takes over what a consumer uses without a lease: it got the function while the program was away. Nothing is done to
    /// the function but that it is set as the pool says; and not that, where the kubelet has given it to a pod: that has it
    /// as it is.
    ///
    /// Returns the lease that it has already, if there is one; nil for a function that is not ours to give. Throws
    /// `lease.stillHeld` when the function is leased to somebody else.
    @discardableResult
    public func adopt(
        _ address: PCIAddress, for consumer: Consumer, settings: VirtualFunctionSettings = .init(), actor: String
    ) async throws(LeasingError) -> Lease? {
        let time = clock.now()
        let taken: (member: Pool.Member, lease: Lease, isNew: Bool)? = state.withLock { book in
            guard let member = book.pools.member(at: address) else { return nil }
            if let lease = book.open[member.identity].flatMap({ book.leases[$0] }) { return (member, lease, false) }
            let pool = book.pools.pool(of: member.identity).flatMap { book.pools[name: $0]?.declared }
            let lease = book.take(member, of: pool, for: consumer, settings, at: time) { lease in
                lease.wasHeld = true
                if consumer.kind == .allocation, let found = member.function.settings { lease.settings = found }
            }
            return (member, lease, true)
        }
        guard case (let member, var lease, let isNew)? = taken else { return nil }
        guard isNew else {
            guard lease.consumer == consumer else {
                throw LeasingError(
                    .stillHeld,
                    "\(lease.name) is used by \(consumer), and leased to \(lease.consumer) (lease \(lease.id))",
                    remedy: "detach it from one of the two")
            }
            return lease
        }
        defer { disown([lease.id]) }
        do throws(LeasingError) {
            var change = try change(
                &lease, through: [.prepare, .prepared], cause: Cause(actor: actor, "found in use"))
            change.path.insert(nil, at: 0)
            change.after = lease.settings
            try await record([change])
        } catch {
            let id = lease
            _ = state.withLock { $0.forget(id) }
            throw error
        }
        guard consumer.kind != .allocation else { return lease }
        let (care, settings) = (care, lease.settings)
        try await queues.run(on: member.portAddress) { () throws(LeasingError) in
            try care.set(member, settings: settings)
        }
        return lease
    }

    /// Cleans a function that somebody has set without a lease. Whoever leases it meanwhile cleans it first.
    public func clean(_ address: PCIAddress) async throws(LeasingError) {
        let member = state.withLock { book -> Pool.Member? in
            guard let member = book.pools.member(at: address), book.open[member.identity] == nil else { return nil }
            book.soiled.insert(member.identity)
            return member
        }
        guard let member else { return }
        try await binding(member) { [self] care throws(LeasingError) in
            // Since it was asked for somebody may have got it, clean.
            guard state.withLock({ $0.open[member.identity] == nil && $0.soiled.contains(member.identity) }) else {
                return
            }
            try care.scrub(member, driverBefore: nil, hadSettings: true)
            state.withLock { book in
                // Whoever has reserved it by now cleans it once more.
                if book.open[member.identity] == nil { book.soiled.remove(member.identity) }
            }
        }
    }

    /// Gives the functions of a consumer the settings of their leases once more: whoever handed them over may have set
    /// them otherwise. A function's own consumer is no reason not to.
    public func restoreSettings(of consumer: Consumer) async throws(LeasingError) {
        let leases = leases.filter { $0.consumer == consumer && $0.state == .active }
        for lease in leases {
            guard let member = member(of: lease) else { continue }
            let care = care
            try await queues.run(on: member.portAddress) { () throws(LeasingError) in
                try care.set(member, settings: lease.settings)
            }
        }
    }

    /// Ends all leases of a consumer whose life has ended, and waits for what becomes of them.
    public func end(_ consumer: Consumer, because reason: String) async throws(LeasingError) {
        var failure: LeasingError?
        let states: [LeaseState] = [.reserved, .preparing, .active, .lost]
        for lease in leases where lease.consumer == consumer && states.contains(lease.state) {
            do throws(LeasingError) {
                try await giveBack(lease.id, .consumerGone, Cause(actor: "agent", reason), expecting: nil)
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
    }
}
