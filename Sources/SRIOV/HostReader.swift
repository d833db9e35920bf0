internal import Netlink
public import PCI

/// Reads a host: its PCI functions, links, settings and holders.
public struct HostReader: Sendable {
    private let kernel: any HostKernel

    /// Reads through a kernel.
    public init(kernel: any HostKernel) { self.kernel = kernel }

    /// Reads the host now.
    ///
    /// A drive that was given to vfio-pci keeps its serial number, when it is among the known ones. Throws `PCIError` or
    /// `NetlinkError` when the kernel cannot be asked at all; a single device that vanishes while it is read is left out.
    public func read(knownSerials: [PCIAddress: String] = [:]) throws -> Host {
        let reader = PCIReader(files: kernel.files)
        var functions = try reader.functions()
        for index in functions.indices where functions[index].serial == nil {
            functions[index].serial = knownSerials[functions[index].address]
        }
        let links = try kernel.links(.virtualFunctions).withOwners(kernel.files)
        let holders = try HolderScanner(kernel: kernel).holders(of: functions, links: links)
        return try Host(
            nodes: reader.numaNodes(),
            hasIOMMU: !(kernel.files.entries("/sys/kernel/iommu_groups") ?? []).isEmpty,
            functions: withSpeeds(assemble(functions, links, holders)), links: links)
    }

    /// Asks the ports that have a carrier for their speed; the others answer EINVAL or -1.
    private func withSpeeds(_ functions: [Function]) throws -> [Function] {
        var functions = functions
        for index in functions.indices {
            guard let link = functions[index].link, link.isUp else { continue }
            let speed: Int? = try kernel.files.number("/sys/class/net/\(link.name)/speed")
            functions[index].speedMbps = speed.flatMap { $0 > 0 ? $0 : nil }
        }
        return functions
    }

    /// Who uses one function now. Where VFIO tells at once that nobody does, the processes are not looked through.
    public func holders(of function: PCIFunction) throws -> [Holder] {
        let group = function.isBoundToVFIO && !function.classCode.isStorage ? function.iommuGroup : nil
        if let group, kernel.isOpen(group: group) == false { return [] }
        // Only a driver of the kernel makes netdevs, and not every one makes them right below its function.
        let hasNetdev = function.driver != nil && !function.isBoundToVFIO
        let links = hasNetdev || function.hasNetdevElsewhere ? try kernel.links(.linksOnly) : []
        let found = try HolderScanner(kernel: kernel).holders(of: [function], links: links)[function.address] ?? []
        // Before Linux 6.17 nothing tells who has a device open whose group is closed already. Asked twice, because
        // another look of our own may have had the group open.
        if found.isEmpty, let group, kernel.isOpen(group: group) == true {
            return [Holder(.process(pid: 0, command: "a process that cannot be seen"), through: "/dev/vfio/\(group)")]
        }
        return found
    }

    private func assemble(_ functions: [PCIFunction], _ links: [Link], _ holders: [PCIAddress: [Holder]]) -> [Function]
    {
        // Grouped once: a host has hundreds of functions and, with containers, of links.
        let byDevice = Dictionary(grouping: links.filter { $0.device?.bus == "pci" }, by: { $0.device?.name ?? "" })
        let byName = Dictionary(
            links.filter { $0.device == nil }.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        // A port of a multi-port card may share its function with others; the one that reports VFs administers them.
        func port(of function: PCIFunction) -> Link? {
            let own = byDevice["\(function.address)"] ?? function.netdevs.compactMap { byName[$0] }
            // In switchdev mode the representors are netdevs of the same function: the uplink is not one of theirs.
            return own.first { !$0.virtualFunctions.isEmpty } ?? own.first { !isRepresentor($0) } ?? own.first
        }
        var indexes: [PCIAddress: Int] = [:]
        var ports: [PCIAddress: Link] = [:]
        for function in functions {
            if let link = port(of: function) { ports[function.address] = link }
            for (index, address) in (function.sriov?.virtualFunctions ?? []).enumerated() {
                if let address { indexes[address] = index }
            }
        }
        return functions.map { pci in
            var function = Function(pci: pci, link: ports[pci.address], holders: holders[pci.address] ?? [])
            if let parent = pci.physicalFunction {
                function.index = indexes[pci.address]
                let port = ports[parent]
                function.physicalFunctionName = port?.name ?? "\(parent)"
                function.settings = function.index.flatMap { index in
                    port?.virtualFunctions.first { $0.index == UInt32(index) }?.settings
                }
            }
            return function
        }
    }

    private func isRepresentor(_ link: Link) -> Bool {
        // The driver names a representor's port pf0vf3, or c1pf0vf3; the uplink's is p0.
        link.physicalPortName.map { $0.contains("vf") } ?? false
    }
}
