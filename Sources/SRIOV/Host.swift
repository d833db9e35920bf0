public import Netlink
public import PCI

/// What a host has and who uses it, at one moment.
public struct Host: Sendable {
    /// NUMA nodes by number.
    public var nodes: [NUMANode]
    /// Whether the kernel uses an IOMMU: without one nothing can be passed through safely.
    public var hasIOMMU: Bool
    /// All PCI functions, in ascending order of their addresses.
    public var functions: [Function]
    /// The links of the host's own network namespace.
    public var links: [Link]

    /// Makes a host of its parts.
    public init(nodes: [NUMANode], hasIOMMU: Bool, functions: [Function], links: [Link]) {
        self.nodes = nodes
        self.hasIOMMU = hasIOMMU
        self.functions = functions
        self.links = links
    }

    /// The function at an address.
    public subscript(address: PCIAddress) -> Function? {
        // The functions are in order, but hosts have a few hundred.
        functions.first { $0.pci.address == address }
    }

    /// The links of a function: those that say they belong to it, and those with the names that sysfs gives.
    ///
    /// Names change between two reads (udev renames new netdevs), the device does not.
    func links(of function: PCIFunction) -> [Link] { links.of(function) }

    /// The PFs: functions with an SR-IOV capability.
    public var physicalFunctions: [Function] { functions.filter { $0.pci.sriov != nil } }

    /// The functions of an IOMMU group that drivers of the host have: while there are any, VFIO does not open the group.
    /// Bridges do not count (vfio_dev_viable in drivers/vfio).
    package func functionsOfHost(inGroup group: Int) -> [Function] {
        functions.filter { $0.pci.iommuGroup == group && Self.isOfHost($0) }
    }

    /// The same of all groups at once.
    package var functionsOfHostByGroup: [Int: [Function]] {
        Dictionary(grouping: functions.filter { $0.pci.iommuGroup != nil && Self.isOfHost($0) }) {
            $0.pci.iommuGroup ?? 0
        }
    }

    private static func isOfHost(_ function: Function) -> Bool {
        !function.pci.classCode.isBridge
            && function.pci.driver.map { !PCIFunction.isVFIODriver($0) && $0 != "pci-stub" } ?? false
    }

    /// The VFs of a PF, by index.
    public func virtualFunctions(of physicalFunction: PCIAddress) -> [Function] {
        functions.filter { $0.pci.physicalFunction == physicalFunction }.sorted { ($0.index ?? 0) < ($1.index ?? 0) }
    }
}

extension [Link] {
    /// See `Host.links(of:)`.
    func of(_ function: PCIFunction) -> [Link] {
        filter { link in
            guard let device = link.device else { return function.netdevs.contains(link.name) }
            return device.bus == "pci" && device.name == "\(function.address)"
        }
    }
}

/// A PCI function with its netdev, its settings and its holders.
public struct Function: Sendable {
    /// What sysfs says of it.
    public var pci: PCIFunction
    /// Its netdev, when it has one in the host's own namespace.
    public var link: Link?
    /// The speed of its port, Mbps, while it has a carrier.
    public var speedMbps: Int?
    /// The VF's index below its PF.
    public var index: Int?
    /// The name of the VF's PF: its netdev or its address.
    public var physicalFunctionName: String?
    /// What the PF administers for the VF.
    public var settings: VirtualFunctionSettings?
    /// Who uses it.
    public var holders: [Holder]

    /// Makes a function that nobody uses.
    public init(pci: PCIFunction, link: Link? = nil, holders: [Holder] = []) {
        self.pci = pci
        self.link = link
        self.holders = holders
    }

    /// What people call it: `eno49`, `eno49 vf 3`, `nvme` with its serial number, or its address.
    public var name: String {
        if let index, let physicalFunctionName { return "\(physicalFunctionName) vf \(index)" }
        if let link { return link.name }
        return pci.netdevs.first ?? pci.serial ?? "\(pci.address)"
    }

    /// Whether it is something that people pass through or make VFs of: not a bridge, nor a part of the chip set.
    public var isAssignable: Bool {
        if pci.sriov != nil || pci.physicalFunction != nil { return true }
        let code = pci.classCode
        // Network, storage, display, multimedia, serial buses (USB, Fibre Channel), wireless, encryption, accelerators.
        return code.isNetwork || code.isStorage || code.isAccelerator || code.subclass == 0x0c03
            || code.subclass == 0x0c04 || [0x04, 0x0b, 0x0d, 0x10].contains(code.base)
    }
}
