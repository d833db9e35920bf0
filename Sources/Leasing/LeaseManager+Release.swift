internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

extension LeaseManager {
    /// Takes a lease back: waits for nobody, so that a lease whose holder has not let go is `releasing` when this
    /// returns, and goes on by itself when it has. A lease that has ended is returned as it is.
    ///
    /// Who knows that its netdev is nobody else's takes the driver too, and with it the netdev, wherever that is: it need not
    /// come back to the host to be removed there.
    public func release(
        _ id: String, takingDriver isDriverTaken: Bool = false, actor: String
    ) async throws(LeasingError) -> Lease {
        try await giveBack(try lease(id).id, .release, takingDriver: isDriverTaken, Cause(actor: actor, "release"))
    }

    /// Tries again to clean a function that is quarantined.
    public func repair(
        _ id: String, takingDriver isDriverTaken: Bool = false, actor: String
    ) async throws(LeasingError) -> Lease {
        let lease = try lease(id)
        guard lease.state == .quarantined else {
            throw LeasingError(
                .state, "lease \(lease.id) is \(lease.state.rawValue), not quarantined",
                remedy: "there is nothing to repair")
        }
        return try await giveBack(lease.id, .repair, takingDriver: isDriverTaken, Cause(actor: actor, "repair"))
    }

    /// Compares the function of a lease with what it is to be set to.
    ///
    /// Throws `lease.notPrepared` with what differs, `lease.state` when the function is not there.
    public func verify(_ lease: Lease) async throws(LeasingError) {
        guard let member = member(of: lease) else {
            throw LeasingError(.state, "\(lease.name) is not there")
        }
        let care = care
        try await queues.run(on: member.portAddress) { () throws(LeasingError) in
            try care.verify(member, settings: lease.settings)
        }
    }

    /// Takes a lease through an event towards its end, as far as its function's holder lets it.
    @discardableResult
    func giveBack(
        _ id: String, _ event: LeaseEvent, takingDriver isDriverTaken: Bool = false, _ cause: Cause,
        expecting expected: Lease? = nil
    ) async throws(LeasingError) -> Lease {
        try await owning(id) { () throws(LeasingError) in
            guard let lease = state.withLock({ $0.leases[id] }) else {
                throw LeasingError(.noLease, "there is no lease \(id)", remedy: "sluice lease list shows the leases")
            }
            // Since it was looked at, somebody else has taken it further.
            if let expected, expected.state != lease.state || expected.changed != lease.changed { return lease }
            // What is said to have vanished may only have been out of sight when the host was read.
            if event == .vanished, !state.withLock({ $0.vanished.contains(id) }), let member = member(of: lease),
                try await observe(member) != nil
            {
                return lease
            }
            // Asking twice is no mistake.
            if event == .release, lease.state == .free { return lease }
            var events = [.releasing, .scrubbing].contains(lease.state) ? [] : [event]
            guard isDriverTaken, let member = member(of: lease) else { return try await finish(lease, events, cause) }
            var under = lease
            if event == .release, !events.isEmpty {
                try await record([try change(&under, through: events, cause: cause)])
                events = []
            }
            do throws(LeasingError) {
                try await binding(member) { care throws(LeasingError) in try care.takeDriver(member) }
            } catch {
                under.reason = error.message
                let held = under
                state.withLock { $0.store(held) }
                return held
            }
            return try await finish(under, events, cause)
        }
    }

    /// Goes on with a lease that is on its way back.
    func finish(_ id: String, _ cause: Cause) async throws(LeasingError) {
        try await owning(id) { () throws(LeasingError) in
            guard let lease = state.withLock({ $0.leases[id] }),
                [.releasing, .scrubbing].contains(lease.state)
            else { return }
            _ = try await finish(lease, [], cause)
        }
    }

    private func finish(_ lease: Lease, _ events: [LeaseEvent], _ cause: Cause) async throws(LeasingError) -> Lease {
        var lease = lease
        var after = lease.state
        for event in events { after = after.after(event) ?? after }
        if after == lease.state, let event = events.first {
            throw LeasingError(
                .state, "lease \(lease.id) is \(lease.state.rawValue); \(event.rawValue) is not possible then")
        }
        // Nothing was done to the function, or it is gone for good.
        if !after.isOpen || after == .lost {
            try await record([try change(&lease, through: events, cause: cause)])
            return lease
        }
        guard let member = member(of: lease), let observation = try await observe(member) else {
            let change = try change(&lease, through: events + [.vanished], cause: cause)
            try await record([change])
            return lease
        }
        guard observation.holders.isEmpty || after == .scrubbing else {
            for holder in observation.holders { watch(holder) }
            lease.reason = "still used by " + observation.holders.map(\.description).joined(separator: ", ")
            guard !events.isEmpty else {
                state.withLock { $0.store(lease) }
                return lease
            }
            try await record([try change(&lease, through: events, cause: cause)])
            return lease
        }
        // From here on the lease's end is decided: one commit for all the states it passes through.
        lease.reason = nil
        lease.deadline = nil
        let isScrubbing = after == .scrubbing
        if !(events.isEmpty && isScrubbing) {
            var change = try change(&lease, through: events + (isScrubbing ? [] : [.holderGone]), cause: cause)
            change.before = observation.settings
            try await record([change])
        }
        return try await scrub(lease, member, cause)
    }

    func observe(_ member: Pool.Member) async throws(LeasingError) -> FunctionCare.Observation? {
        let care = care
        return try await queues.run(on: member.portAddress) { () throws(LeasingError) in try care.observe(member) }
    }

    private func scrub(_ lease: Lease, _ member: Pool.Member, _ cause: Cause) async throws(LeasingError) -> Lease {
        var lease = lease
        do throws(LeasingError) {
            let driver = lease.driverBefore
            let hadSettings = !lease.settings.isEmpty || lease.before != nil
            let after = settingsAfter(lease, member)
            try await binding(member) { care throws(LeasingError) in
                try care.scrub(member, driverBefore: driver, hadSettings: hadSettings)
                if let after { try care.set(member, settings: after) }
            }
        } catch {
            lease.reason = error.message
            try await record([
                try change(&lease, through: [.scrubFailed], cause: Cause(actor: cause.actor, error.message))
            ])
            return lease
        }
        var change = try change(&lease, through: [.scrubbed], cause: cause)
        change.after = member.policy
        try await record([change] + handBack(lease, member, cause))
        return lease
    }
}
