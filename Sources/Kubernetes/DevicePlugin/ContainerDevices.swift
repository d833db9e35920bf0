internal import FoundationEssentials
internal import KubeletAPI
internal import Leasing
internal import PCI
internal import SRIOV
internal import SwiftProtobuf

/// What a container gets of its devices: variables and nodes, as sriov-network-device-plugin gives them.
struct ContainerDevices {
    var resource: NodeResource
    /// By the kubelet's names for them.
    var devices: [(id: String, nodes: DeviceNodes)]

    /// What the runtime is told of the resource, where nodes go by way of it; nil where the kubelet hands them on itself.
    var specification: CDISpecification?

    /// The answer to the kubelet.
    var response: V1beta1_ContainerAllocateResponse {
        .with { response in
            let name = "PCIDEVICE_\(resource.name.environmentName)"
            let ids = devices.map(\.id)
            response.envs[name] = ids.joined(separator: ",")
            response.envs["\(name)_INFO"] = information
            guard let specification else {
                response.devices = nodes.map { node in
                    .with { ($0.hostPath, $0.containerPath, $0.permissions) = (node.host, node.container, "rw") }
                }
                return
            }
            let names = ids.filter(specification.has).map(specification.qualifiedName)
            response.cdiDevices = names.map { name in .with { $0.name = name } }
            // Kubelets and runtimes that do not know of the other way; those that do take each device once.
            guard !names.isEmpty else { return }
            response.annotations["cdi.k8s.io/sluice_\(resource.name.name.prefix(30))-\(resource.name.sum)"] =
                names.joined(separator: ",")
        }
    }

    /// The nodes that a container gets, each once.
    var nodes: [(host: String, container: String)] {
        var nodes: [(host: String, container: String)] = []
        func add(_ host: String?, as container: String? = nil) {
            guard let host, !nodes.contains(where: { $0.host == host }) else { return }
            nodes.append((host, container ?? host))
        }
        for (_, own) in devices {
            add(own.vfio?.container)
            add(own.vfioOnHost, as: own.vfio?.group)
            add(own.uio)
            for key in own.rdma.keys.sorted() { add(own.rdma[key]) }
            add(own.vdpa?.node)
            add(own.vhostNet)
            add(own.tun)
        }
        return nodes
    }

    /// The variable `…_INFO`: by address, and in it by what the nodes are for.
    private var information: String {
        var all: [String: [String: [String: String]]] = [:]
        for (id, nodes) in devices {
            var parts = ["generic": ["deviceID": id]]
            if let vfio = nodes.vfio { parts["vfio"] = ["mount": vfio.container, "dev-mount": vfio.group] }
            if let uio = nodes.uio { parts["uio"] = ["mount": uio] }
            if let device = nodes.rdmaDevice {
                parts["rdma"] = nodes.rdma.merging(["rdma_dev": device]) { node, _ in node }
            }
            if let node = nodes.vdpa?.node { parts["vdpa"] = ["mount": node] }
            if let vhostNet = nodes.vhostNet, let tun = nodes.tun {
                parts["vhost"] = ["net-mount": vhostNet, "tun-mount": tun]
            }
            // Of a subfunction it is what is given for its function.
            let parent = resource.subfunctions.first { $0.id == id }.map { "\($0.parent.pci.address)" }
            let own = resource.additionalInfo[parent ?? id] ?? [:]
            let extra = (resource.additionalInfo["*"] ?? [:]).merging(own) { $1 }
            if !extra.isEmpty { parts["extraInfo"] = extra }
            all[id] = parts
        }
        // Nothing in it that JSON cannot hold.
        return (try? JSONEncoder.plain.encode(all)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}
