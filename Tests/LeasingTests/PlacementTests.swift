import Leasing
import PCI
import SRIOV
import SluiceTesting
import Testing

@Suite struct PlacementTests {
    private let host: Host
    private let pool: Pool

    init() throws {
        let fixture = try LeaseFixture()
        host = try HostReader(kernel: fixture.kernel).read()
        pool = try #require(fixture.pools(host)[name: "tenant"])
    }

    private func choose(
        _ change: (inout LeaseRequest) -> Void = { _ in }, occupied: [FunctionIdentity: Placement.Occupation] = [:],
        numa: DeclaredPool.NUMAPolicy = .prefer, spread: DeclaredPool.Spread = .physicalFunction
    ) throws(LeasingError) -> Placement.Decision {
        var request = LeaseRequest(pool: "tenant", consumer: Consumer(.person, "test"))
        change(&request)
        return try Placement(host: host, request: request, occupied: occupied)
            .choose(from: pool.members, numa: numa, spread: spread, of: "pool tenant")
    }

    private func names(_ decision: Placement.Decision) -> [String] { decision.chosen.map(\.member.function.name) }

    @Test("A pool has the functions that its selectors mean, each once")
    func members() {
        #expect(pool.members.count == 28)
        #expect(Set(pool.members.map(\.identity)).count == 28)
        #expect(pool.members[0].identity.rawValue == "mac:02:5c:00:00:00:00/vf0")
    }

    @Test("A function in two pools is in neither, and both are named")
    func overlap() throws {
        var fixture = try LeaseFixture()
        _ = fixture
        fixture = try LeaseFixture(
            """
            physicalFunctions: [{ match: { netdev: ens12 }, virtualFunctions: 7 }]
            pools:
              a: { functions: [{ physicalFunction: ens12, virtualFunctions: 0-3 }] }
              b: { functions: [{ match: { numaNode: 1 }, virtualFunctions: 3-5 }] }
            """)
        let pools = fixture.pools(try HostReader(kernel: fixture.kernel).read())
        #expect(pools.overlaps.map(\.code) == [.overlap])
        #expect(pools.overlaps[0].message == "ens12 vf 3 is in pool a and in pool b")
        #expect(pools.pools.map(\.members.count) == [3, 2] && pools.others.count == 1)
    }

    @Test("Leases are spread over the ports, or packed onto one")
    func spread() throws {
        #expect(try names(choose { $0.count = 4 }) == ["ens10 vf 0", "ens11 vf 0", "ens12 vf 0", "ens13 vf 0"])
        #expect(try names(choose({ $0.count = 3 }, spread: .pack)) == ["ens10 vf 0", "ens10 vf 1", "ens10 vf 2"])
    }

    @Test("A node is preferred, required or ignored; CPUs and devices stand for their nodes")
    func numa() throws {
        #expect(try names(choose { $0.near = .node(1) }) == ["ens12 vf 0"])
        #expect(try names(choose({ $0.near = .node(1) }, numa: .ignore)) == ["ens10 vf 0"])
        #expect(
            try choose({
                $0.near = .node(1); $0.count = 28
            }).chosen.count == 28)
        #expect(throws: LeasingError.self) {
            try choose(
                {
                    $0.near = .node(1); $0.count = 15
                }, numa: .require)
        }
        let port = try #require(PCIAddress("0000:82:00.0"))
        #expect(try names(choose { $0.near = .device(port) }) == ["ens13 vf 0"])
        let cpus = try #require(host.nodes.first { $0.number == 1 }?.cpus)
        if cpus.count > 0 { #expect(try names(choose { $0.near = .cpus(cpus) }) == ["ens12 vf 0"]) }
    }

    @Test("The parts of a bond are of different ports, or nothing is given")
    func antiAffinity() throws {
        let decision = try choose {
            $0.count = 4; $0.antiAffinity = .physicalFunction
        }
        #expect(Set(decision.chosen.map(\.member.portAddress)).count == 4)
        do throws(LeasingError) {
            _ = try choose {
                $0.count = 5; $0.antiAffinity = .physicalFunction
            }
            Issue.record("five ports out of four")
        } catch {
            #expect(error.code == .exhausted)
            #expect(error.details.contains("ens10 vf 1  free, but same physical function as ens10 vf 0"))
        }
    }

    @Test("An exhausted pool tells who has its functions, oldest lease first")
    func exhausted() throws {
        var occupied: [FunctionIdentity: Placement.Occupation] = [:]
        for (number, member) in pool.members.enumerated() {
            let lease = Lease(
                id: "L\(number)", function: member.identity, address: member.function.pci.address,
                name: member.function.name, pool: "tenant", consumer: Consumer(.person, "p\(number)"),
                time: Int64(1_000 - number))
            occupied[member.identity] = .lease(lease)
        }
        occupied[pool.members[3].identity] = .foreign([
            Holder(.process(pid: 9, command: "dpdk"), through: "/dev/vfio/9")
        ])
        do throws(LeasingError) {
            _ = try choose(occupied: occupied)
            Issue.record("a function was given twice")
        } catch {
            #expect(error.code == .exhausted)
            #expect(error.details.first == "ens13 vf 6  lease L27 of person:p27 (reserved)")
            #expect(error.details.last == "ens10 vf 3  used without a lease by dpdk (pid 9, /dev/vfio/9)")
            #expect(error.details.count == 28)
        }
    }

    @Test(
        "Whatever is asked: no overlap, all or nothing, anti-affinity kept, the same answer twice, every other explained"
    )
    func properties() throws {
        var random = SplitMix(state: 42)
        for _ in 0..<300 {
            var occupied: [FunctionIdentity: Placement.Occupation] = [:]
            for member in pool.members where Bool.random(using: &random) {
                occupied[member.identity] = .foreign([Holder(.defaultRoute, through: "x")])
            }
            let count = Int.random(in: 1...10, using: &random)
            let anti = LeaseRequest.AntiAffinity.allCases.randomElement(using: &random) ?? .none
            let numa = DeclaredPool.NUMAPolicy.allCases.randomElement(using: &random) ?? .prefer
            let spread = DeclaredPool.Spread.allCases.randomElement(using: &random) ?? .pack
            let node = Int.random(in: 0...2, using: &random)
            func ask() -> Result<Placement.Decision, LeasingError> {
                Result { () throws(LeasingError) in
                    try choose(
                        {
                            $0.count = count; $0.antiAffinity = anti; $0.near = .node(node)
                        }, occupied: occupied,
                        numa: numa, spread: spread)
                }
            }
            let (first, second) = (ask(), ask())
            switch (first, second) {
            case (.success(let first), .success(let second)):
                let chosen = first.chosen.map(\.member.identity)
                #expect(chosen == second.chosen.map(\.member.identity))
                #expect(chosen.count == count && Set(chosen).count == count)
                #expect(chosen.allSatisfy { occupied[$0] == nil })
                if anti != .none { #expect(Set(first.chosen.map(\.member.portAddress)).count == count) }
                if numa == .require { #expect(first.chosen.allSatisfy { $0.member.function.pci.numaNode == node }) }
                #expect(Set(chosen + first.passed.map(\.member.identity)).count == pool.members.count)
            case (.failure(let first), .failure(let second)):
                #expect(first == second && first.code == .exhausted)
                let free = pool.members.filter {
                    occupied[$0.identity] == nil && (numa != .require || $0.function.pci.numaNode == node)
                }
                let places = anti == .none ? free.count : Set(free.map(\.portAddress)).count
                #expect(places < count, "\(places) would have done")
            default: Issue.record("the same request was answered differently")
            }
        }
    }
}
