internal import Leasing
internal import PCI
internal import SRIOV

/// The node's resources: the pools for Kubernetes, and what a list selects of the functions that no pool has.
enum NodeResources {
    /// The resources of a host. What is allocated stays with the resource that it was allocated of, whatever its driver is
    /// meanwhile.
    static func all(
        of pools: PoolSet, and list: ResourceList, leases: [Lease], on node: NodeFacts
    ) -> (resources: [NodeResource], findings: [String]) {
        var resources = pools.pools.compactMap(NodeResource.init)
        var findings: [String] = []
        let allocations = Dictionary(
            leases.compactMap { lease in lease.allocation.map { (lease.function, $0.identifier) } },
            uniquingKeysWith: { first, _ in first })
        var rest = pools.others
        var subfunctions = node.subfunctions
        for entry in list.resources {
            guard !resources.contains(where: { $0.name == entry.name }) else {
                findings.append("\(entry.name) of the list is a pool of the host file too; the pool counts")
                continue
            }
            var selected: [(member: Pool.Member, selector: ResourceSelector?)] = []
            var onTheirWay: Set<String> = []
            rest.removeAll { member in
                let selector = entry.selector(of: member, on: node)
                let isSelected = allocations[member.identity].map { $0 == "\(entry.name)" } ?? (selector != nil)
                guard isSelected else { return false }
                selected.append((member, selector ?? entry.selectors.first))
                if selector == nil { onTheirWay.insert(member.id) }
                return true
            }
            var selectedSubfunctions: [(subfunction: NodeSubfunction, selector: ResourceSelector)] = []
            subfunctions.removeAll { subfunction in
                guard let selector = entry.selector(of: subfunction, on: node) else { return false }
                selectedSubfunctions.append((subfunction, selector))
                return true
            }
            if selected.isEmpty, selectedSubfunctions.isEmpty {
                let those =
                    entry.kind == .subfunction
                    ? "the subfunctions" : "those that the host file declares and no pool has"
                findings.append("\(entry.name) of the list has no device: it selects none of \(those)")
            }
            var resource = NodeResource(entry, selected, selectedSubfunctions)
            resource.onTheirWay = onTheirWay
            resources.append(resource)
        }
        return (resources, findings)
    }
}

extension ResourceList.Resource {
    /// The first selector that selects a function; nil when none does.
    func selector(of member: Pool.Member, on node: NodeFacts) -> ResourceSelector? {
        let isOfKind =
            switch kind {
            case .network: member.function.pci.classCode.isNetwork
            case .accelerator: member.function.pci.classCode.base == 0x12
            case .subfunction: false
            }
        guard isOfKind else { return nil }
        return selectors.first { $0.agrees(member, on: node) }
    }

    /// The first selector that selects a subfunction; nil when none does.
    func selector(of subfunction: NodeSubfunction, on node: NodeFacts) -> ResourceSelector? {
        kind == .subfunction ? selectors.first { $0.agrees(subfunction, on: node) } : nil
    }
}
