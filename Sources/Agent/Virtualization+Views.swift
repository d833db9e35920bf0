internal import AgentAPI
internal import Diagnosis
internal import Leasing
internal import Libvirt
internal import PCI
internal import SRIOV
internal import Synchronization

extension Virtualization {
    /// All domains with what they have.
    func domainViews() async throws -> [DomainView] {
        let domains = try await connection().domains()
        let networks = try await connection().hostdevNetworks()
        return domains.map { view($0, networks) }
    }

    /// One domain with what it has.
    func domainView(_ name: String) async throws -> DomainView {
        let domain = try await connection().domain(name)
        return view(domain, try await connection().hostdevNetworks())
    }

    /// The networks of pools, and what would be done to them.
    func networkViews() async throws -> [NetworkView] {
        PoolNetwork.all(of: manager.pools, among: try await connection().hostdevNetworks()).map(view)
    }

    /// The networks of pools, after what was to be done is done.
    func syncedNetworkViews() async throws -> [NetworkView] { try await syncNetworks(connection()).map(view) }

    /// Adds what faults are told from: as libvirt was when it was last looked at.
    func add(to facts: inout HostFacts) {
        let (domains, networks) = state.withLock { ($0.domains, $0.networkFacts) }
        facts.networks += networks
        facts.domains += domains.compactMap { domain in
            guard domain.isActive, let live = domain.live else { return nil }
            return HostFacts.DomainFacts(
                name: domain.name, freeHotplugPorts: HotplugPorts(live).free, functions: live.functions.count)
        }
    }

    private func view(_ network: PoolNetwork) -> NetworkView {
        NetworkView(
            name: network.description.name, pool: network.pool, action: network.action.rawValue,
            functions: network.description.addresses.map(\.description), vlan: network.description.vlan.map(Int.init),
            rivals: network.rivals)
    }

    private func view(_ domain: Domain, _ networks: [Network]) -> DomainView {
        let description = domain.live ?? domain.config
        let ports = description.map(HotplugPorts.init)
        var view = DomainView(
            name: domain.name, uuid: domain.uuid, isActive: domain.isActive, hotplugPorts: ports?.total ?? 0,
            freeHotplugPorts: ports?.free ?? 0)
        let host = manager.host
        view.interfaces = interfaces(of: domain, networks, host)
        if let nodes = description.flatMap({ Self.nodes(of: $0, host) }) {
            view.numaNodes = nodes.sorted()
            let used = view.interfaces.compactMap(\.numaNode)
            view.fitsNUMA = used.isEmpty ? nil : used.allSatisfy(nodes.contains)
        }
        return view
    }

    /// The NUMA nodes that a domain is bound to, by its memory or its CPUs; nil when it is not.
    static func nodes(of description: DomainDescription, _ host: Host) -> Set<Int>? {
        let (cpus, nodes) = description.placement
        guard nodes != nil || cpus != nil else { return nil }
        let found = host.nodes.filter { node in
            nodes?.contains(node.number) ?? cpus?.numbers.contains { node.cpus.contains($0) } ?? false
        }
        // Bound to all of them it is bound to none.
        return found.count == host.nodes.count ? nil : Set(found.map(\.number))
    }

    private func interfaces(of domain: Domain, _ networks: [Network], _ host: Host) -> [DomainView.Interface] {
        let pools = Dictionary(
            networks.compactMap { network in network.config.pool.map { (network.config.name, $0) } },
            uniquingKeysWith: { first, _ in first })
        var found: [DomainView.Interface] = []
        func add(_ interface: DomainInterface, in place: String) {
            guard interface.function != nil || interface.network.map({ pools[$0] != nil }) ?? false else { return }
            // The same interface is in both documents; a MAC address is what they have in common.
            if let index = found.firstIndex(where: { $0.mac != nil && $0.mac == interface.mac }) {
                found[index].`in`.append(place)
                found[index].network = found[index].network ?? interface.network
                found[index].pool = found[index].pool ?? interface.network.flatMap { pools[$0] }
                return
            }
            var view = DomainView.Interface(in: [place])
            view.alias = interface.alias
            view.mac = interface.mac
            view.network = interface.network
            view.pool = interface.network.flatMap { pools[$0] }
            if let address = interface.function {
                let function = host[address]
                view.address = "\(address)"
                view.name = function?.name
                view.numaNode = function?.pci.numaNode
                let lease = manager.lease(at: address)
                view.lease = lease?.id
                view.pool = view.pool ?? lease?.pool
            }
            found.append(view)
        }
        for interface in domain.live?.interfaces ?? [] { add(interface, in: "live") }
        for interface in domain.config?.interfaces ?? [] { add(interface, in: "config") }
        return found
    }
}
