import AgentAPI
import Foundation
import GRPCCore
import Glibc
import KubeletAPI
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

extension LabSuite {
    /// The kernel's RDMA in software, its vDPA on a virtio device, and its auxiliary bus with devices of lab/sfsim.c.
    @Suite(
        "Kubelet: devices beside VFs", .serialized,
        .enabled(if: Lab.isVariant("netdevsim"), "runs in the lab's netdevsim variant"))
    struct KubeletDeviceTests {
        private let folder = "/tmp/kubelet"
        private static let list = #"""
            {"resourceList":[
              {"resourceName":"rdma","selectors":{"pfNames":["ens10#0"],"isRdma":true,"needVhostNet":true}},
              {"resourceName":"vdpa","selectors":{"vdpaType":"vhost"}},
              {"resourceName":"sf","deviceType":"auxNetDevice","selectors":{"pfNames":["ens12#0-2"],"auxTypes":["sf"]}},
              {"resourceName":"other","deviceType":"auxNetDevice","selectors":{"rootDevices":["0000:ff:00.0"],"auxTypes":["sf"]}},
              {"resourceName":"rest"}]}
            """#
        private static let host = """
            physicalFunctions:
              - { match: { netdev: ens10 }, virtualFunctions: 2, driver: kernel }
            passthrough:
              - { match: { vendor: 1af4, device: 1041 }, driver: vp-vdpa }
            """

        init() throws {
            try Lab.write("\n", to: "/sys/module/sfsim/parameters/parent")
            try PodHost.reset()
            try Lab.run(["rm", "-rf", folder, "/var/run/k8s.cni.cncf.io"])
            try Lab.run(["modprobe", "-a", "vhost-vdpa", "vhost-net", "tun", "rdma_ucm"])
        }

        private func information(_ answer: V1beta1_ContainerAllocateResponse, _ resource: String) throws -> NSDictionary
        {
            let text = try #require(answer.envs["PCIDEVICE_INTEL_COM_\(resource)_INFO"])
            return try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? NSDictionary)
        }

        private func deviceInfo(_ resource: String, _ device: String) throws -> NSDictionary {
            let path = "/var/run/k8s.cni.cncf.io/devinfo/dp/intel.com-\(resource)-\(device)-device.json"
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            return try #require(try JSONSerialization.jsonObject(with: data) as? NSDictionary)
        }

        /// An agent with the list, and a kubelet that is told of all of its resources.
        private func run(_ body: @Sendable (FakeKubelet) async throws -> Void) async throws {
            let list = try Lab.file("resources.json", Self.list)
            let agent = try AgentProcess(Self.host, arguments: ["--kubelet", folder, "--resource-list", list])
            try await FakeKubelet(in: folder, .registry).run { kubelet in
                try await expect(kubelet, ["rest": 3])
                try await body(kubelet)
            }
            _ = try agent.stop()
        }

        /// Waits until the resources have so many devices, all of them healthy, and the others none.
        private func expect(
            _ kubelet: FakeKubelet, _ counts: [String: Int], _ location: SourceLocation = #_sourceLocation
        ) async throws {
            let isSo = await kubelet.wait { resources in
                ["rdma", "vdpa", "sf", "other", "rest"].allSatisfy { name in
                    resources["intel.com/\(name)"]?.devices.values.count(where: \.isHealthy) == counts[name] ?? 0
                }
            }
            try #require(isSo, "\(kubelet.resources)", sourceLocation: location)
        }

        private func devices(_ kubelet: FakeKubelet, _ resource: String) -> [String] {
            kubelet.resources["intel.com/\(resource)"]?.devices.keys.sorted() ?? []
        }

        @Test("A VF with an RDMA device is selected by it, and given with its nodes and those of vhost-net")
        func rdma() async throws {
            try await run { kubelet in
                let port = try #require(try Lab.host().physicalFunctions.first { $0.name == "ens10" })
                let address = try #require(try Lab.host().virtualFunctions(of: port.pci.address).first?.pci.address)
                // RDMA in software goes with its netdev: the VF has had a tenant, and keeps its driver for the next one.
                _ = try await kubelet.allocate(["\(address)"], of: "intel.com/rest")
                for lease in try PodHost.leases() { #expect(try Lab.sluice("lease", "release", lease.id).status == 0) }
                try await expect(kubelet, ["rest": 3])
                try Lab.settle()
                let function = try #require(try Lab.host()[address])
                let netdev = try #require(function.pci.netdevs.first)
                try Lab.run(["rdma", "link", "add", "siw0", "type", "siw", "netdev", netdev])
                try await expect(kubelet, ["rdma": 1, "rest": 2])
                let id = "\(function.pci.address)"
                #expect(devices(kubelet, "rdma") == [id])
                let verbs = try #require(
                    try LiveFileTree().entries(PCIReader.path(function.pci.address) + "/infiniband_verbs")?.first)
                let answer = try await kubelet.allocate([id], of: "intel.com/rdma")
                let expected: NSDictionary = [
                    id: [
                        "generic": ["deviceID": id],
                        "rdma": [
                            "rdma_dev": "siw0", "uverbs": "/dev/infiniband/\(verbs)",
                            "rdma_cm": "/dev/infiniband/rdma_cm",
                        ],
                        "vhost": ["net-mount": "/dev/vhost-net", "tun-mount": "/dev/net/tun"],
                    ]
                ]
                #expect(try information(answer, "RDMA") == expected)
                #expect(
                    answer.devices.map(\.hostPath).sorted() == [
                        "/dev/infiniband/rdma_cm", "/dev/infiniband/\(verbs)", "/dev/net/tun", "/dev/vhost-net",
                    ])
                let pci = try deviceInfo("rdma", id)["pci"] as? NSDictionary
                #expect(pci?["rdma-device"] as? String == "siw0")
            }
        }

        @Test("A vDPA device is selected by its kind, not taken from who has it open, and outlives its tenants")
        func vdpa() async throws {
            try await run { kubelet in
                let function = try #require(
                    try Lab.host().functions.first { $0.pci.model.vendor == 0x1af4 && $0.pci.driver == "vp-vdpa" })
                let id = "\(function.pci.address)"
                try Lab.run(["vdpa", "dev", "add", "name", "blue", "mgmtdev", "pci/\(id)"])
                try await expect(kubelet, ["vdpa": 1, "rest": 2])
                let device = try #require(try VDPADevice.all(LiveFileTree())[function.pci.address]?.first)
                let node = try #require(device.node)
                #expect(device.name == "blue" && device.use == .vhost)
                for _ in 0..<2 {
                    let answer = try await kubelet.allocate([id], of: "intel.com/vdpa")
                    let expected: NSDictionary = [id: ["generic": ["deviceID": id], "vdpa": ["mount": node]]]
                    #expect(try information(answer, "VDPA") == expected)
                    #expect(answer.devices.map(\.hostPath) == [node])
                }
                let info: NSDictionary = [
                    "type": "vdpa", "version": "1.1.0",
                    "vdpa": ["parent-device": "blue", "driver": "vhost", "path": node, "pci-address": id],
                ]
                #expect(try deviceInfo("vdpa", id) == info)
                // The tenant's program has it.
                let descriptor = open(node, O_RDWR | O_CLOEXEC)
                try #require(descriptor >= 0, "\(String(cString: strerror(errno)))")
                let refusal = await #expect(throws: RPCError.self) {
                    try await kubelet.allocate([id], of: "intel.com/vdpa")
                }
                #expect(refusal?.message.contains("is still used by") ?? false, "\(refusal?.message ?? "")")
                #expect(refusal?.message.contains(node) ?? false, "\(refusal?.message ?? "")")
                close(descriptor)
                _ = try await kubelet.allocate([id], of: "intel.com/vdpa")
                #expect(try VDPADevice.all(LiveFileTree())[function.pci.address] == [device])
                try Lab.run(["vdpa", "dev", "del", "blue"])
            }
        }

        @Test("Subfunctions are selected by port and number, told of as they come and go, and given by name")
        func subfunctions() async throws {
            try await run { kubelet in
                let port = try #require(try Lab.host().physicalFunctions.first { $0.name == "ens12" })
                try Lab.run(["ip", "link", "set", "ens12", "up"])
                try Lab.write("\(port.pci.address)", to: "/sys/module/sfsim/parameters/parent")
                try await expect(kubelet, ["sf": 2, "rest": 3])
                #expect(devices(kubelet, "sf") == ["sfsim.sf.1", "sfsim.sf.2"])
                let nodes = kubelet.resources["intel.com/sf"]?.devices.values.map(\.node)
                #expect(nodes == [1, 1])
                let chosen = try await kubelet.preferred(
                    1, of: ["sfsim.sf.1", "sfsim.sf.2"], with: ["sfsim.sf.2"], "intel.com/sf")
                #expect(chosen == ["sfsim.sf.2"])
                let answer = try await kubelet.allocate(["sfsim.sf.2"], of: "intel.com/sf")
                #expect(answer.envs["PCIDEVICE_INTEL_COM_SF"] == "sfsim.sf.2")
                let expected: NSDictionary = ["sfsim.sf.2": ["generic": ["deviceID": "sfsim.sf.2"]]]
                #expect(try information(answer, "SF") == expected && answer.devices.isEmpty)
                await #expect(throws: RPCError.self) {
                    try await kubelet.allocate(["sfsim.sf.3"], of: "intel.com/sf")
                }
                // Its pod's netdev is the pod's: it is no other device meanwhile.
                let pod = try Pod("subfunction")
                let netdev = try #require(
                    try LiveFileTree().entries("/sys/bus/auxiliary/devices/sfsim.sf.2/net")?.first)
                try Lab.run(["ip", "link", "set", netdev, "netns", pod.name])
                try await expect(kubelet, ["sf": 2, "rest": 3])
                try Lab.write("\n", to: "/sys/module/sfsim/parameters/parent")
                try await expect(kubelet, ["rest": 3])
            }
        }
    }
}
