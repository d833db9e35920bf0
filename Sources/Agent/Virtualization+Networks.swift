internal import Diagnosis
internal import Leasing
internal import Libvirt
internal import Logging
internal import NIOCore
internal import PCI
internal import SRIOV
internal import Synchronization

/// The networks of pools, kept as the pools are.
extension Virtualization {
    /// The networks of the pools that are for libvirt, made and kept as the pools are.
    func syncNetworks(_ connection: Connection) async throws -> [PoolNetwork] {
        await networkTurn.enter()
        defer { networkTurn.leave() }
        let networks = try await connection.hostdevNetworks()
        return try await carryOut(PoolNetwork.all(of: manager.pools, among: networks), among: networks, connection)
    }

    private func carryOut(
        _ plans: [PoolNetwork], among networks: [Network], _ connection: Connection
    ) async throws -> [PoolNetwork] {
        var failure: (any Error)?
        for plan in plans where plan.action != .keep {
            // One network that cannot be made keeps no other from it.
            do { try await carryOut(plan, connection) } catch { failure = failure ?? error }
        }
        // What was just changed is read anew; else one look is enough.
        let isChanged = plans.contains { $0.action != .keep }
        try await keepOut(of: isChanged ? try await connection.hostdevNetworks() : networks, connection)
        if let failure { throw failure }
        return plans
    }

    private func carryOut(_ plan: PoolNetwork, _ connection: Connection) async throws {
        let name = plan.description.name
        if plan.action != .start { try await connection.define(plan.description) }
        switch plan.action {
        case .create, .start: try await connection.start(network: name)
        default:
            if plan.needsRestart {
                for port in try await connection.restart(network: name) where !port.isOurs {
                    logger.warning("network \(name): the device of \(port.owner) could not be claimed again")
                }
            }
        }
        logger.notice("network \(name): \(plan.action.rawValue), \(plan.description.addresses.count) functions")
    }

    /// Keeps networks that are ours fresh. One that nobody has asked for is not made.
    func keepNetworks(_ connection: Connection) async throws {
        await networkTurn.enter()
        defer { networkTurn.leave() }
        let networks = try await connection.hostdevNetworks()
        let plans = PoolNetwork.all(of: manager.pools, among: networks)
        let isStale = plans.contains { plan in
            plan.action != .keep && networks.contains { $0.config.pool == plan.pool }
        }
        _ = try await carryOut(isStale ? plans : [], among: networks, connection)
    }

    /// Keeps functions that somebody has otherwise out of the networks' hands, and gives them back when they are free:
    /// libvirt would hand them out, since it knows only of what it has given itself.
    private func keepOut(of networks: [Network], _ connection: Connection) async throws {
        let occupied = manager.occupied
        let names = networks.compactMap { network in network.config.pool.map { (network.config.name, $0) } }
        let lists = networks.compactMap { network in network.live.map { (network.config.name, $0.addresses) } }
        let facts = networks.filter { $0.config.pool != nil }.map { network in
            let members =
                network.config.pool.flatMap { manager.pools[name: $0] }?.members.filter { $0.port != nil }
                .map(\.function.pci.address) ?? []
            let listed = Set(network.live?.addresses ?? network.config.addresses)
            return HostFacts.NetworkFacts(
                name: network.config.name, isActive: network.live != nil, isAutostarted: network.isAutostarted,
                stale: listed.subtracting(members).sorted().map { "\($0) is in the network and not in the pool" }
                    + Set(members).subtracting(listed).sorted().map { "\($0) is in the pool and not in the network" })
        }
        state.withLock {
            $0.networkFacts = facts
            $0.kept = [:]
            $0.pools = Dictionary(names, uniquingKeysWith: { first, _ in first })
            $0.lists = Dictionary(lists, uniquingKeysWith: { first, _ in first })
        }
        for network in networks {
            guard let pool = network.config.pool, network.live != nil, let members = manager.pools[name: pool]?.members
            else { continue }
            let given = Set(network.ports.filter { !$0.isOurs }.compactMap(\.address))
            // What is listed needs no announcement any more.
            let announced = state.withLock { state in
                for address in given { state.announced[address] = nil }
                return Set(state.announced.keys)
            }
            try await removeStrays(of: network, connection)
            let wanted = Set(
                members.compactMap { member -> PCIAddress? in
                    switch occupied[member.identity] {
                    case .lease, .foreign: member.function.pci.address
                    case .maintained, .promised, nil: nil
                    }
                }
            ).subtracting(given).subtracting(announced).intersection(network.live?.addresses ?? [])
            let own = network.ports.filter(\.isOurs)
            let name = network.config.name
            for port in own where port.address.map({ !wanted.contains($0) }) ?? true {
                try await connection.unclaim(port: port.uuid, of: name)
            }
            for address in wanted.subtracting(own.compactMap(\.address)).sorted() {
                do throws(LibvirtError) {
                    try await connection.claim(NetworkPort(keeping: address), of: name)
                } catch {
                    // A domain was quicker; it is told by the hook, and refused there if it must be.
                    logger.info("network \(name): \(error.message)")
                }
            }
        }
    }

    /// Takes ports away that no domain has: a daemon that was killed in the middle of a start or an attach leaves them, and
    /// nobody else would. Only what has been so for a while is: a port is there before its domain has the function.
    private func removeStrays(of network: Network, _ connection: Connection) async throws {
        let name = network.config.name
        let now = ContinuousClock.now
        let strays = network.ports.filter { !$0.isOurs && isStray($0) }
        let since = state.withLock { state in
            let known = state.strays[name] ?? [:]
            let since = Dictionary(
                strays.map { ($0.uuid, known[$0.uuid] ?? now) }, uniquingKeysWith: { first, _ in first })
            state.strays[name] = since
            return since
        }
        let running = state.withLock { Set($0.domains.filter(\.isActive).map(\.uuid)) }
        var next: Duration?
        for port in strays {
            let patience = running.contains(port.ownerUUID) ? Self.jobWait : .seconds(5)
            let rest = patience - (now - (since[port.uuid] ?? now))
            guard rest <= .zero else {
                next = min(next ?? rest, rest)
                continue
            }
            logger.notice("network \(name): a port of \(port.owner), which does not have it, is removed")
            try await connection.unclaim(port: port.uuid, of: name)
        }
        if let next {
            loop.scheduleTask(in: TimeAmount(next) + .milliseconds(100)) { [work] in work.add { $0.host = true } }
        }
    }

    /// Whether the domain that a port was made for neither has its function nor is getting it.
    private func isStray(_ port: NetworkPort) -> Bool {
        let (isStarting, owner, isAttaching) = state.withLock { state in
            (
                state.starting.contains(port.ownerUUID),
                state.domains.first { $0.uuid == port.ownerUUID && $0.isActive },
                port.address.map { state.attaching[$0] != nil } ?? false
            )
        }
        guard !isStarting, !isAttaching else { return false }
        guard let owner else { return true }
        guard let address = port.address, let live = owner.live, !live.functions.contains(address) else { return false }
        // Who has leased it may be getting it this moment.
        return manager.lease(at: address) == nil
    }
}
