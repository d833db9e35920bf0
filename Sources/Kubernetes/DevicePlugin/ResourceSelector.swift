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
    var isRDMA = false
    var needsVhostNet = false

    /// The keys of a kind of devices.
    static func keys(of kind: ResourceList.Kind) -> [String] {
        let all = ["vendors", "devices", "drivers", "pciAddresses", "acpiIndexes"]
        guard kind == .network else { return all }
        return all + [
            "pfNames", "rootDevices", "linkTypes", "ddpProfiles", "pKeys", "isRdma", "vdpaType", "needVhostNet",
        ]
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
    func agrees(_ member: Pool.Member, files: any FileTree, packages: FirmwarePackages?) -> Bool {
        let function = member.function
        func isOne<Value: Equatable>(of list: [Value]?, _ value: Value?) -> Bool {
            guard let list else { return true }
            return value.map(list.contains) ?? false
        }
        return isOne(of: vendors, function.pci.model.vendor) && isOne(of: devices, function.pci.model.device)
            && isOne(of: drivers, function.pci.driver) && isOne(of: addresses, function.pci.address)
            && isOne(of: acpiIndexes, function.pci.acpiIndex.map { "\($0)" }) && agreesPort(member)
            && isOne(of: linkTypes, Self.linkType(member)) && agreesFiles(function.pci.address, files)
            && (profiles == nil || isOne(of: profiles, packages?.package(of: member)))
    }

    private func agreesPort(_ member: Pool.Member) -> Bool {
        let port = member.port ?? member.function
        let names = ([port.link?.name].compactMap(\.self) + (port.link?.alternativeNames ?? [])).map { $0.lowercased() }
        let index = member.function.index
        let byName = ports?.contains { names.contains($0.name.lowercased()) && $0.agrees(index) }
        let byAddress = rootDevices?.contains { PCIAddress($0.name) == port.pci.address && $0.agrees(index) }
        return byName ?? true && byAddress ?? true
    }

    /// Of the VF's netdev, or of its port's where it has none.
    private static func linkType(_ member: Pool.Member) -> String? {
        (member.function.link ?? member.port?.link)?.address.map { $0.bytes.count == 20 ? "infiniband" : "ether" }
    }

    private func agreesFiles(_ address: PCIAddress, _ files: any FileTree) -> Bool {
        let path = PCIReader.path(address)
        if isRDMA || pKeys != nil {
            // The folder stays while the device is in a pod's namespace, and looks empty from here.
            guard let devices = (try? files.entries("\(path)/infiniband")) ?? nil else { return false }
            if let pKeys {
                guard let device = devices.first else { return false }
                let key = (try? files.text("\(path)/infiniband/\(device)/ports/1/pkeys/0")) ?? nil
                guard let key, pKeys.contains(key) else { return false }
            }
        }
        return true
    }
}
