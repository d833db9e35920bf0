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
    let number: UInt64
    /// The domain.
    var uuid: String
    /// What it is to get and has not got yet.
    var expected: Set<PCIAddress>
    /// The functions of a list that interfaces get, in the order in which libvirt gives them out: each interface the next
    /// one of a port that its group has left; nil when the list ends before.
    static func sequence(
        of list: [PCIAddress], interfaces: [Int], ports: [[PCIAddress]], port: (PCIAddress) -> PCIAddress?
    ) -> [PCIAddress]? {
        var rest = ports
        var position = list.startIndex
        var result: [PCIAddress] = []
        for group in interfaces {
            let next = list[position...].firstIndex { address in port(address).map(rest[group].contains) ?? false }
            guard let next, let taken = port(list[next]), let index = rest[group].firstIndex(of: taken) else {
                return nil
            }
            rest[group].remove(at: index)
            result.append(list[next])
            position = next + 1
        }
        return result
    }
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
        let number = UInt64.random(in: .min ... .max)
        state.withLock { $0.startNumbers[domain.uuid] = number }
        // One start after another: each finds what the one before has left.
        await networkTurn.enter()
        // Who has waited long may be over by now, and its hook not be waited for any more.
        guard state.withLock({ $0.startNumbers[domain.uuid] == number }) else { return networkTurn.leave() }
        do {
            // Without a connection a network gives out what it finds first.
            let connection = state.withLock { $0.connection }
            let ports = await ports(
                of: Set(domain.interfaces.compactMap(\.network)).filter { pools[$0] != nil }, connection)
            let choices = try await choices(for: domain, pools, beside: ports)
            let expected = choices.values.reduce(into: Set<PCIAddress>()) { $0.formUnion($1) }
            state.withLock { $0.steering = Steering(number: number, uuid: domain.uuid, expected: expected) }
            loop.scheduleTask(in: Self.patience) { [weak self] in self?.endSteering(where: { $0.number == number }) }
            guard let connection else { return endSteering(of: domain.uuid) }
            for (network, chosen) in choices.sorted(by: { $0.key < $1.key }) {
                await clear(network, ports[network] ?? [], for: chosen, number, connection)
            }
        } catch {
            manager.endPromises(to: Consumer(.domain, domain.uuid))
            networkTurn.leave()
            throw error
        }
    }

    /// Throws when what is wished for an interface is not understood: it is in the domain's document, where anybody may
    /// edit it.
    func checkWishes(of domain: DomainDescription) throws(LeasingError) {
        for (mac, wish) in domain.wishes.sorted(by: { $0.key < $1.key }) {
            let place = "<sluice:interface mac=\"\(mac)\"> in the metadata of domain \(domain.name)"
            let edit = "virsh edit \(domain.name), or sluice vm detach and attach"
            guard wish.isUnderstood else {
                throw LeasingError(.badRequest, "\(place): its settings are no settings", remedy: edit)
            }
            var body = AttachBody(pool: "")
            (body.settings, body.spread, body.numa) = (wish.settings, wish.spread, wish.numa)
            do throws(LeasingError) {
                _ = try request(body, for: domain.uuid, as: nil)
            } catch {
                throw LeasingError(
                    error.code, "\(place): \(error.message)", remedy: (error.remedy.map { "\($0); " } ?? "") + edit)
            }
        }
    }

    /// The ports of networks.
    private func ports(of networks: Set<String>, _ connection: Connection?) async -> [String: [NetworkPort]] {
        var ports: [String: [NetworkPort]] = [:]
        for network in networks.sorted() {
            do throws(LibvirtError) {
                ports[network] = try await connection?.ports(of: network)
            } catch {
                // The domain then gets what libvirt finds first.
                logger.warning("network \(network): \(error.message)")
            }
        }
        return ports
    }

    /// What a domain is to get of each network. What libvirt has given out it does not give once more, though nobody has a
    /// lease of it: a start that was cut short leaves its port.
    private func choices(
        for domain: DomainDescription, _ pools: [String: String], beside ports: [String: [NetworkPort]]
    ) async throws(LeasingError) -> [String: Set<PCIAddress>] {
        let wishes = domain.wishes
        // Interfaces that were attached together are chosen together.
        let interfaces = domain.interfaces.compactMap { interface -> Part? in
            guard let network = interface.network, pools[network] != nil else { return nil }
            var wish = interface.mac.flatMap { wishes[$0.lowercased()] } ?? InterfaceWish()
            wish.settings = nil
            if wish.isEmpty { wish.group = nil }
            return Part(network: network, wish: wish)
        }
        let given = Set(ports.values.flatMap(\.self).filter { !$0.isOurs }.compactMap(\.address))
        let passed = given.union(domain.functions)
        var chosen: [Part: [PCIAddress]] = [:]
        // Those with wishes first: the others take what is left.
        for part in Set(interfaces).sorted(by: { $0.order < $1.order }) {
            guard let pool = pools[part.network] else { continue }
            var body = AttachBody(pool: pool)
            (body.count, body.spread, body.numa) = (interfaces.count { $0 == part }, part.wish.spread, part.wish.numa)
            let request = try request(body, for: domain.uuid, as: domain)
            chosen[part] = try await manager.promise(for: request, beside: passed)
        }
        var result: [String: Set<PCIAddress>] = [:]
        for (network, parts) in Dictionary(grouping: interfaces, by: \.network) {
            let functions = Set(Set(parts).flatMap { chosen[$0] ?? [] })
            result[network] =
                Set(parts).count > 1
                ? try inListOrder(parts, chosen, functions, of: network, for: domain, beside: passed) : functions
        }
        return result
    }

    /// Interfaces of a network that are wished for alike.
    private struct Part: Hashable {
        var network: String
        var wish: InterfaceWish

        /// Those with wishes first.
        var order: (Int, String, String) { (wish.isEmpty ? 1 : 0, network, wish.group ?? "") }
    }

    /// What several groups of interfaces get of one network: each of the ports that were chosen for its group.
    private func inListOrder(
        _ parts: [Part], _ chosen: [Part: [PCIAddress]], _ functions: Set<PCIAddress>, of network: String,
        for domain: DomainDescription, beside passed: Set<PCIAddress>
    ) throws(LeasingError) -> Set<PCIAddress> {
        let (known, occupied) = (manager.pools, manager.occupied)
        let groups = Array(Set(parts))
        let list = state.withLock { $0.lists[network] } ?? []
        let free = list.filter { address in
            !passed.contains(address)
                && known.member(at: address).map { occupied[$0.identity] == nil } ?? false
        }
        func port(_ address: PCIAddress) -> PCIAddress? { known.member(at: address)?.portAddress }
        let sequence = Steering.sequence(
            of: free, interfaces: parts.compactMap { groups.firstIndex(of: $0) },
            ports: groups.map { (chosen[$0] ?? []).compactMap(port) }, port: port)
        let consumer = Consumer(.domain, domain.uuid)
        if let sequence, manager.promise(Set(sequence), insteadOf: functions, to: consumer) { return Set(sequence) }
        guard parts.contains(where: { $0.wish.spread != nil }) else { return functions }
        throw LeasingError(
            .exhausted,
            "network \(network) gives its functions out in the order of its list, and no order gives each interface of "
                + "\(domain.name) one of the port that it is to have",
            remedy:
                "attach them together (--count), or free functions of the pool: sluice pool show \(pools(of: network))")
    }

    private func pools(of network: String) -> String { state.withLock { $0.pools[network] } ?? network }

    /// Makes the chosen functions the first free ones of a network.
    private func clear(
        _ network: String, _ ports: [NetworkPort], for chosen: Set<PCIAddress>, _ number: UInt64,
        _ connection: Connection
    ) async {
        do throws(LibvirtError) {
            let list = state.withLock { $0.lists[network] } ?? []
            for port in ports where port.isOurs && port.address.map(chosen.contains) ?? false {
                try await connection.unclaim(port: port.uuid, of: network)
            }
            let taken = Set(ports.compactMap(\.address))
            guard let last = list.lastIndex(where: chosen.contains) else { return }
            for address in list[..<last] where !chosen.contains(address) && !taken.contains(address) {
                // Its time may be over, and the turn another's.
                guard state.withLock({ $0.steering?.number == number }) else { return }
                state.withLock { _ = $0.kept[network, default: []].insert(address) }
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
        // A look at everything would take the processors from QEMU, which is about to start.
        if isLast { endSteering(of: uuid, isDone: true) }
    }

    /// Gives back what was kept from libvirt for starts that have got what they were to get.
    func giveBackKept(_ connection: Connection) async throws {
        await networkTurn.enter()
        defer { networkTurn.leave() }
        let kept = state.withLock { state in
            defer { state.kept = [:] }
            return state.kept
        }
        let (pools, occupied) = (manager.pools, manager.occupied)
        for (network, addresses) in kept {
            for address in addresses.sorted() {
                // What somebody has got otherwise meanwhile stays out of libvirt's hands.
                switch pools.member(at: address).flatMap({ occupied[$0.identity] }) {
                case .lease, .foreign: continue
                case .maintained, .promised, nil:
                    try await connection.unclaim(port: NetworkPort.uuid(keeping: address), of: network)
                }
            }
        }
    }

    /// Lets others have their turn: a domain has what was chosen for it, or will not get it.
    func endSteering(of uuid: String, isDone: Bool = false) {
        state.withLock { $0.startNumbers[uuid] = nil }
        endSteering(isDone: isDone) { $0.uuid == uuid }
    }

    /// Lets others have their turn, when it is a certain start that has it.
    func endSteering(isDone: Bool = false, where isMeant: (Steering) -> Bool = { _ in true }) {
        let ended = state.withLock { state -> Steering? in
            guard let steering = state.steering, isMeant(steering) else { return nil }
            state.steering = nil
            return steering
        }
        guard let ended else { return }
        manager.endPromises(to: Consumer(.domain, ended.uuid))
        networkTurn.leave()
        // What was kept from libvirt is given back.
        guard isDone else { return work.add { $0.host = true } }
        if state.withLock({ !$0.kept.isEmpty }) { work.add { $0.kept = true } }
    }
}
