public import Leasing
internal import Netlink
internal import PCI
internal import SRIOV

/// What is to become of one pool's network: a pure function of the pool and of the networks that there are.
public struct PoolNetwork: Sendable, Hashable {
    /// What is to be done.
    public enum Action: String, Sendable, Hashable {
        /// There is none yet.
        case create
        /// A network that somebody made by hand for the same port becomes the pool's.
        case adopt
        /// It is defined anew.
        case update
        /// It is as it should be, and only has to be started.
        case start
        /// Nothing.
        case keep
    }

    /// The pool.
    public var pool: String
    /// The network as it is to be defined.
    public var description: NetworkDescription
    /// What is to be done.
    public var action: Action
    /// Whether it must be stopped and started for that: libvirt reads the list of devices at a start only.
    public var needsRestart: Bool
    /// Other networks that hand out functions of the pool too: libvirt would give one function to two domains.
    public var rivals: [String]

    /// What is to become of the networks of all pools that are for libvirt.
    public static func all(of pools: PoolSet, among networks: [Network]) -> [PoolNetwork] {
        pools.pools.filter { $0.declared.purpose == "libvirt" }.compactMap { pool in
            let functions = order(pool)
            // Only VFs can be of such a network; whole devices are given by their addresses.
            guard !functions.isEmpty else { return nil }
            return PoolNetwork(pool, functions, networks)
        }
    }

    private init(_ pool: Pool, _ functions: [PCIAddress], _ networks: [Network]) {
        self.pool = pool.name
        let existing = Self.existing(for: pool, networks)
        var description = existing?.config ?? NetworkDescription(name: pool.name)
        description.addresses = functions
        description.belong(to: pool.name, vlan: pool.declared.settings.vlans?.first?.id)
        self.description = description
        let isSame =
            existing.map {
                $0.config.addresses == description.addresses && $0.config.pool == description.pool
                    && $0.config.vlan == description.vlan && $0.config.poolVLAN == description.poolVLAN
                    && $0.isAutostarted
            } ?? false
        let live = existing?.live
        // One that exists and is not active is started in the same way.
        needsRestart =
            existing.map { _ in
                live.map { $0.addresses != functions || $0.vlan != description.vlan } ?? true
            } ?? false
        action =
            existing.map { existing in
                !isSame ? (existing.config.pool == nil ? .adopt : .update) : live == nil ? .start : .keep
            } ?? .create
        if action == .keep, needsRestart { action = .update }
        let own = Set(functions)
        let ports = Set(pool.members.compactMap { $0.port?.link?.name })
        rivals = networks.filter { network in
            guard network.config.name != description.name else { return false }
            let taken = network.live?.addresses ?? network.config.addresses
            return !own.isDisjoint(with: taken) || network.config.port.map(ports.contains) ?? false
        }.map(\.config.name)
    }

    /// The network that is the pool's: one that says so, one of its name, or one of its only port.
    private static func existing(for pool: Pool, _ networks: [Network]) -> Network? {
        if let own = networks.first(where: { $0.config.pool == pool.name }) { return own }
        if let named = networks.first(where: { $0.config.name == pool.name && $0.config.pool == nil }) {
            return named
        }
        let ports = Set(pool.members.map(\.port?.link?.name))
        guard ports.count == 1, case let port?? = ports.first else { return nil }
        return networks.first { $0.config.port == port && $0.config.pool == nil }
    }

    /// The pool's VFs in the order in which libvirt is to give them out: it takes the first that is free.
    ///
    /// Spread over the ports, the first VF of each comes first, so that a domain with a VF of each of four ports gets
    /// one of each. Packed, a port's VFs stand together.
    static func order(_ pool: Pool) -> [PCIAddress] {
        let members = pool.members.filter { $0.port != nil }
        guard pool.declared.spread == .physicalFunction else {
            return members.map(\.function.pci.address)
        }
        let byPort = Dictionary(grouping: members, by: \.portAddress)
        // By its place among the port's VFs in the pool, not by its index: one port's may begin elsewhere.
        let ranked = byPort.flatMap { port, members in
            members.sorted { ($0.function.index ?? 0) < ($1.function.index ?? 0) }.enumerated().map {
                (rank: $0.offset, port: port, address: $0.element.function.pci.address)
            }
        }
        return ranked.sorted { ($0.rank, $0.port) < ($1.rank, $1.port) }.map(\.address)
    }
}
