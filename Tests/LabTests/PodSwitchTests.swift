import AgentAPI
import Foundation
import KubeletAPI
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

extension LabSuite {
    @Suite(
        "Pods: in the place of sriov-network-device-plugin and sriov-cni", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct PodSwitchTests {
        init() throws {
            try PodHost.reset()
            try Lab.run(["rm", "-rf", "/tmp/kubelet", "/tmp/cni-bin"])
        }

        @Test("A node's list of resources and its network's configuration are used as they are")
        func switched() async throws {
            // As guides have it; that the original ignores two of the keys it never said.
            let list = try Lab.file(
                "pcidp.json",
                #"""
                {"resourceList":[{"resourceName":"eth0",
                  "selectors":{"drivers":["igbvf"],"vendor":["8086"],"device":["10ca"]}}]}
                """#)
            let agent = try AgentProcess(
                "physicalFunctions: [{ match: { netdev: ens10 }, virtualFunctions: 4, driver: kernel }]\n",
                arguments: ["--kubelet", "/tmp/kubelet", "--resource-list", list])
            try Lab.run(["mkdir", "/tmp/cni-bin"])
            defer { _ = try? Lab.run(["rm", "-rf", "/tmp/cni-bin"]) }
            let plugin = try Command(["sh", "-c", "command -v sluice-cni"]).finish().output.split(separator: "\n")
            let installed = try Lab.sluice(
                "k8s", "install-cni", "--to", "/tmp/cni-bin", "--replace-sriov-cni", "--from",
                String(try #require(plugin.first)))
            #expect(installed.status == 0, "\(installed)")
            try await FakeKubelet(in: "/tmp/kubelet", .registry).run { kubelet in
                let isTold = await kubelet.wait {
                    $0["intel.com/eth0"]?.devices.values.count(where: \.isHealthy) == 4
                }
                try #require(isTold, "\(kubelet.resources)")
                for key in ["vendor", "device"] { #expect(agent.command.errorSoFar.contains("\"\(key)\" is no key")) }
                let device = try #require(kubelet.resources["intel.com/eth0"]?.devices.keys.sorted().last)
                let answer = try await kubelet.allocate([device], of: "intel.com/eth0")
                #expect(answer.envs["PCIDEVICE_INTEL_COM_ETH0"] == device)
                // multus says which device it is.
                let configuration = """
                    {"type":"sriov","cniVersion":"0.3.1","name":"sriov-network","deviceID":"\(device)","vlan":0,\
                    "logLevel":"info",\
                    "ipam":{"type":"host-local","subnet":"10.8.0.0/24","dataDir":"/tmp/cni-addresses"}}
                    """
                let pod = try Pod("switched")
                for command in ["ADD", "DEL"] {
                    let file = try Lab.file("sriov.json", configuration)
                    let result = try Command([
                        "env", "CNI_COMMAND=\(command)", "CNI_CONTAINERID=c", "CNI_NETNS=\(pod.path)",
                        "CNI_IFNAME=net1", "CNI_PATH=/tmp/cni-bin:/usr/lib/cni", "sh", "-c",
                        "exec /tmp/cni-bin/sriov <\(file)",
                    ]).finish()
                    #expect(result.status == 0, "\(command): \(result)")
                    #expect(
                        try pod.run("ip", "link", "show", "net1").status == (command == "ADD" ? 0 : 1), "\(command)")
                    let address = try pod.run("ip", "-o", "address", "show", "net1").output
                    #expect(address.contains("10.8.0.2/24") == (command == "ADD"), "\(command): \(address)")
                }
                let allocated = try #require(try PodHost.leases().first)
                #expect(allocated.consumer == "allocation:intel.com/eth0")
                _ = try agent.release(allocated.id)
            }
            try PodHost.expectClean()
            _ = try agent.stop()
        }

        @Test(
            "What sriov-cni has given pods comes back clean: netdevs, VFIO's, of namespaces that are gone; not another pod's"
        )
        func former() throws {
            let agent = try AgentProcess(
                PodHost.file(virtualFunctions: 3, ports: 2).replacing(
                    "ens11 }, virtualFunctions: 3, driver: kernel",
                    with: "ens11 }, virtualFunctions: 3, driver: vfio-pci"))
            try Lab.settle()
            let addresses = try PodHost.functions()
            let dpdk = try #require(try PodHost.functions(ports: 2).last)
            let folder = "/var/lib/cni/sriov"
            try Lab.run(["mkdir", "-p", "\(folder)/pci"])
            defer { _ = try? Lab.run(["rm", "-rf", folder]) }
            /// As sriov-cni 2.9 leaves things.
            func give(_ address: PCIAddress, _ vf: String, to pod: Pod, movesNetdev: Bool = true) throws -> String {
                let configuration = try Pod.configuration(["deviceID": "\(address)", "vlan": 5], network: "former")
                try Lab.run(["sh", "-c", "ip link set \(vf) vlan 5 trust on"])
                if movesNetdev {
                    let netdev = try #require(try Lab.host()[address]?.link?.name)
                    try Lab.run(["ip", "link", "set", netdev, "netns", pod.name, "name", "net1"])
                }
                let record = try Lab.file("former.json", configuration)
                try Lab.run(["mv", record, "\(folder)/container-\(pod.name)-net1"])
                try Lab.run(["sh", "-c", "echo \(pod.path) >\(folder)/pci/\(address)"])
                return configuration
            }
            func isForgotten() throws -> Bool {
                let left = try LiveFileTree().entries("\(folder)/pci") ?? []
                return try LiveFileTree().entries(folder) == ["pci"] && left.isEmpty
            }
            let (pod, gone, program, now) = (try Pod("former"), try Pod("gone"), try Pod("dpdk"), try Pod("now"))
            try pod.delete(try give(addresses[0], "ens10 vf 0", to: pod))
            #expect(try isForgotten())
            let second = try give(addresses[1], "ens10 vf 1", to: gone)
            try Lab.run(["ip", "netns", "del", gone.name])
            try gone.delete(second)
            #expect(try isForgotten())
            try program.delete(try give(dpdk, "ens11 vf 2", to: program, movesNetdev: false))
            #expect(try isForgotten())
            let cleaned = try Lab.host()[dpdk]
            #expect(cleaned?.pci.driver == "vfio-pci" && cleaned?.settings?.vlans?.isEmpty ?? true, "\(cleaned as Any)")
            try PodHost.expectClean(of: 3)
            // Whose DEL comes after the VF has become another's.
            let others = try Pod.configuration(["deviceID": "\(addresses[2])", "vlan": 7])
            _ = try now.add(others)
            let late = try give(addresses[2], "ens10 vf 2", to: pod, movesNetdev: false)
            try Lab.run(["ip", "link", "set", "ens10", "vf", "2", "vlan", "7", "trust", "off"])
            try pod.delete(late)
            #expect(try isForgotten())
            #expect(try PodHost.leases().count == 1 && now.run("ip", "link", "show", "net1").status == 0)
            try now.delete(others)
            try PodHost.expectClean(of: 3)
            _ = try agent.stop()
        }
    }
}
