public import Netlink
public import PCI

/// A named set of functions.
public struct DeclaredPool: Sendable, Hashable {
    /// Its name.
    public var name: String
    /// Whom it is for: `libvirt`, `kubernetes`, `openstack`, `any`.
    public var purpose = "any"
    /// Which functions.
    public var members: [Member]
    /// Defaults of the settings of a lease.
    public var settings = VirtualFunctionSettings()
    /// How NUMA counts when a function is chosen.
    public var numa = NUMAPolicy.prefer
    /// How leases are distributed over the PFs.
    public var spread = Spread.physicalFunction
    /// How many leases one consumer may have at a time; nil is no limit.
    public var leasesPerConsumer: Int?
    /// The resource that it is to Kubernetes; nil where the host file names none.
    public var resource: ResourceName?
    /// What pods get beside the nodes of a function's driver.
    public var deviceNodes: Set<DeviceNode> = []

    /// How the NUMA node counts when a function is chosen.
    public enum NUMAPolicy: String, Sendable, Hashable, CaseIterable {
        /// Only functions of the node.
        case require
        /// Functions of the node first.
        case prefer
        /// It does not matter.
        case ignore
    }

    /// How leases are distributed over the PFs.
    public enum Spread: String, Sendable, Hashable, CaseIterable {
        /// The PF with the smallest part of its VFs in use comes first.
        case physicalFunction
        /// The PF with the largest part of its VFs in use comes first, so that others stay free as a whole.
        case pack
    }

    /// Nodes below /dev that pods get with a function of theirs.
    public enum DeviceNode: String, Sendable, Hashable, CaseIterable {
        /// Those of its RDMA device.
        case rdma
        /// That of its vDPA device.
        case vdpa
        /// `/dev/vhost-net` and `/dev/net/tun`.
        case vhostNet
    }

    /// Some functions of a pool.
    public enum Member: Sendable, Hashable {
        /// VFs of the declared PF that is matched by a netdev; all of them when nil.
        case port(netdev: String, virtualFunctions: NumberSet?)
        /// VFs of every PF that a selector means; all of them when nil.
        case ports(FunctionSelector, virtualFunctions: NumberSet?)
        /// Functions that are passed through whole.
        case passthrough(FunctionSelector)
    }

    /// The resource that the kubelet is told of: the one that is named, or for a pool for Kubernetes one of the pool's name.
    public var kubernetesResource: ResourceName? {
        resource
            ?? (purpose == "kubernetes" ? ResourceName(prefix: ResourceName.defaultPrefix, name: name) : nil)
    }

    /// Makes a pool of members, with the usual placement.
    public init(name: String, members: [Member]) {
        self.name = name
        self.members = members
    }
}

/// What tells the functions of a pool from others; whatever is given must agree.
public struct FunctionSelector: Sendable, Hashable {
    /// Hardware, name or place.
    public var identity: Identity
    /// The NUMA node.
    public var numaNode: Int?
    /// The least speed of its port's link, Mbps; a port without a carrier has none.
    public var minLinkSpeedMbps: Int?

    /// A selector by identity.
    public init(identity: Identity, numaNode: Int? = nil, minLinkSpeedMbps: Int? = nil) {
        self.identity = identity
        self.numaNode = numaNode
        self.minLinkSpeedMbps = minLinkSpeedMbps
    }

    /// Whether nothing is given.
    public var isEmpty: Bool { identity.isEmpty && numaNode == nil && minLinkSpeedMbps == nil }

    /// The selector as the host file would have it, for messages.
    public var description: String {
        [
            identity.isEmpty ? nil : identity.description, numaNode.map { "numaNode \($0)" },
            minLinkSpeedMbps.map { "minLinkSpeedMbps \($0)" },
        ].compactMap(\.self).joined(separator: ", ")
    }
}
