internal import AgentAPI
internal import Leasing
internal import Libvirt
internal import Logging
internal import NIOCore
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

/// Follows one libvirt daemon: which domains run and what they have, and which networks hand out functions of pools.
///
/// One task keeps the connection and takes its events; another looks, whenever there is a reason to, at what they are
/// about. When a daemon ends, it is connected to again and everything is looked at anew.
final class Virtualization: Sendable {
    let uri: String
    let manager: LeaseManager
    let logger: Logger
    let isObserveOnly: Bool
    private let loop: any EventLoop
    /// Tells that a domain has come or gone: who holds what is to be looked at.
    private let onChange: @Sendable () -> Void
    /// Reasons to look at domains and networks.
    let work: Triggers
    /// Whether it is followed whatever the pools are for.
    private let isAlwaysWanted: Bool
    /// Yields when pools have come that are for libvirt.
    private let wanted = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let state = Mutex(State())

    struct State {
        var connection: Connection?
        var domains: [Domain] = []
        /// Domains between the first hook of their start and the last of their end, by UUID.
        var starting: Set<String> = []
        /// What the interfaces of such domains are to be set to, by UUID and MAC address.
        var wishes: [String: [String: SettingsView]] = [:]
        /// The pools of networks that are ours, by the networks' names.
        var pools: [String: String] = [:]
        /// Functions that a network has given to a domain: nobody else needs to keep them out of its hands.
        var given: Set<PCIAddress> = []
        /// Why there is no connection.
        var failure: LibvirtError?
        /// Those who wait until a device has left its domain.
        var departures: [Departure: [EventLoopPromise<Bool>]] = [:]
    }

    /// A device of a domain.
    struct Departure: Hashable {
        var uuid: String
        var alias: String
    }

    init(
        uri: String, isAlwaysWanted: Bool, manager: LeaseManager, isObserveOnly: Bool, work: Triggers, logger: Logger,
        loop: any EventLoop, onChange: @escaping @Sendable () -> Void
    ) {
        self.uri = uri
        self.isAlwaysWanted = isAlwaysWanted
        self.work = work
        self.manager = manager
        self.isObserveOnly = isObserveOnly
        self.logger = logger
        self.loop = loop
        self.onChange = onChange
    }

    /// Whether a domain starts or runs; nil when this daemon does not have it, or does not answer.
    func isAlive(_ uuid: String) -> Bool? {
        state.withLock { state in
            state.starting.contains(uuid) || state.domains.contains { $0.uuid == uuid && $0.isActive } ? true : nil
        }
    }

    /// The connection. Throws why there is none.
    func connection() throws -> Connection {
        let (connection, failure) = state.withLock { ($0.connection, $0.failure) }
        guard let connection else {
            throw failure
                ?? LibvirtError(
                    .unreachable, "there is no connection to \(uri) yet",
                    remedy: "systemctl status libvirtd virtqemud tells whether it runs")
        }
        return connection
    }

    // MARK: The tasks

    /// Keeps a connection until the task is cancelled.
    func run() async {
        var failures = 0
        var poolsOrEnd = wanted.stream.makeAsyncIterator()
        while !Task.isCancelled {
            // A host without such pools has nothing of libvirt in its memory.
            guard isWanted else {
                await poolsOrEnd.next()
                continue
            }
            do throws(LibvirtError) {
                let connection = try await Connection.open(uri)
                failures = 0
                state.withLock { ($0.connection, $0.failure) = (connection, nil) }
                logger.notice("connected to \(uri)")
                work.add { $0.host = true }
                for await event in connection.events { take(event) }
                logger.warning("the connection to \(uri) has ended")
            } catch {
                if failures == 0 { logger.warning("\(error.message)") }
                state.withLock { $0.failure = error }
            }
            disconnected()
            failures += 1
            // A daemon that is not there is tried again, ever more rarely.
            try? await loop.sleep(for: .seconds(min(1 << min(failures - 1, 6), 60)))
        }
    }

