internal import Leasing
internal import PCI
internal import SRIOV

/// The node's resources: the pools for Kubernetes, and what a list selects of the functions that no pool has.
enum NodeResources {
    /// The resources of a host. What is allocated stays with the resource that it was allocated of, whatever its driver is
    /// meanwhile.
    static func all(
        of pools: PoolSet, and list: ResourceList, leases: [Lease], files: any FileTree,
        packages: FirmwarePackages? = nil
    ) -> (resources: [NodeResource], findings: [String]) {
        var resources = pools.pools.compactMap(NodeResource.init)
        var findings: [String] = []
        let allocations = Dictionary(
            leases.compactMap { lease in lease.allocation.map { (lease.function, $0.identifier) } },
            uniquingKeysWith: { first, _ in first })
        var rest = pools.others
        for entry in list.resources {
            guard !resources.contains(where: { $0.name == entry.name }) else {
                findings.append("\(entry.name) of the list is a pool of the host file too; the pool counts")
                continue
            }
            var selected: [(member: Pool.Member, selector: ResourceSelector?)] = []
            rest.removeAll { member in
                let selector = entry.selector(of: member, files: files, packages: packages)
                let isSelected = allocations[member.identity].map { $0 == "\(entry.name)" } ?? (selector != nil)
                // One that is on its way selects by what it has in common with the others.
                if isSelected { selected.append((member, selector ?? entry.selectors.first)) }
                return isSelected
            }
            if selected.isEmpty {
                findings.append(
                    "\(entry.name) of the list has no device: it selects none of those that the host file declares and no pool has"
                )
            }
            resources.append(NodeResource(entry, selected))
        }
        return (resources, findings)
    }
}

extension ResourceList.Resource {
    /// The first selector that selects a function; nil when none does.
    func selector(of member: Pool.Member, files: any FileTree, packages: FirmwarePackages?) -> ResourceSelector? {
        let isOfKind =
            kind == .network ? member.function.pci.classCode.isNetwork : member.function.pci.classCode.base == 0x12
        guard isOfKind else { return nil }
        return selectors.first { $0.agrees(member, files: files, packages: packages) }
    }
}
