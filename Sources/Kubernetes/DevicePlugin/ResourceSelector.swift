internal import Leasing
internal import Netlink
internal import PCI
internal import SRIOV

/// What a resource selects: whatever is given must agree, and one of a list is enough. nil is not given; what is given and all
/// wrong is an empty list, which selects nothing.
struct ResourceSelector: Sendable, Hashable {
    var vendors: [UInt16]?
    var devices: [UInt16]?
    var drivers: [String]?
    var addresses: [PCIAddress]?
    var acpiIndexes: [String]?
    var ports: [Port]?
    /// PFs by PCI address.
    var rootDevices: [Port]?
    var linkTypes: [String]?
    var pKeys: [String]?
    var profiles: [String]?
    var vdpaType: String?
    var isRDMA = false
    var needsVhostNet = false

    /// The keys of a kind of devices.
    static func keys(of kind: ResourceList.Kind) -> [String] {
        let all = ["vendors", "devices", "drivers"]
        let functions = ["pciAddresses", "acpiIndexes"]
        let netdevs = ["pfNames", "rootDevices", "linkTypes", "isRdma", "needVhostNet"]
        switch kind {
        case .accelerator: return all + functions
        case .network: return all + functions + netdevs + ["ddpProfiles", "pKeys", "vdpaType"]
        case .subfunction: return all + netdevs + ["auxTypes"]
        }
    }

    /// VFs of a port: `ens1f0#0-3,6`; all of them without `#`.
    struct Port: Sendable, Hashable {
        /// A netdev's name or a PCI address.
        var name: String
        /// nil for all.
        var indexes: NumberSet?

        init?(_ text: String) {
            let parts = text.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first, !name.isEmpty else { return nil }
            self.name = String(name)
            guard parts.count == 2 else { return }
            guard let indexes = NumberSet(parts[1]), indexes.count > 0 else { return nil }
            self.indexes = indexes
        }

        func agrees(_ index: Int?) -> Bool {
            guard let indexes else { return true }
            return index.map(indexes.contains) ?? false
        }
    }

    /// Whether a function is selected. All ranges of one port count, in one entry or in several.
    func agrees(_ member: Pool.Member, on node: NodeFacts) -> Bool {
        let function = member.function
        return agreesModel(function) && isOne(of: addresses, function.pci.address)
            && isOne(of: acpiIndexes, function.pci.acpiIndex.map { "\($0)" })
            && agreesPort(member.port ?? function, index: function.index)
            && isOne(of: linkTypes, Self.linkType(member.function.link ?? member.port?.link))
            && agreesFiles(PCIReader.path(function.pci.address), node.files)
            && (profiles == nil || isOne(of: profiles, node.firmware?.package(of: member)))
            && (pKeys == nil || isOne(of: pKeys, node.firmware?.partitionKey(of: member)))
            && (vdpaType == nil || node.vdpaDevices[function.pci.address]?.first?.use?.rawValue == vdpaType)
    }

    /// Whether a subfunction is selected: model and driver are those of the function that it is of, and the numbers that of a
    /// port are selected by are its own.
    func agrees(_ subfunction: NodeSubfunction, on node: NodeFacts) -> Bool {
        agreesModel(subfunction.parent) && agreesPort(subfunction.parent, index: subfunction.subfunction.number)
            && isOne(of: linkTypes, Self.linkType(subfunction.link ?? subfunction.parent.link))
            && agreesFiles(subfunction.subfunction.path, node.files)
    }

    private func isOne<Value: Equatable>(of list: [Value]?, _ value: Value?) -> Bool {
        guard let list else { return true }
        return value.map(list.contains) ?? false
    }

    private func agreesModel(_ function: Function) -> Bool {
        isOne(of: vendors, function.pci.model.vendor) && isOne(of: devices, function.pci.model.device)
            && isOne(of: drivers, function.pci.driver)
    }

    private func agreesPort(_ port: Function, index: Int?) -> Bool {
        let names = ([port.link?.name].compactMap(\.self) + (port.link?.alternativeNames ?? [])).map { $0.lowercased() }
        let byName = ports?.contains { names.contains($0.name.lowercased()) && $0.agrees(index) }
        let byAddress = rootDevices?.contains { PCIAddress($0.name) == port.pci.address && $0.agrees(index) }
        return byName ?? true && byAddress ?? true
    }

    /// Of the device's netdev, or of its port's where it has none.
    private static func linkType(_ link: Link?) -> String? {
        link?.address.map { $0.bytes.count == 20 ? "infiniband" : "ether" }
    }

    /// What only the files below a device's folder tell.
    private func agreesFiles(_ path: String, _ files: any FileTree) -> Bool {
        // The folder stays while the device is in a pod's namespace, and looks empty from here.
        !isRDMA || ((try? files.entries("\(path)/infiniband")) ?? nil) != nil
    }
}
