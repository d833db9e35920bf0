import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

@testable import Kubernetes
@testable import Leasing

@Suite("Which devices the kubelet is told are healthy")
struct DeviceHealthTests {
    private let pods = Consumer(.allocation, "sluice.local/pods")
    private let holder = Holder(.process(pid: 4711, command: "dpdk"), through: "/dev/vfio/7")

    /// A VF of a pool for pods, on a port with a carrier.
    private func member() throws -> Pool.Member {
        let text = """
            physicalFunctions: [{ match: { netdev: ens10 }, virtualFunctions: 1, driver: kernel }]
            pools: { pods: { for: kubernetes, functions: [{ physicalFunction: ens10 }] } }
            """
        let pools = try PoolSet.lab(text, virtualFunctions: 1)
        var member = try #require(pools.allMembers.first)
        member.port?.link?.flags.insert(.up)
        member.port?.link?.state = .up
        return member
    }

    private func problem(_ member: Pool.Member, _ occupation: Placement.Occupation? = nil) -> String? {
        PluginDevice(member, occupation, of: pods, hasTopology: true).problem
    }

    private func lease(_ member: Pool.Member, _ consumer: Consumer, _ state: LeaseState = .active) -> Lease {
        var lease = Lease(
            id: "7Q4M2K", function: member.identity, address: member.function.pci.address, name: "ens10 vf 0",
            pool: nil,
            consumer: consumer, time: 0)
        lease.state = state
        return lease
    }

    @Test("A free one is while its port has a carrier and it has its driver")
    func free() throws {
        let member = try member()
        #expect(problem(member) == nil)
        var changed = member
        changed.port?.link?.state = .down
        #expect(problem(changed) == "its port ens10 has no carrier")
        changed.port?.link?.flags.remove(.up)
        #expect(problem(changed) == "its port ens10 is down")
        changed = member
        changed.function.pci.driver = nil
        #expect(problem(changed) == "it has no driver")
        changed.driver = .vfio("vfio-pci")
        changed.function.pci.driver = "igbvf"
        #expect(problem(changed) == "its driver is igbvf, not vfio-pci")
        #expect(problem(member, .foreign([holder]))?.contains("dpdk (pid 4711") ?? false)
    }

    @Test("What a pod has is, whatever its port's carrier does; on its way its driver may be away")
    func allocated() throws {
        var member = try member()
        member.port?.link?.state = .down
        #expect(problem(member, .lease(lease(member, pods))) == nil)
        member.function.pci.driver = nil
        #expect(problem(member, .lease(lease(member, pods))) == "it has no driver")
        for state in [LeaseState.preparing, .scrubbing] {
            #expect(problem(member, .lease(lease(member, pods, state))) == nil)
        }
        member = try self.member()
        var interface = lease(member, Consumer(.namespace, "/run/netns/a", generation: 1))
        #expect(problem(member, .lease(interface)) == "lease 7Q4M2K of namespace:/run/netns/a@1")
        interface.returnsTo = pods
        #expect(problem(member, .lease(interface)) == nil)
        // Another resource's pods' are not this one's.
        interface.returnsTo = Consumer(.allocation, "example.com/other")
        #expect(problem(member, .lease(interface)) != nil)
    }

    @Test("What is quarantined, lost or not let go of is not, nor what is somebody else's")
    func held() throws {
        let member = try member()
        var quarantined = lease(member, pods, .quarantined)
        quarantined.reason = "it has no reset"
        #expect(problem(member, .lease(quarantined)) == "quarantined: it has no reset")
        #expect(problem(member, .lease(lease(member, pods, .lost))) == "lost: lease 7Q4M2K")
        var releasing = lease(member, pods, .releasing)
        #expect(problem(member, .lease(releasing)) == nil)
        releasing.reason = "still used by dpdk"
        #expect(problem(member, .lease(releasing)) == "still used by dpdk")
        #expect(problem(member, .lease(lease(member, Consumer(.person, "alice")))) == "lease 7Q4M2K of person:alice")
        #expect(problem(member, .promised) != nil)
    }

    @Test("A port that is being set up has what it had, but for what others use")
    func maintained() throws {
        var member = try member()
        member.function.pci.driver = nil
        #expect(problem(member, .maintained) == nil)
        member.function.holders = [holder]
        #expect(problem(member, .maintained)?.contains("4711") ?? false)
    }

    @Test(
        "The last list that the kubelet gets is the newest one, also where others have it told again at the same time")
    func newest() async throws {
        let member = try member()
        let list = try ResourceList(#"{"resourceList":[{"resourceName":"r"}]}"#, prefix: "intel.com")
        let resource = NodeResource(try #require(list.resources.first), [(member, nil)])
        let server = ResourceServer(resource, devices: [], socket: "/nowhere")
        let (lists, end) = server.watch()
        defer { end() }
        var iterator = lists.makeAsyncIterator()
        for round in 0..<5000 {
            let teller = Task.detached { while !Task.isCancelled { server.tellAgain() } }
            var devices: [PluginDevice] = []
            for number in 0..<20 {
                var device = PluginDevice(member, nil, of: pods, hasTopology: false)
                device.problem = "\(round) \(number)"
                devices = [device]
                _ = server.update(resource, devices)
            }
            teller.cancel()
            await teller.value
            try #require(await iterator.next() == devices)
        }
    }
}
