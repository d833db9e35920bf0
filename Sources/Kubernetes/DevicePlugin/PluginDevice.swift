internal import KubeletAPI
internal import Leasing
internal import Netlink
internal import PCI
internal import SRIOV
internal import SwiftProtobuf

/// A function as the kubelet is told of it.
public struct PluginDevice: Sendable, Hashable {
    /// Its PCI address.
    public var id: String
    /// Why no pod may get it now; nil for a healthy one.
    public var problem: String?
    /// The NUMA node that it is near; nil where that does not count.
    public var numaNode: Int?

    /// What a pool's function is to the kubelet.
    init(_ member: Pool.Member, _ occupation: Placement.Occupation?, of resource: Consumer, hasTopology: Bool) {
        id = member.id
        problem = Self.problem(member, occupation, resource)
        numaNode = hasTopology ? member.function.pci.numaNode : nil
    }

    /// What a subfunction is to the kubelet.
    init(_ subfunction: NodeSubfunction, hasTopology: Bool) {
        id = subfunction.id
        problem = Self.portProblem(subfunction.parent) ?? (subfunction.isBound ? nil : "it has no driver")
        numaNode = hasTopology ? subfunction.parent.pci.numaNode : nil
    }

    /// A function is healthy when the next pod could have it, and what the kubelet's own pods have is while it works.
    private static func problem(
        _ member: Pool.Member, _ occupation: Placement.Occupation?, _ resource: Consumer
    ) -> String? {
        switch occupation {
        case .lease(let lease):
            switch lease.state {
            case .quarantined, .lost: return "\(lease.state.rawValue): \(lease.reason ?? "lease \(lease.id)")"
            case .releasing:
                if let reason = lease.reason { return reason }
            case .reserved, .preparing, .active, .scrubbing, .free: break
            }
            guard lease.allocation == resource else { return "lease \(lease.id) of \(lease.consumer)" }
            // Whoever has it keeps it when its port's carrier goes: a kubelet that is started anew would end the pod. On its
            // way to a pod or back its driver comes and goes.
            return lease.state == .active ? driverProblem(member) : nil
        case .foreign(let holders):
            return "used without a lease by " + holders.map(\.description).joined(separator: ", ")
        case .promised: return occupation?.description
        // A port that is being set up comes back with its functions as they were, and drivers come and go.
        case .maintained:
            guard member.function.holders.isEmpty else {
                return "used without a lease by " + member.function.holders.map(\.description).joined(separator: ", ")
            }
            return portProblem(member)
        case nil: break
        }
        return portProblem(member) ?? driverProblem(member)
    }

    private static func portProblem(_ member: Pool.Member) -> String? {
        // Of other devices' ports no interface is to be expected.
        guard let port = member.port, member.function.pci.classCode.isNetwork else { return nil }
        return portProblem(port)
    }

    private static func portProblem(_ port: Function) -> String? {
        guard let link = port.link else { return "its port \(port.name) has no interface" }
        if !link.isUp { return "its port \(link.name) is down" }
        return link.state == .down ? "its port \(link.name) has no carrier" : nil
    }

    private static func driverProblem(_ member: Pool.Member) -> String? {
        let driver = member.function.pci.driver
        switch member.driver {
        case .vfio(let name)?: return driver == name ? nil : "its driver is \(driver ?? "none"), not \(name)"
        case .kernel(let name?)?: return driver == name ? nil : "its driver is \(driver ?? "none"), not \(name)"
        case .kernel(nil)?, nil: return driver == nil ? "it has no driver" : nil
        }
    }
}

extension V1beta1_Device {
    init(_ device: PluginDevice) {
        self.init()
        id = device.id
        health = device.problem == nil ? "Healthy" : "Unhealthy"
        guard let node = device.numaNode else { return }
        topology = .with { $0.nodes = [.with { $0.id = Int64(node) }] }
    }
}
