internal import Leasing
internal import PCI
internal import SRIOV

/// The node's resources: the pools for Kubernetes, and what a list selects of the functions that no pool has.
enum NodeResources {
    /// The resources of a host. What is allocated stays with the resource that it was allocated of, whatever its driver is
    /// meanwhile.
    static func all(
        of pools: PoolSet, and list: ResourceList, leases: [Lease], files: any FileTree
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
            var selected: [Pool.Member] = []
            rest.removeAll { member in
                let isSelected =
                    allocations[member.identity].map { $0 == "\(entry.name)" }
                    ?? entry.selects(member, files: files)
                if isSelected { selected.append(member) }
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
    /// Whether a function is one of these.
    func selects(_ member: Pool.Member, files: any FileTree) -> Bool {
        let isOfKind =
            kind == .network ? member.function.pci.classCode.isNetwork : member.function.pci.classCode.base == 0x12
        return isOfKind
            && selectors.contains { $0.agrees(member, driver: member.function.pci.driver, files: files) }
    }
}
