public import Leasing
internal import PCI
public import SRIOV

/// A resource of the node, and what of the host it has.
public struct NodeResource: Sendable {
    /// Its name.
    public var name: ResourceName
    /// Its functions.
    public var members: [Pool.Member]
    /// Its subfunctions, of which no leases are kept: nobody but the kubelet gives them away.
    var subfunctions: [NodeSubfunction] = []
    /// Whether the kubelet is told the functions' NUMA nodes.
    public var hasTopology = true
    /// How functions are chosen where the kubelet leaves the choice.
    public var spread = DeclaredPool.Spread.physicalFunction
    /// What containers get with a device beside it, by the kubelet's name for it.
    var needs: [String: DeviceNodes.Needs] = [:]
    /// Functions on their way from one pod to the next, which may have nothing that a selector asks for.
    var onTheirWay: Set<String> = []
    /// What containers are told besides, by PCI address; `*` is of all.
    public var additionalInfo: [String: [String: String]] = [:]

    /// What a pool is to Kubernetes; nil for one that is not for it.
    init?(_ pool: Pool) {
        guard let name = pool.declared.kubernetesResource else { return nil }
        self.name = name
        members = pool.members
        hasTopology = pool.declared.numa != .ignore
        spread = pool.declared.spread
        let needs = DeviceNodes.Needs(pool.declared.deviceNodes)
        for member in members { self.needs[member.id] = needs }
    }

    /// What a list's resource has of some functions.
    init(
        _ resource: ResourceList.Resource, _ members: [(member: Pool.Member, selector: ResourceSelector?)],
        _ subfunctions: [(subfunction: NodeSubfunction, selector: ResourceSelector)] = []
    ) {
        name = resource.name
        self.members = members.map(\.member)
        self.subfunctions = subfunctions.map(\.subfunction)
        hasTopology = !resource.excludesTopology
        for (member, selector) in members { needs[member.id] = selector.map(DeviceNodes.Needs.init) }
        for (subfunction, selector) in subfunctions { needs[subfunction.id] = DeviceNodes.Needs(selector) }
        additionalInfo = resource.additionalInfo
    }

    /// The devices as the kubelet is told of them, in the order of their addresses.
    func devices(_ occupied: [FunctionIdentity: Placement.Occupation]) -> [PluginDevice] {
        members.map { PluginDevice($0, occupied[$0.identity], of: consumer, hasTopology: hasTopology) }
            + subfunctions.map { PluginDevice($0, hasTopology: hasTopology) }
    }

    /// The same, in which what is on its way is what it was before.
    func following(_ before: NodeResource) -> NodeResource {
        var resource = self
        for id in onTheirWay { resource.needs[id] = before.needs[id] ?? needs[id] }
        return resource
    }

    /// What the kubelet knows its devices by.
    var ids: [String] { members.map(\.id) + subfunctions.map(\.id) }

    /// The nodes of one of its devices as it is bound now. Throws `PCIError` when sysfs cannot be read.
    func nodes(of id: String, files: any FileTree) throws(PCIError) -> DeviceNodes {
        let needs = needs[id] ?? .init()
        if let subfunction = subfunctions.first(where: { $0.id == id }) {
            return try DeviceNodes(below: subfunction.subfunction.path, needs, files: files)
        }
        guard let address = PCIAddress(id) else { return DeviceNodes() }
        return try DeviceNodes(of: address, needs, files: files)
    }

    /// Whom its leases are for.
    var consumer: Consumer { Consumer(.allocation, "\(name)") }
}

extension Pool.Member {
    /// What the kubelet knows it by.
    var id: String { "\(function.pci.address)" }
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
