internal import AgentAPI
internal import Leasing
internal import Libvirt
internal import Logging
internal import NIOCore
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

/// What the domains have, compared with the leases.
extension Virtualization {
    /// Reads the domains, and takes over what running ones have without a lease.
    func lookAtDomains(_ connection: Connection) async throws {
        let unopened = isObserveOnly ? [] : manager.unopenedDomainLeases
        let answered = state.withLock { $0.startsAnswered }
        let domains = try await connection.domains()
        func used(_ domains: [Domain]) -> [String: Set<PCIAddress>] {
            Dictionary(
                domains.compactMap { domain in domain.live.map { (domain.uuid, Set($0.functions)) } },
                uniquingKeysWith: { first, _ in first })
        }
        let now = used(domains)
        let hasChanged = state.withLock { state in
            defer { (state.domains, state.hasLooked) = (domains, true) }
            // From here on what they have is told by what they are, not by their having been started.
            var hasUnseenUse = false
            for domain in domains where domain.isActive && answered[domain.uuid] != nil {
                if state.unseen.remove(domain.uuid) != nil { hasUnseenUse = true }
                state.starting.remove(domain.uuid)
                state.startsAnswered[domain.uuid] = nil
            }
            return hasUnseenUse || !state.hasLooked || used(state.domains) != now
        }
        // Who holds what is to be looked at, and the leases with it: what was unplugged or has ended comes back.
        if hasChanged { onChange() }
        awaitOpening(by: domains)
        guard !isObserveOnly else { return }
        for domain in domains {
            for address in domain.live?.functions ?? [] where manager.lease(at: address) == nil {
                do {
                    try await adopt(address, by: domain, connection)
                } catch {
                    logger.error("domain \(domain.name): \(error)")
                }
            }
        }
        try await endCutShort(unopened, among: domains)
        // What is leased may be on its way into a domain.
        let kept = Set(domains.flatMap { $0.live?.functions ?? [] } + manager.leases.map(\.address))
        guard state.withLock({ $0.starting.isEmpty }) else { return }
        // What somebody attaches to a running domain by its address has no hook: its record is young.
        let age = domains.contains(where: \.isActive) ? Self.jobWait : .zero
        if await StaleRecords.remove(unless: kept, olderThan: age, of: manager, logger) {
            loop.scheduleTask(in: TimeAmount(Self.jobWait)) { [work] in work.add { $0.host = true } }
        }
    }

    /// Sees to it that it is looked again while a domain has not opened what it has: QEMU does that a while after libvirt
    /// has listed the domain, and when it ends before, libvirt tells of neither start nor end.
    private func awaitOpening(by domains: [Domain]) {
        let isAwaited = isOpeningAwaited(by: domains)
        let delay = state.withLock { state -> Int64? in
            guard isAwaited else {
                state.looksForOpening = 0
                return nil
            }
            // After an hour it is one that cannot be seen from here.
            guard !state.isLookPlanned, state.looksForOpening < 10 else { return nil }
            state.isLookPlanned = true
            state.looksForOpening += 1
            return 5 << Int64(state.looksForOpening - 1)
        }
        guard let delay else { return }
        loop.scheduleTask(in: .seconds(delay)) { [weak self] in
            guard let self else { return }
            let domains = state.withLock { state in
                state.isLookPlanned = false
                return state.domains
            }
            // Most often the host has been looked at since.
            guard isOpeningAwaited(by: domains) else { return state.withLock { $0.looksForOpening = 0 } }
            onChange()
            work.add { $0.host = true }
        }
    }

    /// Whether a domain that runs has something that nobody has been seen to have opened.
    private func isOpeningAwaited(by domains: [Domain]) -> Bool {
        let host = manager.observedHost
        return domains.contains { domain in
            domain.live?.functions.contains { address in
                host[address].map { !$0.holders.contains(where: \.isDomain) } ?? false
            } ?? false
        }
    }

    /// Ends leases of starts and attaches that were cut short: libvirt was asked after they had been granted, and its
    /// domains do not have them. What a person has leased for a domain waits for its start as long as its time lasts.
    private func endCutShort(_ leases: [Lease], among domains: [Domain]) async throws {
        let open = Set(leases.map(\.id))
        state.withLock { state in state.unanswered = state.unanswered.filter { open.contains($0.key) } }
        for lease in leases {
            let isOurs = uri == Self.system || domains.contains { $0.uuid == lease.consumer.identifier }
            guard isOurs else { continue }
            let runs = domains.contains { $0.uuid == lease.consumer.identifier && $0.isActive }
            let manager = manager
            switch try await reading({ try manager.requester(of: lease) }) {
            // What somebody plugs into a running domain is in its document only when QEMU has it.
            case "libvirt" where runs: break
            case "libvirt": try await manager.endCutShort(lease)
            // An attach by an agent that was killed, or one that was not answered, may still wait in libvirt; our own else
            // ends what it has not attached.
            case "agent":
                let unanswered = state.withLock { $0.unanswered[lease.id] }
                guard let since = unanswered ?? (lease.created < created ? start : nil) else { continue }
                let rest = since + Self.jobWait - .now
                guard rest > .zero else {
                    try await manager.endCutShort(lease)
                    state.withLock { $0.unanswered[lease.id] = nil }
                    continue
                }
                loop.scheduleTask(in: TimeAmount(rest) + .seconds(1)) { [work] in work.add { $0.host = true } }
            default: break
            }
        }
    }

    private func adopt(_ address: PCIAddress, by domain: Domain, _ connection: Connection) async throws {
        // It may have ended since it was listed.
        guard let now = try? await connection.domain(domain.uuid), now.live?.functions.contains(address) ?? false else {
            return
        }
        try await manager.adopt(
            address, for: Consumer(.domain, now.uuid), settings: try wished(address, by: now), actor: "agent")
    }

    /// What a running domain's function is to be set to beyond its pool's settings.
    private func wished(_ address: PCIAddress, by domain: Domain) throws(LeasingError) -> VirtualFunctionSettings {
        let interface = domain.live?.interfaces.first { $0.function == address }
        let wishes = domain.live?.wishes.merging(domain.config?.wishes ?? [:]) { first, _ in first } ?? [:]
        return try settings(of: address, wishes, mac: interface?.mac, vlan: interface?.vlan)
    }

    /// The settings of an interface beyond those of its pool: what libvirt says, and what the domain's metadata adds.
    func settings(
        of address: PCIAddress, _ wishes: [String: InterfaceWish], mac: String?, vlan: UInt16?
    ) throws(LeasingError) -> VirtualFunctionSettings {
        var settings = try mac.flatMap { wishes[$0.lowercased()]?.settings }?.parsed() ?? VirtualFunctionSettings()
        settings.mac = mac.flatMap { MACAddress($0) }
        let pools = manager.pools
        let pool = pools.member(at: address).flatMap { pools.pool(of: $0.identity) }.flatMap { pools[name: $0] }
        // The pool's tag may have a priority or another protocol, which libvirt cannot say.
        // And what was wished for counts more than what libvirt can say of it.
        if let vlan, settings.vlans == nil, pool?.declared.settings.vlans?.first?.id != vlan {
            settings.vlans = [VLAN(id: vlan)]
        }
        return settings
    }
}
