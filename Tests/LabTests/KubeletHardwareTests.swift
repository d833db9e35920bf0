import AgentAPI
import GRPCCore
import Leasing
import PCI
import SRIOV
import SluiceTesting
import Testing

extension LabSuite.KubeletTests {
    @Test(
        "VFs of a port without a cable, and one without a driver, are told unhealthy, and healthy when that is mended")
    func unhealthy() async throws {
        let agent = try agent(PodHost.file(virtualFunctions: 2, ports: 2).replacing(", driver: kernel", with: ""))
        let (resource, kubelet) = (resource, FakeKubelet(in: folder, .registry))
        try await kubelet.run { kubelet in
            let ids = try await devices(kubelet, 4)
            // A pod keeps the one that it has: a kubelet that is started anew would end the pod.
            _ = try await kubelet.allocate([ids[0]], of: resource)
            try Lab.machine("set_link card0 off")
            try Lab.wait(for: "the carrier's loss") { try LiveFileTree().text("/sys/class/net/ens10/carrier") == "0" }
            try await expectTold(kubelet, unhealthy: [ids[1]])
            try Lab.wait(for: "the log") {
                agent.command.errorSoFar.contains("\(ids[1]) is unhealthy: its port ens10 has no carrier")
            }
            let refusal = await #expect(throws: RPCError.self) {
                try await kubelet.allocate([ids[1]], of: resource)
            }
            #expect(refusal?.message.contains("its port ens10 has no carrier") ?? false, "\(refusal?.message ?? "")")
            #expect(try await kubelet.preferred(1, of: Array(ids.dropFirst()), resource).first != ids[1])
            try Lab.machine("set_link card0 on")
            try await expectTold(kubelet, unhealthy: [])

            let driver = "/sys/bus/pci/drivers/igbvf"
            try Lab.write(ids[3], to: "\(driver)/unbind")
            try await expectTold(kubelet, unhealthy: [ids[3]])
            try Lab.wait(for: "the log") {
                agent.command.errorSoFar.contains("\(ids[3]) is unhealthy: it has no driver")
            }
            try Lab.write(ids[3], to: "\(driver)/bind")
            try await expectTold(kubelet, unhealthy: [])
        }
        _ = try agent.stop()
    }

    @Test("A card that is pulled takes its VFs along, also a pod's; when it is back they are the kubelet's again")
    func cardPulled() async throws {
        let agent = try agent(PodHost.file(virtualFunctions: 3, ports: 2))
        let (resource, kubelet) = (resource, FakeKubelet(in: folder, .registry))
        try await kubelet.run { kubelet in
            let ids = try await devices(kubelet, 6)
            _ = try await kubelet.allocate([ids[0]], of: resource)
            _ = try await kubelet.allocate([ids[1]], of: resource)
            _ = try await kubelet.allocate([ids[2]], of: resource)
            kubelet.setPods([("demo", "has", "app", resource, [ids[0]]), ("demo", "waits", "app", resource, [ids[1]])])
            let (pod, waiting) = (try Pod("card"), try Pod("waits"))
            let configuration = try Pod.configuration(["deviceID": ids[0], "vlan": 100])
            let second = try Pod.configuration(["deviceID": ids[1], "vlan": 100])
            _ = try pod.add(configuration)
            try Lab.machine("device_del card0")
            try Lab.wait(for: "the card's end") { try LiveFileTree().entries("/sys/class/net/ens10") == nil }
            let isGone = await kubelet.wait { resources in
                let devices = resources[resource]?.devices ?? [:]
                return ids[..<3].allSatisfy { devices[$0]?.isHealthy != true }
                    && ids[3...].allSatisfy { devices[$0]?.isHealthy == true }
            }
            #expect(isGone, "\(kubelet.resources)")
            try Lab.wait(for: "the loss of what was given") {
                try ids[..<3].allSatisfy { try lease($0)?.state == "lost" }
            }
            // A pod of sriov-cni's, which had an allocation too, and one of this program's: both can go all the same.
            let former = "/var/lib/cni/sriov"
            defer { _ = try? Lab.run(["rm", "-rf", former]) }
            let record = try Pod.configuration(["deviceID": ids[2], "vlan": 5], network: "former")
            try Lab.run(["sh", "-c", "mkdir -p \(former)/pci; echo '\(record)' >\(former)/container-former-net1"])
            try Pod.delete(record, container: "container-former")
            #expect(try LiveFileTree().entries(former) == ["pci"] && lease(ids[2]) == nil)
            try pod.delete(configuration)
            kubelet.setPods([("demo", "waits", "app", resource, [ids[1]])])
            #expect(try lease(ids[0]) == nil)
            try Lab.wait(for: "the slot") { try LiveFileTree().text("/sys/bus/pci/slots/10/power") == "0" }
            try Lab.machine("device_add igb,id=card0,netdev=net0,bus=port0,mac=02:5c:00:00:00:00")
            try Lab.wait(for: "its VFs") { try LiveFileTree().entries("/sys/bus/pci/drivers/igbvf/\(ids[1])") != nil }
            #expect(try await devices(kubelet, 6) == ids)
            // The pod that had none yet gets it now.
            try Lab.wait(for: "its allocation") { try lease(ids[1])?.state == "active" }
            _ = try waiting.add(second)
            try waiting.delete(second)
            _ = try await kubelet.allocate([ids[0]], of: resource)
            _ = try pod.add(configuration)
            try pod.delete(configuration)
        }
        _ = try agent.stop()
    }

    /// Waits until the kubelet is told that just some devices are unhealthy.
    private func expectTold(
        _ kubelet: FakeKubelet, unhealthy ids: [String], _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let (resource, start) = (resource, ContinuousClock.now)
        let isTold = await kubelet.wait {
            $0[resource]?.devices.filter { !$0.value.isHealthy }.keys.sorted() == ids
        }
        #expect(isTold, "\(kubelet.resources)", sourceLocation: location)
        print("The kubelet knows of \(ids.count) unhealthy devices after \(start.duration(to: .now))")
    }
}
