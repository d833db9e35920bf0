import AgentAPI
import Foundation
import GRPCCore
import Glibc
import KubeletAPI
import Leasing
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

extension LabSuite {
    @Suite(
        "Kubelet: the device plugin", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct KubeletTests {
        let resource = "sluice.local/pods"
        let folder = "/tmp/kubelet"

        init() throws {
            try PodHost.reset()
            try Lab.run(["rm", "-rf", "/tmp/kubelet", "/var/run/k8s.cni.cncf.io"])
        }

        func agent(_ file: String = PodHost.file) throws -> AgentProcess {
            try AgentProcess(file, arguments: ["--kubelet", folder])
        }

        /// Waits until a resource has so many devices, all of them healthy.
        func devices(_ kubelet: FakeKubelet, _ count: Int) async throws -> [String] {
            let resource = resource
            let isSo = await kubelet.wait { $0[resource]?.devices.values.count(where: \.isHealthy) == count }
            try #require(isSo, "\(kubelet.resources)")
            return try #require(kubelet.resources[resource]?.devices.keys.sorted())
        }

        func lease(_ address: String) throws -> LeaseView? {
            try PodHost.leases().first { $0.address == address }
        }

        @Test(
            "A pod's VF: listed, allocated, taken by its interface, given back, and the next pod's after a reset",
            arguments: Lab.isSoak ? [FakeKubelet.Discovery.registry, .register] : [.registry])
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
                let members = [#""pci-address":"\#(id)""#, #""pf-pci-address":"0000:41:00.0""#, #""version":"1.1.0""#]
                #expect(members.allSatisfy(text.contains), "\(text)")
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
                // Also one after the other: what was seen of it while it was bound anew is no fault of its.
                for _ in 0..<4 { _ = try await kubelet.allocate([id], of: resource) }
                #expect(try lease(id)?.id != before)
                #expect(kubelet.resources[resource]?.devices[id]?.isHealthy == true)
                await #expect(throws: RPCError.self) { try await kubelet.allocate(["0000:ff:00.0"], of: resource) }
                await #expect(throws: RPCError.self) { try await kubelet.allocate([ids[0], ids[0]], of: resource) }
                #expect(try PodHost.leases().count == 1)
            }
            _ = try agent.stop()
        }

        @Test("A VF whose driver nobody declares has one again after every allocation and pod")
        func undeclared() async throws {
            let agent = try agent(PodHost.file.replacing(", driver: kernel", with: ""))
            let (resource, kubelet) = (resource, FakeKubelet(in: folder, .registry))
            try await kubelet.run { kubelet in
                let id = try await devices(kubelet, 4)[0]
                func driver() throws -> String? { try LiveFileTree().linkName("/sys/bus/pci/devices/\(id)/driver") }
                let pod = try Pod("undeclared")
                let configuration = try Pod.configuration(["deviceID": id], isAddressed: false)
                // The second time it was another pod's.
                for _ in 0..<2 {
                    _ = try await kubelet.allocate([id], of: resource)
                    _ = try pod.add(configuration)
                    try pod.delete(configuration)
                    #expect(try driver() == "igbvf")
                }
                let allocation = try #require(try lease(id))
                _ = try agent.release(allocation.id)
                try Lab.wait(for: "it is free") { try lease(id) == nil }
                #expect(try driver() == "igbvf")
                _ = try await devices(kubelet, 4)
            }
            _ = try agent.stop()
        }

        @Test("VFs that come, go, or are somebody else's are told of; a pod is refused one that is")
        func changes() async throws {
            let agent = try agent(PodHost.file.replacing("driver: kernel", with: "driver: vfio-pci"))
            let (resource, kubelet) = (resource, FakeKubelet(in: folder, .registry))
            try await kubelet.run { kubelet in
                let ids = try await devices(kubelet, 4)
                let answer = try await kubelet.allocate([ids[0], ids[1]], of: resource)
                #expect(answer.envs["PCIDEVICE_SLUICE_LOCAL_PODS"] == "\(ids[0]),\(ids[1])")
                let groups = try ids.map { id in
                    let function = try PCIReader(files: LiveFileTree()).function(Lab.address(id))
                    return "/dev/vfio/\(try #require(function?.iommuGroup))"
                }
                #expect(answer.devices.map(\.hostPath) == ["/dev/vfio/vfio", groups[0], groups[1]])
                #expect(answer.devices.allSatisfy { $0.permissions == "rw" && $0.containerPath == $0.hostPath })
                let info = answer.envs["PCIDEVICE_SLUICE_LOCAL_PODS_INFO"] ?? ""
                let vfio = #""vfio":{"dev-mount":"\#(groups[0])","mount":"/dev/vfio/vfio"}"#
                #expect(info.contains(vfio), "\(info)")

                // A program of the pod's has its VF, and one of nobody's another.
                let own = try VFIODevice(Lab.address(ids[0]))
                let foreign = try VFIODevice(Lab.address(ids[2]))
                let opened = ContinuousClock.now
                let isTold = await kubelet.wait { $0[resource]?.devices[ids[2]]?.isHealthy == false }
                print("The kubelet knows of a held VF after \(opened.duration(to: .now))")
                #expect(isTold && kubelet.resources[resource]?.devices[ids[0]]?.isHealthy == true)
                let refusal = await #expect(throws: RPCError.self) {
                    try await kubelet.allocate([ids[3], ids[2]], of: resource)
                }
                #expect(refusal?.message.contains("ens10 vf 2 (\(ids[2])) cannot be given to a pod") ?? false)
                // Nor is it taken from the pod, whatever the kubelet believes; and nothing is left of what was refused.
                let held = await #expect(throws: RPCError.self) {
                    try await kubelet.allocate([ids[0]], of: resource)
                }
                #expect(
                    held?.message.contains("ens10 vf 0 is still used by sluicePackageTe") ?? false,
                    "\(held?.message ?? "")")
                #expect(try PodHost.leases().map(\.address).sorted() == [ids[0], ids[1]])
                foreign.close()
                own.close()
                _ = try await devices(kubelet, 4)
                // One that cannot be reset.
                let methods = "/sys/bus/pci/devices/\(ids[1])/reset_method"
                try Lab.write("\n", to: methods)
                defer { try? Lab.write("default", to: methods) }
                let broken = try agent.release(try #require(try lease(ids[1])).id)
                #expect(broken.state == "quarantined")
                let isKept = await kubelet.wait { $0[resource]?.devices[ids[1]]?.isHealthy == false }
                let leases = try PodHost.leases()
                #expect(isKept, "\(kubelet.resources), \(leases)")
                #expect(kubelet.resources[resource]?.devices[ids[0]]?.isHealthy == true)
                try Lab.write("default", to: methods)
                #expect(try Lab.sluice("lease", "repair", broken.id).status == 0)
                _ = try await devices(kubelet, 4)

                // The host file is the truth about how many there are.
                _ = try await kubelet.allocate([ids[0]], of: resource)
                _ = try PodHost.leases().map { lease in try agent.release(lease.id) }
                try Lab.wait(for: "all free") { try PodHost.leases().isEmpty }
                let more = PodHost.file(virtualFunctions: 6, ports: 1)
                _ = try Lab.file("agent-\(getpid()).yaml", more)
                agent.command.kill(SIGHUP)
                try Lab.wait(for: "the sixth VF") {
                    try LiveFileTree().linkName("/sys/class/net/ens10/device/virtfn5/driver") == "igbvf"
                }
                let made = ContinuousClock.now
                _ = try await devices(kubelet, 6)
                print("The kubelet knows of new VFs after \(made.duration(to: .now))")
                _ = try Lab.file("agent-\(getpid()).yaml", more.replacing("for: kubernetes", with: "for: any"))
                agent.command.kill(SIGHUP)
                let isGone = await kubelet.wait { $0[resource]?.isConnected == false }
                #expect(isGone, "\(kubelet.resources)")
            }
            _ = try agent.stop()
        }

        @Test(
            "What is allocated outlives the agent, killed, and the kubelet; both find each other again",
            arguments: Lab.isSoak ? [FakeKubelet.Discovery.registry, .register] : [.register])
        func restarts(_ discovery: FakeKubelet.Discovery) async throws {
            let agent = try agent()
            let (resource, kubelet) = (resource, FakeKubelet(in: folder, discovery))
            let id = try "\(#require(PodHost.functions().last))"
            let info = "/var/run/k8s.cni.cncf.io/devinfo/dp/sluice.local-pods-\(id)-device.json"
            let pod = try Pod("stays")
            let configuration = try Pod.configuration(["deviceID": id, "vlan": 100])
            try await kubelet.run { kubelet in
                _ = try await devices(kubelet, 4)
                _ = try await kubelet.allocate([id], of: resource)
                _ = try pod.add(configuration)
                let before = kubelet.registrationCount
                agent.command.kill(SIGKILL)
                let isGone = await kubelet.wait { $0[resource]?.isConnected == false }
                #expect(isGone)
                let gone = ContinuousClock.now
                try agent.restartAfterCrash()
                let isBack = await kubelet.wait { _ in kubelet.registrationCount > before }
                #expect(isBack)
                _ = try await devices(kubelet, 4)
                print("The kubelet has its devices again \(gone.duration(to: .now)) after the agent was killed")
                #expect(try LiveFileTree().text(info) != nil)
            }
            try await kubelet.run { kubelet in
                _ = try await devices(kubelet, 4)
                try pod.delete(configuration)
                #expect(try lease(id)?.consumer == "allocation:\(resource)")
                #expect(try LiveFileTree().text(info) != nil)
            }
            _ = try agent.stop()
        }

        @Test("The kubelet says whose devices are, also from before the agent, and when nobody has them any more")
        func pods() async throws {
            let (resource, kubelet) = (resource, FakeKubelet(in: folder, .registry))
            var agent = try agent()
            let ids = try PodHost.functions().map { "\($0)" }
            _ = try agent.stop()
            // Given by others while there was no agent.
            let pod = try Pod("before")
            let link = try #require(try Lab.host()[Lab.address(ids[3])]?.link?.name)
            try Lab.run(["ip", "link", "set", link, "netns", pod.name])
            kubelet.setPods([("demo", "old", "app", resource, [ids[3]])])
            try await kubelet.run { kubelet in
                agent = try self.agent()
                _ = try await devices(kubelet, 4)
                #expect(try lease(ids[3])?.pod == "demo/old")
                let info = "/var/run/k8s.cni.cncf.io/devinfo/dp/sluice.local-pods-\(ids[3])-device.json"
                try Lab.wait(for: info) { try LiveFileTree().text(info) != nil }
                _ = try await kubelet.allocate([ids[1]], of: resource)
                _ = try await kubelet.allocate([ids[0]], of: resource)
                kubelet.setPods([("demo", "web-7f9", "app", resource, [ids[1]])])
                // A network's configuration that names a device itself does not get another pod's, though nobody has told yet
                // whose it is.
                let thief = try Pod("thief")
                let fixed = try Pod.configuration(["deviceID": ids[1]])
                let refusal = try thief.call("ADD", fixed, arguments: "K8S_POD_NAMESPACE=demo;K8S_POD_NAME=thief")
                let details = "\(refusal.object["details"] ?? "")"
                #expect(refusal.code == 11 && details.contains("for pod demo/web-7f9"), "\(refusal)")
                // The one whose pod has ended stays down until a list makes the kubelet write its record anew.
                kubelet.writeCheckpoint([(resource, [ids[0], ids[3]])])
                kubelet.recordNext([(resource, [ids[0]])])
                try Lab.wait(for: "the pod's name") { try lease(ids[1])?.pod == "demo/web-7f9" }
                #expect(try Lab.sluice("lease", "list").output.contains("pod demo/web-7f9"))
                #expect(try Lab.sluice("topology").output.contains("pod demo/web-7f9"))
                let none = "physicalFunctions: [{ match: { netdev: ens10 }, virtualFunctions: 0 }]\n"
                let plan = try Lab.sluice("plan", "-f", try Lab.file("none.yaml", none))
                #expect("\(plan)".contains("kubectl delete pod -n demo web-7f9"), "\(plan)")
                // The one that is not named any more stays with whoever has its interface, until that is over; and what
                // is named stays.
                try Lab.wait(for: "the end of the allocation") {
                    try lease(ids[3]).map { $0.state == "releasing" } ?? true
                }
                try Lab.run(["ip", "-n", pod.name, "link", "set", link, "netns", "1"])
                try Lab.wait(for: "it is free") { try lease(ids[3]) == nil }
                try Lab.wait(for: "its file's end") { try LiveFileTree().text(info) == nil }
                #expect(try lease(ids[1])?.state == "active")
                // The kubelet has it down, though it does not name a pod that has it.
                #expect(try lease(ids[0])?.state == "active")
            }
            _ = try agent.stop()
        }

        @Test("Of what is free those of one node are preferred, spread over its ports, or with what must be among them")
        func preferred() async throws {
            let agent = try agent(PodHost.file(virtualFunctions: 2, ports: 4))
            let (resource, kubelet) = (resource, FakeKubelet(in: folder, .registry))
            try await kubelet.run { kubelet in
                let ids = try await devices(kubelet, 8)
                let nodes = try #require(kubelet.resources[resource]).devices.mapValues(\.node)
                #expect(Set(nodes.values) == [0, 1])
                let two = try await kubelet.preferred(2, of: ids, resource)
                #expect(Set(two.map { nodes[$0] }).count == 1 && Set(two.map { $0.prefix(7) }).count == 2, "\(two)")
                let far = try #require(ids.last { nodes[$0] == 1 })
                let withFar = try await kubelet.preferred(3, of: ids, with: [far], resource)
                #expect(withFar.contains(far) && withFar.allSatisfy { nodes[$0] == 1 }, "\(withFar)")
                // More than a node has is had from both.
                #expect(try await Set(kubelet.preferred(6, of: ids, resource)).count == 6)
                #expect(try await kubelet.preferred(1, of: [ids[5]], resource) == [ids[5]])
                for (count, some, required) in [(3, [ids[0]], []), (1, [ids[0]], [ids[1]]), (-1, ids, [])] {
                    await #expect(throws: RPCError.self) {
                        try await kubelet.preferred(count, of: some, with: required, resource)
                    }
                }
            }
            _ = try agent.stop()
        }

        @Test("A kubelet that refuses is told of by name, and asked again")
        func refused() async throws {
            let agent = try agent()
            let kubelet = FakeKubelet(in: folder, .register)
            kubelet.refuse("the resource is registered by another plugin")
            try await kubelet.run { kubelet in
                try Lab.wait(for: "the refusal") {
                    agent.command.errorSoFar.contains("the kubelet does not take sluice.local/pods")
                }
                #expect(agent.command.errorSoFar.contains("the resource is registered by another plugin"))
                kubelet.refuse(nil)
                _ = try await devices(kubelet, 4)
            }
            _ = try agent.stop()
        }

        @Test(
            "A list of resources is used as it is, and again when its ConfigMap changes; with mistakes it changes nothing"
        )
        func list() async throws {
            try Lab.run(["rm", "-rf", "/tmp/pcidp"])
            try Lab.run(["mkdir", "-p", "/tmp/pcidp/..1", "/tmp/pcidp/..2", "/tmp/pcidp/..3"])
            func write(_ number: Int, _ text: String) throws {
                try text.write(toFile: "/tmp/pcidp/..\(number)/config.json", atomically: false, encoding: .utf8)
            }
            // As the kubelet makes the files of a ConfigMap: links by way of a folder that is exchanged.
            func publish(_ number: Int) throws {
                try Lab.run(["ln", "-sfn", "..\(number)", "/tmp/pcidp/..data_tmp"])
                try Lab.run(["mv", "-T", "/tmp/pcidp/..data_tmp", "/tmp/pcidp/..data"])
            }
            try write(
                1,
                #"""
                {"resourceList":[
                  {"resourceName":"sriov_net","selectors":{"vendors":["8086"],"pfNames":["ens10#0-1"]},
                   "additionalInfo":{"*":{"token":"t"}}},
                  {"resourceName":"rest","resourcePrefix":"example.com","selectors":[{"drivers":["igbvf"]}],
                   "excludeTopology":true}]}
                """#)
            try write(2, #"{"resourceList":[{"resourceName":"sriov_net","selectors":{"pfNames":["ens10"]}}]}"#)
            try write(3, #"{"resourceList":["#)
            try publish(1)
            try Lab.run(["ln", "-s", "..data/config.json", "/tmp/pcidp/config.json"])
            let file = PodHost.file.split(separator: "\n").filter { !$0.contains("pods:") && $0 != "pools:" }
            let agent = try AgentProcess(
                file.joined(separator: "\n"),
                arguments: [
                    "--kubelet", folder, "--resource-list", "/tmp/pcidp/config.json", "--resource-prefix",
                    "example.org",
                ])
            let kubelet = FakeKubelet(in: folder, .registry)
            try await kubelet.run { kubelet in
                @Sendable func counts() -> [String: Int] {
                    kubelet.resources.filter(\.value.isConnected).mapValues(\.devices.count)
                }
                let isTold = await kubelet.wait { _ in counts() == ["example.org/sriov_net": 2, "example.com/rest": 2] }
                try #require(isTold, "\(kubelet.resources)")
                #expect(kubelet.resources["example.com/rest"]?.devices.values.allSatisfy { $0.node == nil } ?? false)
                let id = try #require(kubelet.resources["example.org/sriov_net"]?.devices.keys.min())
                let answer = try await kubelet.allocate([id], of: "example.org/sriov_net")
                #expect(answer.envs["PCIDEVICE_EXAMPLE_ORG_SRIOV_NET"] == id)
                #expect(
                    answer.envs["PCIDEVICE_EXAMPLE_ORG_SRIOV_NET_INFO"]?.contains(#""extraInfo":{"token":"t"}"#)
                        ?? false)
                #expect(try lease(id)?.consumer == "allocation:example.org/sriov_net")
                try publish(2)
                let isChanged = await kubelet.wait { _ in counts() == ["example.org/sriov_net": 4] }
                #expect(isChanged, "\(kubelet.resources)")
                try publish(3)
                try Lab.wait(for: "the mistake") {
                    agent.command.errorSoFar.contains("/tmp/pcidp/config.json is not taken over: it is no JSON")
                }
                #expect(counts() == ["example.org/sriov_net": 4])
            }
            _ = try agent.stop()
        }

        @Test("With CDI the runtime gets the nodes by name, and what the names mean is written before")
        func cdi() async throws {
            try Lab.run(["rm", "-rf", "/var/run/cdi"])
            let agent = try AgentProcess(
                PodHost.file.replacing("driver: kernel", with: "driver: vfio-pci"),
                arguments: ["--kubelet", folder, "--use-cdi"])
            let kubelet = FakeKubelet(in: folder, .registry)
            let path = "/var/run/cdi/sriov-dp-net-pci-sluice.local_pods.json"
            try await kubelet.run { kubelet in
                let ids = try await devices(kubelet, 4)
                let answer = try await kubelet.allocate([ids[1], ids[0]], of: resource)
                let names = [ids[1], ids[0]].map { "sluice.local/net-pci=\($0)" }
                #expect(answer.cdiDevices.map(\.name) == names && answer.devices.isEmpty)
                #expect(answer.annotations.keys.allSatisfy { $0.hasPrefix("cdi.k8s.io/sluice_pods-") })
                #expect(answer.annotations.values.map(\.self) == [names.joined(separator: ",")])
                let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
                let object = try #require(JSONSerialization.jsonObject(with: bytes) as? [String: Any])
                #expect(
                    object["kind"] as? String == "sluice.local/net-pci" && object["cdiVersion"] as? String == "0.5.0")
                let listed = (object["devices"] as? [[String: Any]])?.compactMap { $0["name"] as? String }
                #expect(listed == ids)
                let function = try PCIReader(files: LiveFileTree()).function(Lab.address(ids[0]))
                let group = try #require(function?.iommuGroup)
                #expect(String(decoding: bytes, as: UTF8.self).contains(#""hostPath":"/dev/vfio/\#(group)""#))
                // A real runtime gives a container the nodes of what it names, and of nothing else.
                let container = try Container()
                let seen = try container.run(
                    devices: [names[1]], "ls /dev/vfio && exec 3<>/dev/vfio/\(group) && echo opened")
                #expect(seen.output.split(separator: "\n") == ["\(group)", "vfio", "opened"], "\(seen)")
                let unknown = try container.run(devices: ["sluice.local/net-pci=0000:ff:00.0"], "true")
                #expect(unknown.status != 0 && unknown.error.contains("unresolvable CDI devices"), "\(unknown)")
            }
            try Lab.run(["rm", path])
            _ = try agent.stop()
            // Containers that are started anew after a reboot need it too.
            try agent.start()
            try Lab.wait(for: path) { try LiveFileTree().text(path) != nil }
            _ = try agent.stop()
        }
    }
}
