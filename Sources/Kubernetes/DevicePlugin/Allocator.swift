internal import GRPCCore
internal import Leasing
internal import PCI
internal import SRIOV

/// Gives functions to the kubelet, which has chosen them.
struct Allocator: Sendable {
    let manager: LeaseManager
    let kernel: any HostKernel
    let infoFiles: DeviceInfoFiles
    /// Whether containers get their nodes by way of CDI.
    let usesCDI: Bool
    /// Runs what reads or writes files off the event loop.
    let offLoop = SerialQueue()

    /// Keeps the files on allocated devices as the leases are.
    ///
    /// Before the kubelet has said whose devices are, none is removed: it may be of a pod from before.
    func keepInfoFiles(of resources: [NodeResource], mayRemove: Bool) {
        let (kernel, infoFiles, manager, usesCDI) = (kernel, infoFiles, manager, usesCDI)
        offLoop.add {
            // Also after a reboot, which has taken them away, and for containers that are started anew.
            // What is said of pods' devices stays, also while their resource is none: a list may be out of reach.
            let names = Set(resources.map(\.consumer))
            let isWhole = manager.leases.allSatisfy { $0.allocation.map(names.contains) ?? true }
            if usesCDI, mayRemove, isWhole { CDISpecification.removeOthers(than: resources, files: kernel.files) }
            for resource in resources where usesCDI {
                try? CDISpecification(of: resource, files: kernel.files).write(for: resource)
            }
            let allocated = Set(manager.leases.filter { $0.allocation != nil }.map(\.function))
            infoFiles.keep(of: resources, allocated: allocated, mayRemove: mayRemove, files: kernel.files)
        }
    }

    /// Leases what the kubelet has allocated to containers: all of it or nothing. Subfunctions are its own.
    ///
    /// Throws `RPCError` with a sentence that ends up among the pod's events.
    func allocate(_ containers: [[String]], of server: ResourceServer) async throws -> [ContainerDevices] {
        let resource = server.resource
        let ids = containers.flatMap(\.self)
        let (known, devices) = (Set(resource.ids), server.devices)
        for id in ids { try check(id, known, devices, resource) }
        guard Set(ids).count == ids.count else {
            throw RPCError(code: .invalidArgument, message: "one device is asked for twice")
        }
        let members = resource.members.filter { ids.contains($0.id) }
        var leases: [Lease] = []
        do {
            for member in members {
                leases.append(
                    try await manager.allocate(
                        member.function.pci.address, for: resource.consumer, actor: "kubelet"))
            }
            let (kernel, infoFiles, usesCDI) = (kernel, infoFiles, usesCDI)
            return try await offLoop.run {
                let specification = usesCDI ? try CDISpecification(of: resource, files: kernel.files) : nil
                try specification?.write(for: resource)
                return try containers.map { ids in
                    let devices = try ids.map { ($0, try resource.nodes(of: $0, files: kernel.files)) }
                    for (id, nodes) in devices {
                        if resource.needs[id]?.rdma ?? false, nodes.rdmaDevice == nil { throw Self.lacksRDMA(id) }
                        // No file tells of a subfunction.
                        guard let member = members.first(where: { $0.id == id }) else { continue }
                        try infoFiles.write(DeviceInfo(member, nodes), resource.name, id)
                    }
                    return ContainerDevices(resource: resource, devices: devices, specification: specification)
                }
            }
        } catch {
            for lease in leases { try? await manager.endAllocation(lease) }
            throw Self.refusal(error)
        }
    }

    /// A pod without the nodes that it is to have would fail of something else.
    private static func lacksRDMA(_ id: String) -> LeasingError {
        LeasingError(
            .unprepared, "\(id) has no RDMA device, whose nodes its pods are to get",
            remedy: "rdma dev lists them: load the driver's RDMA part, such as mlx5_ib, or ask for no RDMA")
    }

