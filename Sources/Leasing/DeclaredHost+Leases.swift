internal import Netlink
public import PCI
public import SRIOV

extension DeclaredHost {
    /// The declared state with what leases have made of single VFs: those are as their consumers need them, which is no
    /// drift.
    public func with(
        _ leases: some Sequence<Lease>, on host: Host, files: any FileTree, knownSerials: [PCIAddress: String]
    ) -> DeclaredHost {
        let byIdentity = Dictionary(leases.map { ($0.function, $0) }, uniquingKeysWith: { first, _ in first })
        guard !byIdentity.isEmpty else { return self }
        let resolver = IdentityResolver(host: host, files: files, knownSerials: knownSerials)
        var result = self
        for index in result.physicalFunctions.indices {
            guard let port = try? resolver.resolve(result.physicalFunctions[index].identity) else { continue }
            // Also those that are not there: after a reboot they are made with what their leases need.
            for number in 0..<result.physicalFunctions[index].virtualFunctions {
                let identity = FunctionIdentity(virtualFunction: number, of: port, in: host)
                guard let lease = byIdentity[identity] else { continue }
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

extension Planner {
    /// The plan to a declared state on a host that has leases: their functions are as their consumers need them, and
    /// their holders are among those of the host.
    public static func plan(
        to declared: DeclaredHost, with leases: [Lease], on host: Host, kernel: any HostKernel, options: Options
    ) throws -> Plan {
        var modes: [PCIAddress: Devlink.EswitchMode] = [:]
        if declared.physicalFunctions.contains(where: { $0.eswitchMode != nil }) {
            for port in host.physicalFunctions where port.pci.driver != nil {
                // A driver that cannot be asked has no mode to change to; the planner says so.
                if let mode = (try? kernel.eswitchMode(of: port.pci.address)) ?? nil { modes[port.pci.address] = mode }
            }
        }
        let declared = declared.with(leases, on: host, files: kernel.files, knownSerials: options.knownSerials)
        var plan = Planner(host: host, files: kernel.files, options: options).plan(to: declared, eswitchModes: modes)
        // What a tenant's function was set to is in the ledger. The journal must not give it to the next tenant.
        let leased = Set(leases.map(\.address))
        for index in plan.devices.indices {
            guard let port = plan.devices[index].address else { continue }
            let indexes = Set(
                host.virtualFunctions(of: port).filter { leased.contains($0.pci.address) }.compactMap(\.index))
            plan.devices[index].before.settings.removeAll { indexes.contains(Int($0.index)) }
        }
        return plan
    }
}
