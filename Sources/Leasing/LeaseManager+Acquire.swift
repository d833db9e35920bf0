internal import Netlink
public import PCI
internal import SRIOV
internal import Synchronization

extension LeaseManager {
    /// What a request was answered with.
    public struct Grant: Sendable {
        /// The leases, in the order of choice.
        public var leases: [Lease]
        /// Why these; nil when the request is a repeated one.
        public var decision: Placement.Decision?
    }

    /// Leases functions: chosen, recorded, prepared and read back, all or none.
    ///
    /// A request with the idempotency key of an earlier one is answered with the earlier one's leases.
    public func acquire(_ request: LeaseRequest, actor: String) async throws(LeasingError) -> Grant {
        try request.check()
        var request = request
        request.consumer = try probe.identify(request.consumer)
        guard let key = request.idempotencyKey else { return try await grant(request, actor) }
        if let leases = try await answered(key, request.fingerprint) { return Grant(leases: leases, decision: nil) }
        defer {
            let waiting = state.withLock { $0.answering.removeValue(forKey: key) ?? [] }
            for continuation in waiting { continuation.resume() }
        }
        return try await grant(request, actor)
    }

    /// The leases of an earlier request with the key; nil when there was none, and the caller is to answer it.
    private func answered(_ key: String, _ fingerprint: String) async throws(LeasingError) -> [Lease]? {
        while true {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                let isWaiting = state.withLock { state in
                    guard state.answering[key] != nil else { return false }
                    state.answering[key]?.append(continuation)
                    return true
                }
                if !isWaiting { continuation.resume() }
            }
            let found = state.withLock { book -> (isOurs: Bool, leases: [Lease]) in
                if book.answering[key] != nil { return (false, []) }
                let leases = (book.byKey[key] ?? []).compactMap { book.leases[$0] }
                if leases.isEmpty { book.answering[key] = [] }
                return (leases.isEmpty, leases)
            }
            if found.isOurs { return nil }
            guard let first = found.leases.first else { continue }
            guard first.fingerprint == fingerprint else {
                throw LeasingError(
                    .keyReused, "the idempotency key was used for another request, which leased \(first.name)",
                    remedy: "use a new key for a new request, and the old one only to repeat it unchanged")
            }
            if let ended = found.leases.first(where: { $0.state != .active }) {
                throw LeasingError(
                    .keyReused, "the lease \(ended.id) of this idempotency key is \(ended.state.rawValue)",
                    remedy: "use a new key for a new lease")
            }
            return found.leases
        }
    }

    // MARK: Granting

    private func grant(_ request: LeaseRequest, _ actor: String) async throws(LeasingError) -> Grant {
        let cause = Cause(actor: actor, "acquire")
        var tries = 0
        while true {
            let decision: Placement.Decision
            let reserved: [Lease]
            let ends = state.withLock { $0.maintenanceEnds }
            do throws(LeasingError) {
                (decision, reserved) = try await reserve(request, looksAgain: tries == 0)
            } catch {
                // What is missing may be on a port that is being configured.
                if error.code == .exhausted, await waitForPorts(since: ends) { continue }
                throw error
            }
            tries += 1
            let mayTryAgain = tries <= 2 * decision.chosen.count + decision.passed.count
            let observations: [FunctionCare.Observation?]
            do throws(LeasingError) {
                observations = try await observe(decision)
            } catch {
                forget(reserved)
                throw error
            }
            // Somebody may have begun to use a function, or it may have vanished, since the host was last read.
            if let index = observations.firstIndex(where: { $0.map { !$0.holders.isEmpty } ?? true }) {
                forget(reserved)
                if request.takesFrom != nil, let holder = observations[index]?.holders.first {
                    throw LeasingError(stillHeld: decision.chosen[index].member, by: holder)
                }
                markForeign(decision.chosen[index].member, observations[index]?.holders)
                if mayTryAgain { continue }
                throw LeasingError(
                    .exhausted, "the functions of the pool keep being taken by others", remedy: "try again")
            }
            do throws(LeasingError) {
                return Grant(
                    leases: try await prepare(decision, reserved, observations.compactMap(\.self), cause),
                    decision: decision)
            } catch {
                // The made-up identifier is that of a lease which ended long ago.
                guard error.code == .identifierTaken, mayTryAgain else { throw error }
            }
        }
    }

    /// Chooses what a request would be granted, and promises it to the request's consumer: until `endPromises` nobody else
    /// gets it. Nothing is leased.
    ///
    /// Throws what `acquire` would throw: `pool.exhausted` with everybody who has something of the pool.
    public func promise(
        for request: LeaseRequest, beside others: Set<PCIAddress> = []
    ) async throws(LeasingError) -> [PCIAddress] {
        try request.check()
        while true {
            let ends = state.withLock { $0.maintenanceEnds }
            let result = state.withLock { book in
                Result { () throws(LeasingError) -> [PCIAddress] in
                    let chosen = try book.decide(request, beside: others).decision.chosen.map(\.member)
                    for member in chosen { book.promised[member.identity] = request.consumer }
                    return chosen.map(\.function.pci.address)
                }
            }
            do throws(LeasingError) {
                defer { onPromises.withLock(\.self)() }
                return try result.get()
            } catch {
                // What is missing may be on a port that is being configured.
                if error.code == .exhausted, await waitForPorts(since: ends) { continue }
                throw error
            }
        }
    }

    /// Promises a consumer other functions instead of some; false, and nothing is changed, when one of them is not free.
    public func promise(
        _ addresses: Set<PCIAddress>, insteadOf others: Set<PCIAddress>, to consumer: Consumer
    ) -> Bool {
        defer { onPromises.withLock(\.self)() }
        return state.withLock { book in
            let occupied = book.occupied()
            let members = addresses.compactMap { book.pools.member(at: $0) }
            let isFree = members.allSatisfy { member in
                occupied[member.identity] == nil && book.promised[member.identity] ?? consumer == consumer
            }
            guard isFree, members.count == addresses.count else { return false }
            for address in others { book.pools.member(at: address).map { book.promised[$0.identity] = nil } }
            for member in members { book.promised[member.identity] = consumer }
            return true
        }
    }

    /// Gives back what was promised to a consumer and not leased.
    public func endPromises(to consumer: Consumer) {
        let hasEnded = state.withLock { book in
            let before = book.promised.count
            book.promised = book.promised.filter { $0.value != consumer }
            return book.promised.count != before
        }
        if hasEnded { onPromises.withLock(\.self)() }
    }

    /// Takes the function that a request names, or chooses some, when nobody else changes what is in the way.
    private func reserve(
        _ request: LeaseRequest, looksAgain: Bool
    ) async throws(LeasingError) -> (Placement.Decision, [Lease]) {
        let own = await ownLease(inTheWayOf: request)
        do throws(LeasingError) {
            if looksAgain, let function = request.function { try await lookAgain(at: function) }
        } catch {
            disown([own].compactMap(\.self))
            throw error
        }
        return try reserve(request, owning: own)
    }

    /// Chooses and takes functions in memory: from here on no other request gets them. The lease in the way is disowned unless
    /// it makes way.
    private func reserve(
        _ request: LeaseRequest, owning own: String?
    ) throws(LeasingError) -> (Placement.Decision, [Lease]) {
        let time = clock.now()
        let deadline = clock.deadline(seconds: Self.startSeconds)
        let (result, stays) = state.withLock { book in
            let other = book.clearWay(for: request, owning: own)
            let result = Result { () throws(LeasingError) -> (Placement.Decision, [Lease]) in
                if other != nil, let member = request.function.flatMap({ book.pools.member(at: $0) }),
                    let holder = member.function.holders.first
                {
                    throw LeasingError(stillHeld: member, by: holder)
                }
                let (decision, pool) = try book.decide(request)
                let leases = decision.chosen.map { choice in
                    book.take(choice.member, of: pool, for: request.consumer, request.settings, at: time) { lease in
                        lease.driver = request.driver ?? pool?.driver(for: choice.member)
                        lease.ttlSeconds = request.ttlSeconds
                        lease.deadline = deadline
                        lease.attachment = request.attachment
                        lease.pod = request.pod ?? (other?.consumer.kind == request.consumer.kind ? nil : other?.pod)
                        lease.idempotencyKey = request.idempotencyKey
                        lease.fingerprint = request.idempotencyKey == nil ? nil : request.fingerprint
                        lease.returnsTo = other?.consumer.kind == request.consumer.kind ? nil : other?.consumer
                    }
                }
                return (decision, leases)
            }
            guard let other else { return (result, own) }
            guard case .success((_, let leases)) = result, let lease = leases.first else {
                book.open[other.function] = other.id
                return (result, other.id)
            }
            book.makingWay[lease.id] = other
            // The one before it was another tenant.
            if other.consumer.kind == request.consumer.kind { book.soiled.insert(other.function) }
            return (result, nil)
        }
        if let stays { disown([stays]) }
        return try result.get()
    }

    /// The picture may be of a moment in which a function was on its way: one that somebody seemed to use is looked at
    /// again when it is asked for by name.
    private func lookAgain(at address: PCIAddress) async throws(LeasingError) {
        let member = state.withLock { book -> Pool.Member? in
            book.pools.member(at: address).flatMap { $0.function.holders.isEmpty ? nil : $0 }
        }
        guard let member, let observation = try await observe(member), observation.holders.isEmpty else { return }
        state.withLock { $0.pools.mark(member.identity, holders: []) }
    }

    /// Gives up what was only taken in memory.
    private func forget(_ leases: [Lease]) {
        let others = state.withLock { book in leases.compactMap { book.forget($0) } }
        disown((leases + others).map(\.id))
    }

    private func observe(_ decision: Placement.Decision) async throws(LeasingError) -> [FunctionCare.Observation?] {
        var observations: [FunctionCare.Observation?] = []
        for choice in decision.chosen { observations.append(try await observe(choice.member)) }
        return observations
    }

    /// Until the host is read again the function is nobody's to have; nil is one that has vanished.
    private func markForeign(_ member: Pool.Member, _ holders: [Holder]?) {
        let unknown = [Holder(.process(pid: 0, command: "nobody: it is not there any more"), through: "")]
        state.withLock { book in
            book.pools.mark(member.identity, holders: holders ?? unknown)
            _ = book.noteForeignUse()
        }
        for holder in holders ?? [] { watch(holder) }
    }

    private func prepare(
        _ decision: Placement.Decision, _ reserved: [Lease], _ observations: [FunctionCare.Observation], _ cause: Cause
    ) async throws(LeasingError) -> [Lease] {
        var leases = reserved
        do throws(LeasingError) {
            var changes: [Ledger.Change] = []
            for index in leases.indices {
                leases[index].before = observations[index].settings
                leases[index].driverBefore = observations[index].driver
                var change = try change(&leases[index], through: [.prepare], cause: cause)
                change.path.insert(nil, at: 0)
                change.before = observations[index].settings
                change.after = leases[index].settings
                changes.append(change)
            }
            let others = state.withLock { book in leases.compactMap { book.makingWay[$0.id] } }
            for var other in others {
                changes.insert(try change(&other, through: [.handedOver], cause: cause), at: 0)
            }
            try await record(changes)
            state.withLock { book in for lease in leases { book.makingWay[lease.id] = nil } }
            disown(others.map(\.id))
        } catch {
            forget(leases)
            throw error
        }
        do throws(LeasingError) {
            try await prepare(decision.chosen.map(\.member), leases)
            var changes: [Ledger.Change] = []
            for index in leases.indices {
                let isWaiting = leases[index].consumer.kind == .domain
                leases[index].deadline =
                    isWaiting
                    ? clock.deadline(seconds: Self.startSeconds)
                    : leases[index].ttlSeconds.map { clock.deadline(seconds: $0) }
                changes.append(try change(&leases[index], through: [.prepared], cause: cause))
            }
            try await record(changes)
        } catch {
            // All or none: what was prepared is cleaned again, now or, when the ledger takes nothing, as soon as it does.
            let ids = leases.map(\.id)
            state.withLock { $0.abandoned.formUnion(ids) }
            disown(ids)
            for id in ids {
                do throws(LeasingError) {
                    try await giveBack(id, .prepareFailed, Cause(actor: cause.actor, error.message))
                } catch {
                    onWork()
                }
            }
            throw error
        }
        disown(leases.map(\.id))
        for lease in leases { watchConsumer(of: lease) }
        return leases
    }

    private func prepare(_ members: [Pool.Member], _ leases: [Lease]) async throws(LeasingError) {
        let soiled = state.withLock { $0.soiled }
        let failure = await withTaskGroup(of: LeasingError?.self) { group in
            for (member, lease) in zip(members, leases) {
                group.addTask { [self] in
                    do throws(LeasingError) {
                        try await binding(member) { care throws(LeasingError) in
                            // What somebody has used without a lease was not cleaned after it.
                            if soiled.contains(member.identity) {
                                try care.scrub(member, driverBefore: lease.driverBefore, hadSettings: false)
                            }
                            try care.prepare(member, settings: lease.settings, driver: lease.driver)
                        }
                        return nil
                    } catch {
                        return error
                    }
                }
            }
            var failure: LeasingError?
            for await error in group { failure = failure ?? error }
            return failure
        }
        if let failure { throw failure }
        state.withLock { $0.soiled.subtract(members.map(\.identity)) }
    }
}

extension LeasingError {
    /// Whoever had it before has not let go.
    fileprivate init(stillHeld member: Pool.Member, by holder: Holder) {
        self.init(
            .stillHeld, "\(member.function.name) is still used by \(holder)", remedy: "\(holder.remedy), then try again"
        )
    }
}
