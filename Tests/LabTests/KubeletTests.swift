import AgentAPI
import Foundation
import GRPCCore
import Glibc
import KubeletAPI
import Leasing
import PCI
import SRIOV
import SluiceTesting
import Testing

extension LabSuite {
    @Suite(
        "Kubelet: the device plugin", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct KubeletTests {
        private let resource = "sluice.local/pods"
        private let folder = "/tmp/kubelet"

        init() throws {
            try PodHost.reset()
            try Lab.run(["rm", "-rf", "/tmp/kubelet", "/var/run/k8s.cni.cncf.io"])
        }

        private func agent(_ file: String = PodHost.file) throws -> AgentProcess {
            try AgentProcess(file, arguments: ["--kubelet", folder])
        }

        /// Waits until a resource has so many devices, all of them healthy.
        private func devices(_ kubelet: FakeKubelet, _ count: Int) async throws -> [String] {
            let resource = resource
            let isSo = await kubelet.wait { $0[resource]?.devices.values.count(where: \.isHealthy) == count }
            try #require(isSo, "\(kubelet.resources)")
            return try #require(kubelet.resources[resource]?.devices.keys.sorted())
        }

        private func lease(_ address: String) throws -> LeaseView? {
            try PodHost.leases().first { $0.address == address }
        }

        @Test(
            "A pod's VF: listed, allocated, taken by its interface, given back, and the next pod's after a reset",
            arguments: [FakeKubelet.Discovery.registry, .register])
        func allocated(_ discovery: FakeKubelet.Discovery) async throws {
            let agent = try agent()
            let kubelet = FakeKubelet(in: folder, discovery)
            try await kubelet.run { kubelet in
                let ids = try await devices(kubelet, 4)
                #expect(try ids == PodHost.functions().map { "\($0)" })
                let nodes = kubelet.resources[resource]?.devices.values.map(\.node)
                #expect(nodes?.allSatisfy { $0 == 0 } ?? false, "\(nodes ?? [])")
                let id = ids[1]
                let answer = try await kubelet.allocate([id], of: resource)
                #expect(answer.envs["PCIDEVICE_SLUICE_LOCAL_PODS"] == id)
                #expect(
                    answer.envs["PCIDEVICE_SLUICE_LOCAL_PODS_INFO"] == #"{"\#(id)":{"generic":{"deviceID":"\#(id)"}}}"#)
                #expect(answer.devices.isEmpty && answer.mounts.isEmpty && answer.annotations.isEmpty)
                let info = "/var/run/k8s.cni.cncf.io/devinfo/dp/sluice.local-pods-\(id)-device.json"
                let text = try String(contentsOfFile: info, encoding: .utf8)
                #expect(text.contains(#""pci-address":"\#(id)""#) && text.contains(#""version":"1.1.0""#), "\(text)")
                #expect(try lease(id)?.consumer == "allocation:\(resource)")
                let pod = try Pod("plugged")
                let configuration = try Pod.configuration([
                    "deviceID": id, "vlan": 100, "mac": "02:00:00:00:07:01",
                ])
                _ = try pod.add(configuration)
                #expect(try lease(id)?.consumer.hasPrefix("namespace:\(pod.path)@") ?? false)
                try pod.delete(configuration)
                #expect(try lease(id)?.consumer == "allocation:\(resource)" && lease(id)?.state == "active")
                // A second interface of the same pod, as after its sandbox has crashed; then it is another pod's.
                _ = try pod.add(configuration)
                try pod.delete(configuration)
                let before = try lease(id)?.id
                _ = try await kubelet.allocate([id], of: resource)
                #expect(try lease(id)?.id != before)
                #expect(kubelet.resources[resource]?.devices[id]?.isHealthy == true)
                await #expect(throws: RPCError.self) { try await kubelet.allocate(["0000:ff:00.0"], of: resource) }
                await #expect(throws: RPCError.self) { try await kubelet.allocate([ids[0], ids[0]], of: resource) }
                #expect(try PodHost.leases().count == 1)
            }
            _ = try agent.stop()
        }
    }
}
