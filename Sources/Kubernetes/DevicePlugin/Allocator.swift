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

    /// Leases what the kubelet has allocated to containers: all of it or nothing.
    ///
    /// Throws `RPCError` with a sentence that ends up among the pod's events.
    func allocate(_ containers: [[String]], of server: ResourceServer) async throws -> [ContainerDevices] {
        let resource = server.resource
        let members = try containers.map { ids in try ids.map { try member($0, resource, server.devices) } }
        let all = members.flatMap(\.self)
        guard Set(all.map(\.identity)).count == all.count else {
            throw RPCError(code: .invalidArgument, message: "one device is asked for twice")
        }
        var leases: [Lease] = []
        do {
            for member in all {
                leases.append(
                    try await manager.allocate(
                        member.function.pci.address, for: resource.consumer, actor: "kubelet"))
            }
            let (kernel, infoFiles, usesCDI) = (kernel, infoFiles, usesCDI)
            return try await offLoop.run {
                let specification = usesCDI ? try CDISpecification(of: resource, files: kernel.files) : nil
                try specification?.write(for: resource)
                return try members.map { functions in
                    let devices = try functions.map { member in
                        (
                            member,
                            try resource.nodes(of: member, files: kernel.files)
                        )
                    }
                    for (member, nodes) in devices {
                        try infoFiles.write(
                            DeviceInfo(member, nodes), resource.name, "\(member.function.pci.address)")
                    }
                    return ContainerDevices(resource: resource, functions: devices, specification: specification)
                }
            }
        } catch {
            for lease in leases { try? await manager.endAllocation(lease) }
            throw Self.refusal(error)
        }
    }

    private func member(
        _ id: String, _ resource: NodeResource, _ devices: [PluginDevice]
    ) throws(RPCError) -> Pool.Member {
        guard let index = resource.members.firstIndex(where: { "\($0.function.pci.address)" == id }) else {
            throw RPCError(code: .notFound, message: "\(resource.name) has no device \"\(id.prefix(100))\"")
        }
        if let problem = devices.first(where: { $0.id == id })?.problem {
            throw RPCError(
                code: .failedPrecondition,
                message: "\(resource.members[index].function.name) (\(id)) cannot be given to a pod: \(problem)")
        }
        return resource.members[index]
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
        var occupied: [FunctionIdentity: Placement.Occupation] = [:]
        for member in resource.members {
            let id = "\(member.function.pci.address)"
            // What is to be among them counts as in use, so that others are spread or packed accordingly.
            if !available.contains(id) || required.contains(id) { occupied[member.identity] = .maintained }
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

    /// The NUMA nodes to try: of what must be among them, or all, by number.
    private static func nodes(_ required: [String], _ resource: NodeResource) -> [Int] {
        guard resource.hasTopology else { return [] }
        let wanted = resource.members.filter { required.contains("\($0.function.pci.address)") }
        return Set((required.isEmpty ? resource.members : wanted).compactMap(\.function.pci.numaNode)).sorted()
    }
}