    /// Whether it is followed: a pool is for it, or it was named.
    var isWanted: Bool { isAlwaysWanted || manager.pools.pools.contains { $0.declared.purpose == "libvirt" } }

    private func disconnected() {
        let waiting = state.withLock { state in
            state.connection = nil
            state.domains = []
            defer { state.departures = [:] }
            return state.departures.values.flatMap(\.self)
        }
        for promise in waiting { promise.succeed(false) }
    }

    private func take(_ event: LibvirtEvent) {
        switch event {
        case .deviceRemoved(let uuid, let alias): depart(Departure(uuid: uuid, alias: alias), true)
        case .deviceRemovalFailed(let uuid, let alias): depart(Departure(uuid: uuid, alias: alias), false)
        default: break
        }
        work.add { $0.host = true }
    }

    private func depart(_ departure: Departure, _ hasLeft: Bool) {
        let waiting = state.withLock { $0.departures.removeValue(forKey: departure) ?? [] }
        for promise in waiting { promise.succeed(hasLeft) }
    }

    /// Asks for a device to leave and waits until it has; false when the guest refuses, or does not answer in time.
    func departure(
        _ departure: Departure, within patience: Duration, _ ask: () async throws(LibvirtError) -> Void
    ) async throws -> Bool {
        let promise = loop.makePromise(of: Bool.self)
        // It is waited for before it is asked: the answer may be quicker than we are.
        state.withLock { $0.departures[departure, default: []].append(promise) }
        do {
            try await ask()
        } catch {
            depart(departure, false)
            throw error
        }
        let timer = loop.scheduleTask(in: TimeAmount(patience)) { promise.succeed(false) }
        defer { timer.cancel() }
        return (try? await promise.futureResult.get()) ?? false
    }

    /// Looks at domains and networks whenever there is a reason to.
    func runWork() async {
        for await _ in work.signals {
            guard !Task.isCancelled else { return }
            let reasons = work.take()
            guard let connection = state.withLock({ $0.connection }) else {
                if isWanted { wanted.continuation.yield() }
                continue
            }
            do {
                if reasons.host { try await lookAtDomains(connection) }
                if !isObserveOnly { try await keepNetworks(connection) }
            } catch {
                logger.warning("\(uri): \(error)")
            }
        }
    }

    /// Reads the domains, and takes over what running ones have without a lease.
    private func lookAtDomains(_ connection: Connection) async throws {
        let domains = try await connection.domains()
        let running = Set(domains.filter(\.isActive).map(\.uuid))
        let hasChanged = state.withLock { state in
            defer { state.domains = domains }
            state.starting.subtract(running)
            return Set(state.domains.filter(\.isActive).map(\.uuid)) != running
        }
        if !isObserveOnly {
            for domain in domains {
                for address in domain.live?.functions ?? [] {
                    do throws(LeasingError) {
                        try await manager.adopt(
                            address, for: Consumer(.domain, domain.uuid), settings: try wished(address, by: domain),
                            actor: "agent")
                    } catch {
                        logger.error("domain \(domain.name): \(error.message)")
                    }
                }
            }
        }
        if hasChanged { onChange() }
        guard !isObserveOnly else { return }
        await takeBackUnplugged(domains)
        // What is leased may be on its way into a domain.
        let used = Set(domains.flatMap { $0.live?.functions ?? [] } + manager.leases.map(\.address))
        if state.withLock({ $0.starting.isEmpty }) {
            StaleRecords.remove(unless: used, on: manager.observedHost, logger)
        }
    }

    /// Ends the leases of functions that running domains have let go: somebody has unplugged them.
    private func takeBackUnplugged(_ domains: [Domain]) async {
        let used = Dictionary(
            domains.compactMap { domain in domain.live.map { (domain.uuid, Set($0.functions)) } },
            uniquingKeysWith: { first, _ in first })
        for lease in manager.leases where lease.consumer.kind == .domain && lease.state == .active && lease.wasHeld {
            guard let functions = used[lease.consumer.identifier], !functions.contains(lease.address) else { continue }
            do throws(LeasingError) {
                _ = try await manager.release(lease.id, actor: "libvirt")
            } catch {
                logger.error("lease \(lease.id): \(error.message)")
            }
        }
    }

