internal import Netlink
public import PCI
public import SRIOV

extension DeclaredHost {
    /// The declared state with what leases have made of single VFs: those are as their consumers need them, which is no
    /// drift.
    public func with(
        _ leases: some Sequence<Lease>, on host: Host, files: any FileTree, knownSerials: [PCIAddress: String]
    ) -> DeclaredHost {
        let byAddress = Dictionary(leases.map { ($0.address, $0) }, uniquingKeysWith: { first, _ in first })
        guard !byAddress.isEmpty else { return self }
        let resolver = IdentityResolver(host: host, files: files, knownSerials: knownSerials)
        var result = self
        for index in result.physicalFunctions.indices {
            guard let port = try? resolver.resolve(result.physicalFunctions[index].identity) else { continue }
            for function in host.virtualFunctions(of: port.pci.address) {
                guard let number = function.index, let lease = byAddress[function.pci.address] else { continue }
                result.physicalFunctions[index].override(number, settings: lease.settings, driver: lease.driver)
            }
        }
        return result
    }
}

extension DeclaredPhysicalFunction {
    fileprivate mutating func override(_ index: Int, settings: VirtualFunctionSettings, driver: DeclaredDriver?) {
        let range = Range(
            virtualFunctions: NumberSet([index]), driver: driver ?? self.driver(of: index), settings: settings)
        for place in ranges.indices {
            ranges[place].virtualFunctions = NumberSet(ranges[place].virtualFunctions.numbers.filter { $0 != index })
        }
        ranges.removeAll { $0.virtualFunctions.count == 0 }
        ranges.append(range)
    }
}
