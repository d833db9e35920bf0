import Leasing
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Synchronization
import Testing

@Suite("What is promised to a consumer, and what is cleaned without a lease")
struct PromiseTests {
    private let domain = Consumer(.domain, "1b2c3d4e-0000-4000-8000-000000000001")
    private let other = Consumer(.domain, "1b2c3d4e-0000-4000-8000-000000000002")

    private func request(_ consumer: Consumer, count: Int = 1, function: PCIAddress? = nil) -> LeaseRequest {
        var request =
            function.map { LeaseRequest(function: $0, consumer: consumer) }
            ?? LeaseRequest(pool: "tenant", consumer: consumer)
        request.count = count
        return request
    }

    @Test("What is promised to one nobody else gets, whether chosen or asked for, and the one gets it by name")
    func promised() async throws {
        let manager = try LeaseFixture().manager()
        let promised = try await manager.promise(for: request(domain, count: 27))
        #expect(Set(promised).count == 27 && manager.leases.isEmpty)
        let left = try await manager.acquire(request(other), actor: "test").leases
        #expect(left.allSatisfy { !promised.contains($0.address) })
        let first = try #require(promised.first)
        for function in [nil, first] {
            await #expect(throws: LeasingError.self) {
                try await manager.acquire(request(other, function: function), actor: "test")
            }
        }
        #expect(
            try await manager.acquire(request(domain, function: first), actor: "test").leases.map(\.address) == [first])
        manager.endPromises(to: domain)
        // What has become a lease stays one; the rest is free.
        #expect(try await manager.acquire(request(other, count: 26), actor: "test").leases.count == 26)
        await #expect(throws: LeasingError.self) { try await manager.acquire(request(other), actor: "test") }
    }

    @Test("Whoever shows what is free is told of promises, and of their end; to libvirt's networks they are free")
    func shown() async throws {
        let manager = try LeaseFixture().manager()
        let told = Mutex(0)
        manager.onPromises.withLock { $0 = { told.withLock { $0 += 1 } } }
        let address = try #require(try await manager.promise(for: request(domain)).first)
        let member = try #require(manager.pools.member(at: address))
        guard case .promised? = manager.occupiedOrPromised[member.identity] else {
            Issue.record("it is not shown as promised")
            return
        }
        // The consumer's own functions are among those that it is given an order of.
        #expect(manager.occupied[member.identity] == nil && told.withLock { $0 } == 1)
        manager.endPromises(to: domain)
        #expect(manager.occupiedOrPromised[member.identity] == nil && told.withLock { $0 } == 2)
        manager.endPromises(to: domain)
        #expect(told.withLock { $0 } == 2)
    }

    @Test("Another function is promised instead of one, but not one that somebody has")
    func exchanged() async throws {
        let manager = try LeaseFixture().manager()
        let first = try #require(try await manager.promise(for: request(domain)).first)
        let taken = try #require(try await manager.acquire(request(other), actor: "test").leases.first?.address)
        #expect(!manager.promise([taken], insteadOf: [first], to: domain))
        let free = try #require(
            manager.pools.allMembers.map(\.function.pci.address).first { $0 != first && $0 != taken })
        #expect(manager.promise([free], insteadOf: [first], to: domain))
        // The first is anybody's again, the other is not.
        #expect(try await manager.acquire(request(other, function: first), actor: "test").leases.count == 1)
        await #expect(throws: LeasingError.self) {
            try await manager.acquire(request(other, function: free), actor: "test")
        }
    }

    @Test("What is promised counts as had where a pool has a limit")
    func limit() async throws {
        let manager = try LeaseFixture(
            LeaseFixture.hostFile + "\n    limits: { leasesPerConsumer: 3 }\n    for: libvirt"
        ).manager()
        let promised = try await manager.promise(for: request(domain, count: 2))
        do throws(LeasingError) {
            _ = try await manager.promise(for: request(domain, count: 2))
            Issue.record("a limit of three has let four through")
        } catch {
            #expect(error.code == .limit && error.message.contains("is about to get 2"), "\(error)")
        }
        _ = try await manager.promise(for: request(domain))
        for function in promised {
            #expect(try await manager.acquire(request(domain, function: function), actor: "test").leases.count == 1)
        }
    }

    @Test("A function that somebody has set without a lease is cleaned, and one that is leased is not touched")
    func clean() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let lease = try #require(try await manager.acquire(request(domain), actor: "test").leases.first)
        let free = try #require(manager.pools.allMembers.map(\.function.pci.address).first { $0 != lease.address })
        for address in [lease.address, free] {
            let host = try HostReader(kernel: fixture.kernel).read()
            let function = try #require(host[address])
            let port = try #require(function.pci.physicalFunction.flatMap { host[$0]?.link })
            let index = try #require(function.index.map(UInt32.init))
            var settings = VirtualFunctionSettings()
            settings.trust = true
            try fixture.kernel.set([VirtualFunctionChange(index: index, settings: settings)], of: port.index)
            try await manager.clean(address)
        }
        let host = try HostReader(kernel: fixture.kernel).read()
        #expect(host[lease.address]?.settings?.trust == true)
        #expect(host[free]?.settings?.trust == false)
    }

    @Test("A lease of a start that was cut short ends; one whose domain starts after all does not")
    func cutShort() async throws {
        let manager = try LeaseFixture().manager()
        let lease = try #require(try await manager.acquire(request(domain), actor: "libvirt").leases.first)
        #expect(manager.unopenedDomainLeases.map(\.id) == [lease.id])
        #expect(try manager.requester(of: lease) == "libvirt")
        manager.domainLife.withLock { $0 = { _, _ in true } }
        #expect(manager.unopenedDomainLeases.isEmpty)
        try await manager.endCutShort(lease)
        #expect(manager.leases.map(\.id) == [lease.id])
        manager.domainLife.withLock { $0 = { _, _ in false } }
        try await manager.endCutShort(lease)
        #expect(manager.leases.isEmpty)
    }
}
