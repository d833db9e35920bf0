import Glibc
import HostFile
import Leasing
import PCI
import SRIOV
import SluiceTesting
import Synchronization
import Testing

/// Random numbers that are the same in every run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// A clock that tests set.
final class TestClock: LeaseClock {
    private let time = Mutex(BootTime(boot: "boot-1", milliseconds: 1_000_000, wall: 1_700_000_000_000))

    func now() -> BootTime { time.withLock { $0 } }

    func advance(seconds: Int64, wallSeconds: Int64? = nil) {
        time.withLock {
            $0.milliseconds += seconds * 1000
            $0.wall += (wallSeconds ?? seconds) * 1000
        }
    }

    func reboot(wall: Int64) { time.withLock { $0 = BootTime(boot: $0.boot + "+", milliseconds: 1000, wall: wall) } }
}

/// The lab's host on a fake kernel with a ledger of its own.
final class LeaseFixture: Sendable {
    let kernel = FakeKernel.lab()
    let clock = TestClock()
    let state: StateDirectory
    let declared: DeclaredHost

    static let hostFile = """
        physicalFunctions:
          - { match: { netdev: ens10 }, virtualFunctions: 7, driver: vfio-pci, defaults: { trust: off } }
          - { match: { netdev: ens11 }, virtualFunctions: 7, driver: vfio-pci }
          - { match: { netdev: ens12 }, virtualFunctions: 7, driver: vfio-pci }
          - { match: { netdev: ens13 }, virtualFunctions: 7, driver: vfio-pci }
        pools:
          tenant:
            functions: [{ physicalFunction: ens10 }, { match: { netdev: ens11 } }, { match: { numaNode: 1 } }]
            settings: { vlan: { id: 42 } }
        """

    init(_ text: String = LeaseFixture.hostFile) throws {
        state = StateDirectory(path: "/tmp/sluice-leasing-\(UInt64.random(in: 0 ... .max))")
        declared = try HostFile.parse(text, file: "host.yaml")
        try kernel.loadModule("vfio-pci")
        for port in try HostReader(kernel: kernel).read().physicalFunctions {
            for (name, value) in [("sriov_drivers_autoprobe", "0"), ("sriov_numvfs", "7")] {
                try kernel.writer.write(
                    WriteRequest(path: "\(PCIReader.path(port.pci.address))/\(name)", value: value, operation: name),
                    deadline: .seconds(1))
            }
            let vfs = try PCIReader(files: kernel.files).function(port.pci.address)?.sriov?.virtualFunctions ?? []
            _ = DriverBinding(files: kernel.files, writer: kernel.writer).bind(
                vfs.compactMap { $0.map { .init(address: $0, target: .driver("vfio-pci")) } })
        }
    }

    deinit {
        for name in ((try? LiveFileTree().entries(state.path)) ?? nil) ?? [] { unlink("\(state.path)/\(name)") }
        rmdir(state.path)
    }

    /// Takes a function's driver away, as somebody else would.
    func unbind(_ address: PCIAddress, from driver: String) throws {
        try kernel.writer.write(
            WriteRequest(path: "/sys/bus/pci/drivers/\(driver)/unbind", value: "\(address)", operation: "test"),
            deadline: .seconds(1))
    }

    func pools(_ host: Host) -> PoolSet {
        PoolSet(declared, host: host, files: kernel.files, knownSerials: [:])
    }

    func manager() throws -> LeaseManager {
        let host = try HostReader(kernel: kernel).read()
        return try LeaseManager(
            kernel: kernel, ledger: Ledger(in: state), host: host, pools: pools(host), clock: clock)
    }

    /// A manager on the same ledger, as after a crash: what the former one has in memory is of no account.
    func restarted(_ former: LeaseManager) throws -> LeaseManager {
        let ledger = former.ledger
        let host = try HostReader(kernel: kernel).read()
        return try LeaseManager(kernel: kernel, ledger: ledger, host: host, pools: pools(host), clock: clock)
    }

    /// Reads the host anew and reconciles.
    func refresh(_ manager: LeaseManager, isStart: Bool = false) async throws -> [LeasingError] {
        let host = try HostReader(kernel: kernel).read()
        manager.update(host: host, pools: pools(host))
        return await manager.reconcile(isStart: isStart)
    }
}

/// Which functions clients have, to see that no two have the same.
final class HeldFunctions: Sendable {
    private let held = Mutex<Set<PCIAddress>>([])

    func take(_ address: PCIAddress) -> Bool { held.withLock { $0.insert(address).inserted } }
    func giveBack(_ address: PCIAddress) { _ = held.withLock { $0.remove(address) } }
}
