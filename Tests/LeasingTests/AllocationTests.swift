import Leasing
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

@Suite("What the kubelet has allocated, and pods' interfaces that have it meanwhile")
struct AllocationTests {
    private let pods = Consumer(.allocation, "sluice.local/tenant")
    private let namespace = Consumer(.namespace, "/proc/self/ns/net")

    private func interface(_ address: PCIAddress) -> LeaseRequest {
        var request = LeaseRequest(function: address, consumer: namespace)
        request.settings.mac = MACAddress("52:54:00:00:00:07")
        request.attachment = "cni/tenants/a/net1"
        request.takesFrom = .allocation
        return request
    }

    private func open(_ manager: LeaseManager) -> [String] {
        manager.leases.map { "\($0.consumer.kind.rawValue) \($0.state.rawValue)" }
    }

    @Test("An interface takes what the kubelet has allocated, which gets it back clean; nobody else does in between")
    func handedOver() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let address = try #require(manager.pools.pools.first?.members.first?.function.pci.address)
        let allocation = try await manager.allocate(address, for: pods, actor: "test")
        #expect(allocation.state == .active && allocation.settings.vlans == [VLAN(id: 42)])
        // Who does not say that it may take it does not.
        await #expect(throws: LeasingError.self) {
            try await manager.acquire(
                LeaseRequest(function: address, consumer: Consumer(.person, "alice")), actor: "test")
        }
        #expect(open(manager) == ["allocation active"])
        let lease = try #require(try await manager.acquire(interface(address), actor: "test").leases.first)
        #expect(lease.returnsTo == pods && open(manager) == ["namespace active"])
        #expect(throws: LeasingError.self) { try manager.lease(allocation.id) }
        // A second interface does not take it from the first.
        await #expect(throws: LeasingError.self) { try await manager.acquire(interface(address), actor: "test") }
        // Also after a restart.
        let next = try fixture.restarted(manager)
        await next.reconcile(isStart: true)
        #expect(try await next.release(lease.id, actor: "test").state == .free)
        let back = try #require(next.leases.first)
        #expect(next.leases.count == 1 && back.consumer == pods && back.state == .active && back.returnsTo == nil)
        #expect(back.id != allocation.id && back.attachment == nil)
        let settings = try #require(try HostReader(kernel: fixture.kernel).read()[address]?.settings)
        #expect(settings.mac != MACAddress("52:54:00:00:00:07") && fixture.kernel.resets(of: "ens10").first == 1)
        try await next.endAllocation(back)
        #expect(next.leases.isEmpty && fixture.kernel.resets(of: "ens10").first == 2)
        let states = try next.history(of: "ens10 vf 0").map { "\($0.consumer.kind.rawValue) \($0.to.rawValue)" }
        #expect(
            states == [
                "allocation reserved", "allocation preparing", "allocation active", "allocation free",
                "namespace reserved", "namespace preparing", "namespace active", "namespace releasing",
                "namespace scrubbing", "namespace free", "allocation reserved", "allocation preparing",
                "allocation active", "allocation releasing", "allocation scrubbing", "allocation free",
            ])
    }

    @Test("An interface that cannot be prepared leaves the function with the kubelet's allocation")
    func failed() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let address = try #require(manager.pools.pools.first?.members.first?.function.pci.address)
        try await manager.allocate(address, for: pods, actor: "test")
        var request = interface(address)
        request.settings.linkState = .disable
        await #expect(throws: LeasingError.self) { try await manager.acquire(request, actor: "test") }
        #expect(open(manager) == ["allocation active"])
        // One that is used is not taken, and stays the allocation's.
        fixture.kernel.hold(address, by: 4711)
        await #expect(throws: LeasingError.self) { try await manager.acquire(interface(address), actor: "test") }
        #expect(open(manager) == ["allocation active"])
        fixture.kernel.hold(address, by: nil)
        _ = try await manager.acquire(interface(address), actor: "test")
        #expect(open(manager) == ["namespace active"])
    }

    @Test("What somebody is just changing is waited for, not told of as somebody else's")
    func changing() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let address = try #require(manager.pools.pools.first?.members.first?.function.pci.address)
        let lease = try await manager.allocate(address, for: pods, actor: "test")
        fixture.kernel.hold(address, by: 4711)
        await withTaskGroup { tasks in
            // The kubelet's answers name its pods meanwhile.
            for number in 0..<50 {
                tasks.addTask { try? await manager.note(lease, allocatedBy: pods, pod: "demo/\(number)") }
            }
            for _ in 0..<50 {
                tasks.addTask {
                    let error = await #expect(throws: LeasingError.self) {
                        try await manager.allocate(address, for: pods, actor: "test")
                    }
                    #expect(error?.code == .stillHeld, "\(error.debugDescription)")
                }
            }
        }
    }

    @Test("What is allocated again had another pod before: it is reset, but not while somebody uses it")
    func again() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let address = try #require(manager.pools.pools.first?.members.first?.function.pci.address)
        let first = try await manager.allocate(address, for: pods, actor: "test")
        #expect(fixture.kernel.resets(of: "ens10").first == 0)
        fixture.kernel.hold(address, by: 4711)
        await #expect(throws: LeasingError.self) { try await manager.allocate(address, for: pods, actor: "test") }
        #expect(manager.leases.map(\.id) == [first.id])
        fixture.kernel.hold(address, by: nil)
        let second = try await manager.allocate(address, for: pods, actor: "test")
        #expect(second.id != first.id && manager.leases.map(\.id) == [second.id])
        #expect(fixture.kernel.resets(of: "ens10").first == 1)
        // The interface of the pod before may come late to its end: what is allocated meanwhile is so after it.
        let interface = try #require(try await manager.acquire(interface(address), actor: "test").leases.first)
        #expect(try await manager.allocate(address, for: pods, actor: "test").id == interface.id)
        // Another resource's is not taken, nor another pod's.
        let other = Consumer(.allocation, "example.com/other")
        await #expect(throws: LeasingError.self) { try await manager.allocate(address, for: other, actor: "test") }
        _ = try await manager.release(interface.id, actor: "test")
        #expect(manager.leases.map(\.consumer) == [pods])
        // With what the pool says, as it was allocated.
        let settings = try #require(try HostReader(kernel: fixture.kernel).read()[address]?.settings)
        #expect(settings.vlans == [VLAN(id: 42)] && manager.leases.first?.settings.vlans == [VLAN(id: 42)])
        let back = try #require(manager.leases.first)
        try await manager.note(back, allocatedBy: pods, pod: "demo/a")
        var request = self.interface(address)
        request.pod = "demo/b"
        let foreign = request
        await #expect(throws: LeasingError.self) { try await manager.acquire(foreign, actor: "test") }
        request.pod = "demo/a"
        #expect(try await manager.acquire(request, actor: "test").leases.first?.pod == "demo/a")
    }

    @Test("What a pod has from before is taken over as it is")
    func adopted() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let address = try #require(manager.pools.pools.first?.members.first?.function.pci.address)
        let before = try #require(try HostReader(kernel: fixture.kernel).read()[address]?.settings)
        let lease = try #require(try await manager.adopt(address, for: pods, actor: "test"))
        #expect(lease.state == .active && lease.settings.vlans == before.vlans)
        #expect(try HostReader(kernel: fixture.kernel).read()[address]?.settings == before)
    }

    @Test("An allocation that ends while an interface has the function leaves it free after that")
    func ended() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let address = try #require(manager.pools.pools.first?.members.first?.function.pci.address)
        try await manager.allocate(address, for: pods, actor: "test")
        let lease = try #require(try await manager.acquire(interface(address), actor: "test").leases.first)
        try await manager.endAllocation(lease)
        #expect(open(manager) == ["namespace active"])
        let next = try fixture.restarted(manager)
        _ = try await next.release(lease.id, actor: "test")
        #expect(next.leases.isEmpty)
    }

    @Test("A reboot ends interfaces, and leaves what is allocated")
    func reboot() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let members = try #require(manager.pools.pools.first?.members.prefix(2).map(\.function.pci.address))
        for address in members { try await manager.allocate(address, for: pods, actor: "test") }
        _ = try await manager.acquire(interface(members[0]), actor: "test")
        fixture.clock.reboot(wall: fixture.clock.now().wall + 60_000)
        let next = try fixture.restarted(manager)
        await next.reconcile(isStart: true)
        #expect(open(next) == ["allocation active", "allocation active"])
        #expect(Set(next.leases.map(\.address)) == Set(members))
    }
}
