public import Netlink
public import PCI
public import SRIOV

/// A pool of the host file together with the functions that it has on this host.
public struct Pool: Sendable {
    /// What the host file says.
    public var declared: DeclaredPool
    /// Its functions, in ascending order of port address and index.
    public var members: [Member]

    /// The name.
    public var name: String { declared.name }

    /// A function of a pool.
    public struct Member: Sendable {
        /// The function.
        public var function: Function
        /// Which one it is, by hardware.
        public var identity: FunctionIdentity
        /// Its PF; nil for a function that is passed through whole.
        public var port: Function?
        /// The settings that it has while it is free, as far as they are declared.
        public var policy: VirtualFunctionSettings
        /// The driver that it has while it is free; nil where none is declared.
        public var driver: DeclaredDriver?

        /// What a PF's usage is counted by: the PF, or the function itself.
        public var portAddress: PCIAddress { port?.pci.address ?? function.pci.address }
    }

    /// Makes a pool.
    public init(declared: DeclaredPool, members: [Member]) {
        self.declared = declared
        self.members = members
    }
}

/// The functions of a host that can be leased: those that the host file declares, and the pools they are in.
public struct PoolSet: Sendable {
    /// The pools, in the order of the file.
    public var pools: [Pool]
    /// Declared functions that are in no pool; they are leased by name.
    public var others: [Pool.Member]
    /// Functions that two pools claim: neither has them.
    public var overlaps: [LeasingError]
    /// All functions that can be leased: those of the pools, then the others.
    public private(set) var allMembers: [Pool.Member] = []
    /// Where each of them is among `allMembers`, and which pool has it.
    private var places: [FunctionIdentity: (position: Int, pool: Int?)] = [:]

    /// Nothing can be leased.
    public init() {
        pools = []
        others = []
        overlaps = []
    }

    /// Finds out which functions of a host the pools have.
    public init(_ declared: DeclaredHost, host: Host, files: any FileTree, knownSerials: [PCIAddress: String]) {
        self.init()
        let resolver = IdentityResolver(host: host, files: files, knownSerials: knownSerials)
        let members = Self.members(declared, host, resolver)
        var owners: [FunctionIdentity: String] = [:]
        var claimedTwice: Set<FunctionIdentity> = []
        var claims: [(DeclaredPool, [Pool.Member])] = []
        for pool in declared.pools {
            let own = members.filter { Self.contains(pool, $0, resolver) }
            for member in own {
                if let owner = owners[member.identity], owner != pool.name {
                    claimedTwice.insert(member.identity)
                    overlaps.append(
                        LeasingError(
                            .overlap, "\(member.function.name) is in pool \(owner) and in pool \(pool.name)",
                            remedy: "narrow one of the two: a function is in at most one pool"))
                } else {
                    owners[member.identity] = pool.name
                }
            }
            claims.append((pool, own))
        }
        pools = claims.map { pool, own in
            Pool(declared: pool, members: own.filter { !claimedTwice.contains($0.identity) })
        }
        others = members.filter { owners[$0.identity] == nil }
        for (number, pool) in pools.enumerated() {
            for member in pool.members {
                places[member.identity] = (allMembers.count, number)
                allMembers.append(member)
            }
        }
        for member in others {
            places[member.identity] = (allMembers.count, nil)
            allMembers.append(member)
        }
    }

    /// A pool by name.
    public subscript(name name: String) -> Pool? { pools.first { $0.name == name } }

    /// The name of the pool that a function is in.
    public func pool(of identity: FunctionIdentity) -> String? {
        places[identity]?.pool.map { pools[$0].name }
    }

    /// A function that can be leased, in a pool or not.
    public func member(_ identity: FunctionIdentity) -> Pool.Member? {
        places[identity].map { allMembers[$0.position] }
    }

    /// The function that can be leased at an address.
    public func member(at address: PCIAddress) -> Pool.Member? {
        allMembers.first { $0.function.pci.address == address }
    }

    /// Notes who was seen to use a function, until the host is read again.
    mutating func mark(_ identity: FunctionIdentity, holders: [Holder]) {
        change(identity) { $0.holders = holders }
    }

    /// Notes which driver a function has been given, until the host is read again.
    mutating func mark(_ identity: FunctionIdentity, driver: String?) {
        change(identity) { $0.pci.driver = driver }
    }

    private mutating func change(_ identity: FunctionIdentity, _ change: (inout Function) -> Void) {
        guard let place = places[identity] else { return }
        change(&allMembers[place.position].function)
        func mark(_ members: inout [Pool.Member]) {
            for index in members.indices where members[index].identity == identity { change(&members[index].function) }
        }
        if let pool = place.pool { mark(&pools[pool].members) } else { mark(&others) }
    }

    private static func members(
        _ declared: DeclaredHost, _ host: Host, _ resolver: IdentityResolver
    ) -> [Pool.Member] {
        var members: [PCIAddress: Pool.Member] = [:]
        for entry in declared.physicalFunctions {
            // What is not there, or is not clear, is the planner's business to report.
            guard let port = try? resolver.resolve(entry.identity) else { continue }
            for function in host.virtualFunctions(of: port.pci.address) {
                guard let index = function.index, index < entry.virtualFunctions else { continue }
                members[function.pci.address] = Pool.Member(
                    function: function, identity: FunctionIdentity(function, in: host), port: port,
                    policy: entry.settings(of: index), driver: entry.driver(of: index))
            }
        }
        for entry in declared.passthrough {
            guard let function = try? resolver.resolve(entry.identity), Self.isLeased(function, entry.driver) else {
                continue
            }
            members[function.pci.address] = Pool.Member(
                function: function, identity: FunctionIdentity(function, in: host), port: nil,
                policy: VirtualFunctionSettings(), driver: entry.driver)
        }
        return members.values.sorted {
            ($0.portAddress, $0.function.index ?? -1) < ($1.portAddress, $1.function.index ?? -1)
        }
    }

    /// What VFIO has is to be passed through, and of what a driver for vDPA has, such as `vp-vdpa`, the vDPA device. With any other
    /// driver the host has it.
    private static func isLeased(_ function: Function, _ driver: DeclaredDriver) -> Bool {
        switch driver {
        case .vfio: true
        case .kernel(let name): name?.hasSuffix("-vdpa") ?? false && function.pci.classCode.isNetwork
        }
    }

    private static func contains(_ pool: DeclaredPool, _ member: Pool.Member, _ resolver: IdentityResolver) -> Bool {
        pool.members.contains { part in
            switch part {
            case .port(let netdev, let indexes):
                guard let port = member.port, let index = member.function.index else { return false }
                return (port.link?.name == netdev || port.link?.alternativeNames.contains(netdev) ?? false)
                    && indexes?.contains(index) ?? true
            case .ports(let selector, let indexes):
                guard let port = member.port, let index = member.function.index else { return false }
                return resolver.agrees(port, with: selector) && indexes?.contains(index) ?? true
            case .passthrough(let selector):
                return member.port == nil && resolver.agrees(member.function, with: selector)
            }
        }
    }
}
