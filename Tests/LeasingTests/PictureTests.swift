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
        try fixture.kernel.writer.write(
            WriteRequest(
                path: "/sys/bus/pci/drivers/\(before)/unbind", value: "\(address)", operation: "test"),
            deadline: .seconds(1))
        let picture = try HostReader(kernel: fixture.kernel).read()
        _ = try await manager.release(try #require(lease.leases.first).id, actor: "test")
        #expect(driver() == before)
        manager.update(host: picture, pools: fixture.pools(picture), begunAt: moment)
        #expect(driver() == before)
        // What nobody here has bound since is as it was seen.
        manager.update(host: picture, pools: fixture.pools(picture), begunAt: manager.moment)
        #expect(driver() == nil)
    }
}