    private func check(
        _ id: String, _ known: Set<String>, _ devices: [PluginDevice], _ resource: NodeResource
    ) throws(RPCError) {
        guard known.contains(id) else {
            throw RPCError(code: .notFound, message: "\(resource.name) has no device \"\(id.prefix(100))\"")
        }
        guard let problem = devices.first(where: { $0.id == id })?.problem else { return }
        let name = resource.members.first { $0.id == id }.map { "\($0.function.name) (\(id))" } ?? id
        throw RPCError(code: .failedPrecondition, message: "\(name) cannot be given to a pod: \(problem)")
    }

    private static func refusal(_ error: any Error) -> RPCError {
        guard let error = error as? LeasingError else { return RPCError(code: .unavailable, message: "\(error)") }
        let details = error.details.map { "; \($0)" }.joined()
        return RPCError(
            code: .failedPrecondition,
            message: "\(error.message)\(details)" + (error.remedy.map { ". \($0)" } ?? "") + " [\(error.code.rawValue)]"
        )
    }

    /// Chooses among what is available, as the pool's leases are chosen: of one NUMA node where that is possible, on ports
    /// with a carrier, spread over the ports or packed.
    ///
    /// Throws `RPCError` for a request that no choice meets.
    func preferred(
        _ count: Int, of available: [String], with required: [String], _ resource: NodeResource
    ) throws(RPCError) -> [String] {
        let (available, required) = (Set(available), Array(Set(required)).sorted())
        guard count >= required.count, count <= available.count, available.isSuperset(of: required) else {
            throw RPCError(
                code: .invalidArgument,
                message: "\(count) of \(available.count) devices with \(required.count) of them is no choice")
        }
        guard count > required.count else { return required }
        guard resource.subfunctions.isEmpty else {
            return required + Self.chosen(count - required.count, of: available, with: required, resource.subfunctions)
        }
        var occupied: [FunctionIdentity: Placement.Occupation] = [:]
        for member in resource.members {
            // What is to be among them counts as in use, so that others are spread or packed accordingly.
            if !available.contains(member.id) || required.contains(member.id) {
                occupied[member.identity] = .maintained
            }
        }
        var request = LeaseRequest(pool: "\(resource.name)", consumer: resource.consumer)
        request.count = count - required.count
        let nodes = Self.nodes(required, resource)
        for node in nodes + [nil] {
            request.near = node.map { .node($0) } ?? nodes.first.map { .node($0) }
            let placement = Placement(host: manager.observedHost, request: request, occupied: occupied)
            if let choice = try? placement.choose(
                from: resource.members, numa: node == nil ? .prefer : .require, spread: resource.spread,
                of: "\(resource.name)")
            {
                return required + choice.chosen.map { "\($0.member.function.pci.address)" }
            }
        }
        throw RPCError(code: .invalidArgument, message: "\(resource.name) has not all of the available devices")
    }

    /// Subfunctions by name: of the node of those that must be among them, or of the first one that has enough.
    private static func chosen(
        _ count: Int, of available: Set<String>, with required: [String], _ subfunctions: [NodeSubfunction]
    ) -> [String] {
        let rest = subfunctions.filter { available.contains($0.id) && !required.contains($0.id) }
        let nodes = nodes(required, among: subfunctions.map { ($0.id, $0.parent.pci.numaNode) })
        let near = nodes.lazy.map { node in rest.filter { $0.parent.pci.numaNode == node } }
        return (near.first { $0.count >= count } ?? rest).prefix(count).map(\.id)
    }

    /// The NUMA nodes to try: of what must be among them, or all, by number.
    private static func nodes(_ required: [String], _ resource: NodeResource) -> [Int] {
        guard resource.hasTopology else { return [] }
        return nodes(required, among: resource.members.map { ($0.id, $0.function.pci.numaNode) })
    }

    private static func nodes(_ required: [String], among devices: [(id: String, node: Int?)]) -> [Int] {
        Set(devices.filter { required.isEmpty || required.contains($0.id) }.compactMap(\.node)).sorted()
    }
}
