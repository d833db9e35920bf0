internal import Netlink
internal import PCI
internal import SRIOV

/// What is known of a node beside its functions.
struct NodeFacts: Sendable {
    var files: any FileTree
    var firmware: FirmwareFacts?
    /// By the functions that they are made of.
    var vdpaDevices: [PCIAddress: [VDPADevice]] = [:]
    var subfunctions: [NodeSubfunction] = []

    /// What a list's selectors ask for, and no more: this is read at every look. A host whose sysfs does not tell its vDPA devices
    /// or subfunctions has none.
    init(of host: Host, for list: ResourceList, files: any FileTree, firmware: FirmwareFacts? = nil) {
        self.files = files
        self.firmware = firmware
        if list.asksForVDPA { vdpaDevices = (try? VDPADevice.all(files)) ?? [:] }
        guard list.asksForSubfunctions else { return }
        for subfunction in (try? Subfunction.all(files)) ?? [] {
            guard let parent = host[subfunction.parent] else { continue }
            let netdevs = ((try? files.entries("\(subfunction.path)/net")) ?? nil) ?? []
            let driver = (try? files.linkName("\(subfunction.path)/driver")) ?? nil
            subfunctions.append(
                NodeSubfunction(
                    subfunction: subfunction, parent: parent, link: host.links.first { netdevs.contains($0.name) },
                    isBound: driver != nil))
        }
    }
}

/// A subfunction of the node.
struct NodeSubfunction: Sendable {
    var subfunction: Subfunction
    /// The function that it is of.
    var parent: Function
    /// Its netdev, while that is the host's.
    var link: Link?
    /// Whether a driver has it.
    var isBound: Bool

    /// What the kubelet knows it by.
    var id: String { subfunction.name }
}
