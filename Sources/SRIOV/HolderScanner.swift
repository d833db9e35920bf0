internal import Netlink
internal import PCI

/// Finds who uses the functions of a host.
struct HolderScanner {
    let kernel: any HostKernel

    /// The holders of every function that has one, for all functions with one pass over processes and namespaces.
    func holders(
        of functions: [PCIFunction], links: [Link]
    ) throws(NetlinkError) -> [PCIAddress: [Holder]] {
        var holders: [PCIAddress: [Holder]] = [:]
        let links = links.withOwners(kernel.files)
        for (address, holder) in try networkHolders(functions, links) { holders[address, default: []].append(holder) }
        for (address, holder) in namespaceHolders(functions, links) { holders[address, default: []].append(holder) }
        for (address, holder) in nodeHolders(functions) { holders[address, default: []].append(holder) }
        return holders
    }

    // MARK: The host's own network

    private func networkHolders(
        _ functions: [PCIFunction], _ links: [Link]
    ) throws(NetlinkError) -> [(PCIAddress, Holder)] {
        let addresses = Set(functions.map(\.address))
        let names = Dictionary(
            functions.flatMap { function in function.netdevs.map { ($0, function.address) } },
            uniquingKeysWith: { first, _ in first })
        // A link says itself which function it belongs to; recorded ones may not.
        func owner(_ link: Link) -> PCIAddress? {
            guard let device = link.device else { return names[link.name] }
            return PCIAddress(device.name).flatMap { device.bus == "pci" && addresses.contains($0) ? $0 : nil }
        }
        let owned = links.compactMap { link in owner(link).map { (link, $0) } }
        guard !owned.isEmpty else { return [] }
        let byIndex = Dictionary(links.map { ($0.index, $0) }, uniquingKeysWith: { first, _ in first })
        let assigned = Dictionary(grouping: try kernel.addresses(), by: \.link)
        let defaultRoutes = try kernel.defaultRouteLinks()
        var found: [(PCIAddress, Holder)] = []
        for (link, address) in owned {
            if let master = link.master.flatMap({ byIndex[$0] }) {
                let kind = link.slaveKind ?? master.kind ?? "master"
                found.append((address, Holder(.master(name: master.name, kind: kind), through: link.name)))
            }
            for upper in links where upper.parent == link.index && upper.device == nil && upper.index != link.master {
                found.append(
                    (address, Holder(.upper(name: upper.name, kind: upper.kind ?? "link"), through: link.name)))
            }
            // Every port that comes up gets a link-local address; it says nothing about use.
            if link.isUp, let used = assigned[link.index]?.first(where: { !$0.isLinkLocal }) {
                found.append((address, Holder(.address(used.description), through: link.name)))
            }
            if carries(defaultRoutes, link, links) {
                found.append((address, Holder(.defaultRoute, through: link.name)))
            }
        }
        return found
    }

    /// Whether a default route leaves through a link: its own, its master's, or that of a link that stands on it.
    private func carries(_ routes: Set<Int32>, _ link: Link, _ links: [Link]) -> Bool {
        var waiting = [link.index]
        var seen: Set<Int32> = []
        while let index = waiting.popLast() {
            guard seen.insert(index).inserted else { continue }
            if routes.contains(index) { return true }
            for other in links {
                if other.index == index, let master = other.master { waiting.append(master) }
                // A representor or another port of the card is not "on" the link, whatever its parent index says.
                if other.parent == index, other.device == nil { waiting.append(other.index) }
            }
        }
        return false
    }

    // MARK: Other network namespaces

    private func namespaceHolders(_ functions: [PCIFunction], _ links: [Link]) -> [(PCIAddress, Holder)] {
        var away = Set(functions.filter(\.hasNetdevElsewhere).map(\.address))
        guard !away.isEmpty else { return [] }
        var found: [(PCIAddress, Holder)] = []
        let waiting = away
        for namespace in kernel.otherNamespaces() {
            for link in namespace.links {
                guard let device = link.device, device.bus == "pci", let address = PCIAddress(device.name),
                    waiting.contains(address)
                else { continue }
                away.remove(address)
                let kind = Holder.Kind.namespace(
                    name: namespace.name, container: namespace.container, pid: namespace.pid)
                found.append((address, Holder(kind, through: link.name)))
            }
        }
        // A namespace that cannot be entered, or that has neither a name nor a process, still holds its netdev.
        for address in away.sorted() {
            found.append((address, Holder(.namespace(name: nil, container: nil, pid: nil), through: "its netdev")))
        }
        return found
    }

    // MARK: Open device nodes, mounted disks

    private func nodeHolders(_ functions: [PCIFunction]) -> [(PCIAddress, Holder)] {
        var nodes: [String: [PCIAddress]] = [:]
        for function in functions where function.isBoundToVFIO {
            nodes["\(function.address)"] = [function.address]
            if let group = function.iommuGroup { nodes["/dev/vfio/\(group)", default: []].append(function.address) }
            // A host without an IOMMU has groups of their own kind, for those who accept the danger.
            if let group = function.iommuGroup {
                nodes["/dev/vfio/noiommu-\(group)", default: []].append(function.address)
            }
            let folder = PCIReader.path(function.address) + "/vfio-dev"
            for device in ((try? kernel.files.entries(folder)) ?? nil) ?? [] {
                nodes["/dev/vfio/devices/\(device)", default: []].append(function.address)
            }
        }
        for function in functions where function.driver.map(PCIFunction.isUIODriver) ?? false {
            let folder = PCIReader.path(function.address) + "/uio"
            for device in ((try? kernel.files.entries(folder)) ?? nil) ?? [] {
                nodes["/dev/\(device)", default: []].append(function.address)
            }
        }
        let vdpaDevices = (try? VDPADevice.all(kernel.files)) ?? [:]
        for function in functions {
            for node in vdpaDevices[function.address]?.compactMap(\.node) ?? [] {
                nodes[node, default: []].append(function.address)
            }
        }
        // Neither a bridge nor a network card has disks.
        let others = functions.filter { !$0.classCode.isBridge && !$0.classCode.isNetwork }
        let disks = others.isEmpty ? [] : BlockDevices(files: kernel.files).disks(of: others)
        var found = disks.flatMap { disk in disk.holders.map { (disk.function, $0) } }
        for disk in disks { for node in disk.nodes { nodes[node, default: []].append(disk.function) } }
        guard !nodes.isEmpty else { return found }
        let processes = ProcessTable(files: kernel.files)
        for pid in processes.pids() {
            for path in processes.openFiles(of: pid).intersection(nodes.keys).sorted() {
                let kind: Holder.Kind =
                    if let domain = processes.domain(of: pid) {
                        .domain(name: domain.name, uuid: domain.uuid, pid: pid)
                    } else {
                        .process(pid: pid, command: processes.command(of: pid))
                    }
                for address in nodes[path] ?? [] { found.append((address, Holder(kind, through: path))) }
            }
        }
        return found
    }
}
