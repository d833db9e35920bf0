public import Leasing
internal import PCI
public import SRIOV

/// A resource of the node, and what of the host it has.
public struct NodeResource: Sendable {
    /// Its name.
    public var name: ResourceName
    /// Its functions.
    public var members: [Pool.Member]
    /// Whether the kubelet is told the functions' NUMA nodes.
    public var hasTopology = true
    /// How functions are chosen where the kubelet leaves the choice.
    public var spread = DeclaredPool.Spread.physicalFunction
    /// The functions with which containers get `/dev/vhost-net` and `/dev/net/tun`.
    public var needingVhostNet: Set<FunctionIdentity> = []
    /// The functions whose RDMA nodes containers get.
    public var withRDMA: Set<FunctionIdentity> = []
    /// What containers are told besides, by PCI address; `*` is of all.
    public var additionalInfo: [String: [String: String]] = [:]

    /// What a pool is to Kubernetes; nil for one that is not for it.
    init?(_ pool: Pool) {
        guard let name = pool.declared.kubernetesResource else { return nil }
        self.name = name
        members = pool.members
        hasTopology = pool.declared.numa != .ignore
        spread = pool.declared.spread
    }

    /// What a list's resource has of some functions.
    init(_ resource: ResourceList.Resource, _ members: [(member: Pool.Member, selector: ResourceSelector?)]) {
        name = resource.name
        self.members = members.map(\.member)
        hasTopology = !resource.excludesTopology
        needingVhostNet = Set(members.filter { $0.selector?.needsVhostNet ?? false }.map(\.member.identity))
        withRDMA = Set(members.filter { $0.selector?.isRDMA ?? false }.map(\.member.identity))
        additionalInfo = resource.additionalInfo
    }

    /// The functions as the kubelet is told of them, in the order of their addresses.
    func devices(_ occupied: [FunctionIdentity: Placement.Occupation]) -> [PluginDevice] {
        members.map { PluginDevice($0, occupied[$0.identity], of: consumer, hasTopology: hasTopology) }
    }

    /// The nodes of one of its functions as it is bound now. Throws `PCIError` when sysfs cannot be read.
    func nodes(of member: Pool.Member, files: any FileTree) throws(PCIError) -> DeviceNodes {
        try DeviceNodes(
            of: member.function.pci.address, isRDMA: withRDMA.contains(member.identity),
            needsVhostNet: needingVhostNet.contains(member.identity), files: files)
    }

    /// Whom its leases are for.
    var consumer: Consumer { Consumer(.allocation, "\(name)") }
}

extension ResourceName {
    /// As environment variables have it: `INTEL_COM_SRIOV_NET`. A hyphen stays, as sriov-network-device-plugin has it.
    var environmentName: String {
        "\(prefix)_\(name)".uppercased().split(separator: ".", omittingEmptySubsequences: false).joined(separator: "_")
    }

    /// What tells it from others where there is no room for all of it: FNV-1a, 64 bits, in hexadecimal digits.
    var sum: String {
        String(
            description.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }, radix: 16
        )
    }

    /// The socket of its plugin. Longer ones than a socket's path may be (108 bytes) are cut, and told apart by a sum.
    func socketName(in folder: String) -> String {
        let name = "\(prefix)_\(name).sock"
        let room = 107 - folder.utf8.count - 1
        guard name.utf8.count > room else { return name }
        let tail = "-\(sum).sock"
        return String(decoding: name.utf8.prefix(max(room - tail.utf8.count, 1)), as: UTF8.self) + tail
    }
}
