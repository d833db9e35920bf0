import Leasing
import PCI
import SRIOV
import SluiceTesting
import Testing

@Suite("The picture of the host while functions are bound to drivers")
struct PictureTests {
    @Test("What was seen of a function on its way is not taken for what it is")
    func onTheWay() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let address = try #require(manager.pools.pools.first?.members.first?.function.pci.address)
        func driver() -> String? { manager.pools.member(at: address)?.function.pci.driver }
        let before = try #require(driver())
        let lease = try await manager.acquire(
            LeaseRequest(function: address, consumer: Consumer(.person, "alice")), actor: "test")
        // A look begins while the function is between two drivers, and ends when it has one again.
        let moment = manager.moment
        try fixture.unbind(address, from: before)
        let picture = try HostReader(kernel: fixture.kernel).read()
        manager.update(host: picture, pools: fixture.pools(picture), begunAt: manager.moment)
        #expect(driver() == nil)
        _ = try await manager.release(try #require(lease.leases.first).id, actor: "test")
        #expect(driver() == before)
        manager.update(host: picture, pools: fixture.pools(picture), begunAt: moment)
        #expect(driver() == before)
        // What nobody here has bound since is as it was seen.
        manager.update(host: picture, pools: fixture.pools(picture), begunAt: manager.moment)
        #expect(driver() == nil)
    }

    @Test("Whoever takes a netdev away takes the driver; the function is cleaned and has it again, also after a crash")
    func driverTaken() async throws {
        // Nobody has declared a driver, and the kernel's has the function.
        let fixture = try LeaseFixture(LeaseFixture.hostFile.replacing(", driver: vfio-pci", with: ""))
        let address = try #require(try fixture.manager().pools.pools.first?.members.first?.function.pci.address)
        _ = DriverBinding(files: fixture.kernel.files, writer: fixture.kernel.writer)
            .bind([.init(address: address, target: .kernel("igbvf"))])
        let manager = try fixture.manager()
        func driver() throws -> String? {
            let function = try PCIReader(files: fixture.kernel.files).function(address)
            return function?.driver
        }
        let before = try #require(try driver())
        #expect(before == "igbvf")
        func acquire(_ manager: LeaseManager) async throws -> Lease {
            let request = LeaseRequest(function: address, consumer: Consumer(.person, "alice"))
            return try #require(try await manager.acquire(request, actor: "test").leases.first)
        }
        let first = try await acquire(manager)
        #expect(try await manager.release(first.id, takingDriver: true, actor: "test").state == .free)
        #expect(try driver() == before && manager.leases.isEmpty)
        // The program ends between the driver's end and the rest.
        let second = try await acquire(manager)
        try fixture.unbind(address, from: before)
        let next = try fixture.restarted(manager)
        await next.reconcile(isStart: true)
        #expect(try await next.release(second.id, takingDriver: true, actor: "test").state == .free)
        #expect(try driver() == before && next.leases.isEmpty)
    }
}
