internal import AgentAPI
internal import Leasing
internal import Libvirt
internal import Logging
internal import NIOCore
internal import PCI
internal import SRIOV
internal import Synchronization

/// A start of a domain that gets of networks what was chosen for it.
struct Steering: Sendable {
    /// Which start.
    let number = UInt64.random(in: .min ... .max)
    /// The domain.
    var uuid: String
    /// What it is to get and has not got yet.
    var expected: Set<PCIAddress>
}

/// libvirt's networks give out the first function of their list that is free (networkAllocatePort in
/// src/network/bridge_driver.c), whatever the NUMA node and the port. So before a domain starts, its functions are chosen
/// as for any lease, and those that libvirt would take before them are kept from it until the domain has its own.
extension Virtualization {
    /// How long a start may take from its first hook to its last interface, before others have their turn.
    private static let patience = TimeAmount.seconds(20)

    /// Chooses what a domain that starts gets of networks, and sees to it that libvirt gives it just that.
    ///
    /// Throws when a pool has fewer free functions than the domain is about to get: libvirt would say so after having
    /// given the first, and not who has the others.
    func steer(_ domain: DomainDescription) async throws {
        let pools = state.withLock { $0.pools }
        guard domain.interfaces.contains(where: { $0.network.map { pools[$0] != nil } ?? false }) else { return }
        // One start after another: each finds what the one before has left.
        await networkTurn.enter()
        do {
            let choices = try choices(for: domain, pools)
            let steering = Steering(uuid: domain.uuid, expected: choices.values.reduce(into: []) { $0.formUnion($1) })
            state.withLock { $0.steering = steering }
            loop.scheduleTask(in: Self.patience) { [weak self] in
                self?.endSteering { $0.number == steering.number }
            }
            // Without a connection its network gives out what it finds first.
            guard let connection = state.withLock({ $0.connection }) else { return endSteering(of: domain.uuid) }
            for (network, chosen) in choices.sorted(by: { $0.key < $1.key }) {
                await clear(network, for: chosen, connection)
            }
        } catch {
            networkTurn.leave()
            throw error
        }
    }

    /// What a domain is to get of each network.
    private func choices(
        for domain: DomainDescription, _ pools: [String: String]
    ) throws(LeasingError) -> [String: Set<PCIAddress>] {
        struct Part: Hashable {
            var network: String
            var wish: InterfaceWish
        }
        let wishes = domain.wishes
        // Interfaces that were attached together are chosen together.
        var parts: [Part: Int] = [:]
        for interface in domain.interfaces {
            guard let network = interface.network, pools[network] != nil else { continue }
            var wish = interface.mac.flatMap { wishes[$0.lowercased()] } ?? InterfaceWish()
            wish.settings = nil
            if wish.isEmpty { wish.group = nil }
            parts[Part(network: network, wish: wish), default: 0] += 1
        }
        var chosen: [String: Set<PCIAddress>] = [:]
        var promised = Set(domain.functions)
        // Those with wishes first: the others take what is left.
        func order(_ part: Part) -> (Int, String, String) {
            (part.wish.isEmpty ? 1 : 0, part.network, part.wish.group ?? "")
        }
        for (part, count) in parts.sorted(by: { order($0.key) < order($1.key) }) {
            guard let pool = pools[part.network] else { continue }
            var body = AttachBody(pool: pool)
            (body.count, body.spread, body.numa) = (count, part.wish.spread, part.wish.numa)
            let request = try request(body, for: domain.uuid, as: domain)
            let functions = try manager.choice(for: request, beside: promised)
            promised.formUnion(functions)
            chosen[part.network, default: []].formUnion(functions)
        }
        return chosen
    }

    /// Makes the chosen functions the first free ones of a network.
    private func clear(_ network: String, for chosen: Set<PCIAddress>, _ connection: Connection) async {
        do throws(LibvirtError) {
            let list = state.withLock { $0.lists[network] } ?? []
            let ports = try await connection.ports(of: network)
            for port in ports where port.isOurs && port.address.map(chosen.contains) ?? false {
                try await connection.unclaim(port: port.uuid, of: network)
            }
            let taken = Set(ports.compactMap(\.address))
            guard let last = list.lastIndex(where: chosen.contains) else { return }
            for address in list[..<last] where !chosen.contains(address) && !taken.contains(address) {
                try await connection.claim(NetworkPort(keeping: address), of: network)
            }
        } catch {
            // The domain then gets what libvirt finds first.
            logger.warning("network \(network): \(error.message)")
        }
    }

    /// Notes that a domain has got a function of a network.
    func steered(_ address: PCIAddress, to uuid: String) {
        let isLast = state.withLock { state in
            guard state.steering?.uuid == uuid else { return false }
            if state.steering?.expected.remove(address) == nil {
                logger.notice("domain \(uuid) has got \(address), which was not chosen for it")
                _ = state.steering?.expected.popFirst()
            }
            return state.steering?.expected.isEmpty ?? false
        }
        if isLast { endSteering(of: uuid) }
    }

    /// Lets others have their turn: a domain has what was chosen for it, or will not get it.
    func endSteering(of uuid: String) { endSteering { $0.uuid == uuid } }

    /// Lets others have their turn, when it is a certain start that has it.
    func endSteering(where isMeant: (Steering) -> Bool = { _ in true }) {
        let hasEnded = state.withLock { state in
            guard let steering = state.steering, isMeant(steering) else { return false }
            state.steering = nil
            return true
        }
        guard hasEnded else { return }
        networkTurn.leave()
        // What was kept from libvirt is given back.
        work.add { $0.host = true }
    }
}
