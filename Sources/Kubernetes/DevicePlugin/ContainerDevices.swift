internal import FoundationEssentials
internal import KubeletAPI
internal import Leasing
internal import PCI
internal import SRIOV
internal import SwiftProtobuf

/// What a container gets of its functions: variables and nodes, as sriov-network-device-plugin gives them.
struct ContainerDevices {
    var resource: NodeResource
    var functions: [(member: Pool.Member, nodes: DeviceNodes)]

    /// The answer to the kubelet.
    var response: V1beta1_ContainerAllocateResponse {
        .with { response in
            let name = "PCIDEVICE_\(resource.name.environmentName)"
            response.envs[name] = functions.map { "\($0.member.function.pci.address)" }.joined(separator: ",")
            response.envs["\(name)_INFO"] = information
            response.devices = devices
        }
    }

    private var devices: [V1beta1_DeviceSpec] {
        var devices: [V1beta1_DeviceSpec] = []
        func add(_ host: String?, as container: String? = nil) {
            guard let host, !devices.contains(where: { $0.hostPath == host }) else { return }
            devices.append(
                .with { device in
                    (device.hostPath, device.containerPath) = (host, container ?? host)
                    device.permissions = "rw"
                })
        }
        for (_, nodes) in functions {
            add(nodes.vfio?.container)
            add(nodes.vfioOnHost, as: nodes.vfio?.group)
            add(nodes.uio)
            for key in nodes.rdma.keys.sorted() { add(nodes.rdma[key]) }
        }
        if resource.needsVhostNet {
            add("/dev/vhost-net")
            add("/dev/net/tun")
        }
        return devices
    }

    /// The variable `…_INFO`: by address, and in it by what the nodes are for.
    private var information: String {
        var all: [String: [String: [String: String]]] = [:]
        for (member, nodes) in functions {
            let id = "\(member.function.pci.address)"
            var parts = ["generic": ["deviceID": id]]
            if let vfio = nodes.vfio { parts["vfio"] = ["mount": vfio.container, "dev-mount": vfio.group] }
            if let uio = nodes.uio { parts["uio"] = ["mount": uio] }
            if let device = nodes.rdmaDevice {
                parts["rdma"] = nodes.rdma.merging(["rdma_dev": device]) { node, _ in node }
            }
            if resource.needsVhostNet {
                parts["vhost"] = ["net-mount": "/dev/vhost-net", "tun-mount": "/dev/net/tun"]
            }
            let extra = (resource.additionalInfo["*"] ?? [:]).merging(resource.additionalInfo[id] ?? [:]) { $1 }
            if !extra.isEmpty { parts["extraInfo"] = extra }
            all[id] = parts
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Nothing in it that JSON cannot hold.
        return (try? encoder.encode(all)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}
