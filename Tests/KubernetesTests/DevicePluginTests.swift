import Foundation
import HostFile
import KubeletAPI
import PCI
import SRIOV
import SluiceTesting
import Testing

@testable import Kubernetes
@testable import Leasing

@Suite("Resources as Kubernetes has them")
struct DevicePluginTests {
    @Test(
        "A resource's name is what Kubernetes allows",
        arguments: [
            ("intel.com/sriov_net", true), ("a/b", true), ("example.com/Net-1.x", true), ("intel.com/", false),
            ("/net", false), ("net", false), ("Intel.com/net", false), ("intel..com/net", false),
            ("intel.com/-net", false),
            ("intel.com/net_", false), ("intel.com/a/b", false), ("kubernetes.io/net", false),
            ("x.kubernetes.io/net", false), ("mykubernetes.io/net", false), ("requests.intel.com/net", false),
            ("intel.com/ä", false),
            ("intel.com/" + String(repeating: "a", count: 63), true),
            ("intel.com/" + String(repeating: "a", count: 64), false),
        ])
    func names(_ text: String, _ isOne: Bool) {
        #expect((ResourceName(text) != nil) == isOne, "\(text)")
        if isOne { #expect(ResourceName(text)?.description == text) }
    }

    @Test("Variables and sockets are named as sriov-network-device-plugin names them; long ones stay apart")
    func derived() throws {
        let name = try #require(ResourceName("intel.com/sriov-net_a"))
        #expect(name.environmentName == "INTEL_COM_SRIOV-NET_A")
        #expect(name.socketName(in: "/var/lib/kubelet/plugins_registry") == "intel.com_sriov-net_a.sock")
        let folder = "/var/lib/kubelet/plugins_registry"
        let long = try (0..<2).map { number in
            try #require(
                ResourceName("\(String(repeating: "a", count: 60)).com/\(String(repeating: "b", count: 50))\(number)"))
        }.map { $0.socketName(in: folder) }
        #expect(long[0] != long[1] && long.allSatisfy { folder.utf8.count + 1 + $0.utf8.count <= 107 }, "\(long)")
    }

    @Test("A container is told of its functions by address, with their nodes and what its list adds")
    func information() throws {
        let text = """
            physicalFunctions: [{ match: { netdev: ens10 }, virtualFunctions: 2 }]
            pools:
              pods:
                for: kubernetes
                resource: example.com/net
                functions: [{ physicalFunction: ens10 }]
                deviceNodes: [rdma, vhostNet]
            """
        let pools = try PoolSet.lab(text, virtualFunctions: 2)
        let pool = try #require(pools.pools.first)
        var resource = try #require(NodeResource(pool))
        let ids = resource.members.map { "\($0.function.pci.address)" }
        // What the host file says of a pool is of all of its functions.
        #expect(ids.count == 2 && ids.allSatisfy { resource.needs[$0] == .init(rdma: true, vhostNet: true) })
        resource.additionalInfo = ["*": ["a": "1", "b": "1"], ids[1]: ["b": "2"]]
        let (first, second) = ("/sys/bus/pci/devices/\(ids[0])", "/sys/bus/pci/devices/\(ids[1])")
        let files = Files(
            links: [
                "\(first)/driver": "../../bus/pci/drivers/vfio-pci", "\(first)/iommu_group": "../../iommu_groups/7",
            ],
            texts: ["/sys/kernel/iommu_groups/7/name": "vfio-noiommu\n"],
            folders: [
                "\(second)/infiniband": ["mlx5_3"], "\(second)/infiniband_verbs": ["uverbs3"],
                "\(second)/infiniband_mad": ["issm3", "umad3"], "/dev/infiniband": ["rdma_cm", "uverbs3"],
                "/dev": ["null", "vhost-net"], "/dev/net": ["tun"],
            ])
        let devices = ContainerDevices(
            resource: resource,
            devices: try zip(resource.members, [false, true]).map { member, isRDMA in
                let needs = DeviceNodes.Needs(rdma: isRDMA, vhostNet: true)
                return (member.id, try DeviceNodes(of: member.function.pci.address, needs, files: files))
            })
        let response = devices.response
        #expect(response.envs["PCIDEVICE_EXAMPLE_COM_NET"] == ids.joined(separator: ","))
        let object = try JSONValue.parse(try #require(response.envs["PCIDEVICE_EXAMPLE_COM_NET_INFO"]))
        let vhost = JSONValue.object(["net-mount": .string("/dev/vhost-net"), "tun-mount": .string("/dev/net/tun")])
        #expect(
            object
                == .object([
                    ids[0]: .object([
                        "generic": .object(["deviceID": .string(ids[0])]),
                        "vfio": .object(["mount": .string("/dev/vfio/vfio"), "dev-mount": .string("/dev/vfio/7")]),
                        "vhost": vhost, "extraInfo": .object(["a": .string("1"), "b": .string("1")]),
                    ]),
                    ids[1]: .object([
                        "generic": .object(["deviceID": .string(ids[1])]),
                        "rdma": .object([
                            "rdma_dev": .string("mlx5_3"), "rdma_cm": .string("/dev/infiniband/rdma_cm"),
                            "uverbs": .string("/dev/infiniband/uverbs3"), "umad": .string("/dev/infiniband/umad3"),
                            "issm": .string("/dev/infiniband/issm3"),
                        ]), "vhost": vhost, "extraInfo": .object(["a": .string("1"), "b": .string("2")]),
                    ]),
                ]))
        #expect(
            response.devices.map { "\($0.hostPath) \($0.containerPath)" } == [
                "/dev/vfio/vfio /dev/vfio/vfio", "/dev/vfio/noiommu-7 /dev/vfio/7", "/dev/vhost-net /dev/vhost-net",
                "/dev/net/tun /dev/net/tun",
                "/dev/infiniband/issm3 /dev/infiniband/issm3", "/dev/infiniband/rdma_cm /dev/infiniband/rdma_cm",
                "/dev/infiniband/umad3 /dev/infiniband/umad3", "/dev/infiniband/uverbs3 /dev/infiniband/uverbs3",
            ])
    }

    @Test(
        "A host file names resources that Kubernetes takes, each once, of pools that are for it",
        arguments: [
            ("for: libvirt, resource: example.com/a", "resources are Kubernetes'"),
            ("for: kubernetes, resource: a", "a resource of Kubernetes"),
            ("for: kubernetes, resource: example.com/other", "is pool other's already"),
            ("for: libvirt, deviceNodes: [rdma]", "is no resource of Kubernetes"),
            ("for: kubernetes, deviceNodes: [uverbs]", "vhostNet"),
            ("resource: example.com/a", nil), ("for: kubernetes, deviceNodes: [rdma, vdpa, vhostNet]", nil),
        ])
    func hostFile(_ members: String, _ error: String?) throws {
        let text = """
            physicalFunctions: [{ match: { netdev: ens10 }, virtualFunctions: 4 }]
            pools:
              other:
                for: kubernetes
                resource: example.com/other
                functions: [{ physicalFunction: ens10, virtualFunctions: 0 }]
              pods: { \(members), functions: [{ physicalFunction: ens10, virtualFunctions: 1-3 }] }
            """
        guard let error else {
            #expect(throws: Never.self) { try HostFile.parse(text, file: "host.yaml") }
            return
        }
        let thrown = #expect(throws: HostFileErrors.self) { try HostFile.parse(text, file: "host.yaml") }
        #expect(thrown?.description.contains(error) ?? false, "\(thrown?.description ?? "")")
    }
}