    /// What a running domain's function is to be set to beyond its pool's settings.
    private func wished(_ address: PCIAddress, by domain: Domain) throws(LeasingError) -> VirtualFunctionSettings {
        let interface = domain.live?.interfaces.first { $0.function == address }
        let wishes = domain.live?.wishes.merging(domain.config?.wishes ?? [:]) { first, _ in first } ?? [:]
        return try settings(of: address, wishes, mac: interface?.mac, vlan: interface?.vlan)
    }

    /// The settings of an interface beyond those of its pool: what libvirt says, and what the domain's metadata adds.
    func settings(
        of address: PCIAddress, _ wishes: [String: SettingsView], mac: String?, vlan: UInt16?
    ) throws(LeasingError) -> VirtualFunctionSettings {
        var settings = try mac.flatMap { wishes[$0.lowercased()] }?.parsed() ?? VirtualFunctionSettings()
        settings.mac = mac.flatMap { MACAddress($0) }
        let pool = manager.pools.pools.first { pool in pool.members.contains { $0.function.pci.address == address } }
        // The pool's tag may have a priority or another protocol, which libvirt cannot say.
        let known = settings.vlans ?? pool?.declared.settings.vlans
        if let vlan, known?.first?.id != vlan { settings.vlans = [VLAN(id: vlan)] }
        return settings
    }

    // MARK: Networks

    /// The networks of the pools that are for libvirt, made and kept as the pools are.
    func syncNetworks(_ connection: Connection) async throws -> [PoolNetwork] {
        let plans = PoolNetwork.all(of: manager.pools, among: try await connection.hostdevNetworks())
        for plan in plans {
            if plan.action == .keep { continue }
            let name = plan.description.name
            if plan.action != .start { try await connection.define(plan.description) }
            switch plan.action {
            case .create, .start: try await connection.start(network: name)
            default:
                let isActive = try await connection.hostdevNetworks().first { $0.config.name == name }?.live != nil
                if plan.needsRestart || !isActive {
                    for port in try await connection.restart(network: name) where !port.isOurs {
                        logger.warning("network \(name): \(port.owner) has a device that it does not hand out any more")
                    }
                }
            }
            logger.notice("network \(name): \(plan.action.rawValue), \(plan.description.addresses.count) functions")
        }
        try await keepOut(connection)
        return plans
    }

    /// Keeps networks that are ours fresh. One that nobody has asked for is not made.
    private func keepNetworks(_ connection: Connection) async throws {
        let networks = try await connection.hostdevNetworks()
        let plans = PoolNetwork.all(of: manager.pools, among: networks)
        let isStale = plans.contains { plan in
            plan.action != .keep && networks.contains { $0.config.pool == plan.pool }
        }
        if isStale { _ = try await syncNetworks(connection) } else { try await keepOut(connection) }
    }

    /// Keeps functions that somebody has otherwise out of the networks' hands, and gives them back when they are free:
    /// libvirt would hand them out, since it knows only of what it has given itself.
    private func keepOut(_ connection: Connection) async throws {
        let occupied = manager.occupied
        let networks = try await connection.hostdevNetworks()
        let names = networks.compactMap { network in network.config.pool.map { (network.config.name, $0) } }
        state.withLock { $0.pools = Dictionary(names, uniquingKeysWith: { first, _ in first }) }
        for network in networks {
            guard let pool = network.config.pool, network.live != nil, let members = manager.pools[name: pool]?.members
            else { continue }
            let given = Set(network.ports.filter { !$0.isOurs }.compactMap(\.address))
            state.withLock { $0.given.formUnion(given) }
            let announced = state.withLock { $0.given }
            let wanted = Set(
                members.compactMap { member -> PCIAddress? in
                    switch occupied[member.identity] {
                    case .lease, .foreign: member.function.pci.address
                    case .maintained, nil: nil
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
}
