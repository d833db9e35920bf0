import Leasing
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

@Suite struct LeaseManagerTests {
    private func request(_ change: (inout LeaseRequest) -> Void = { _ in }) -> LeaseRequest {
        var request = LeaseRequest(pool: "tenant", consumer: Consumer(.person, "alice"))
        change(&request)
        return request
    }

    private func settings(_ fixture: LeaseFixture, _ lease: Lease) throws -> VirtualFunctionSettings {
        try #require(try HostReader(kernel: fixture.kernel).read()[lease.address]?.settings)
    }

    @Test("A lease sets what is asked on top of the pool's, and its end leaves nothing of it; the VF was reset")
    func roundTrip() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let clean = try HostReader(kernel: fixture.kernel).read().functions.compactMap(\.settings)
        let grant = try await manager.acquire(
            request {
                $0.settings.mac = MACAddress("52:54:00:00:00:07")
                ($0.settings.trust, $0.settings.spoofCheck, $0.settings.maxTxRateMbps) = (true, false, 300)
            }, actor: "test")
        let lease = try #require(grant.leases.first)
        #expect(lease.state == .active && lease.settings.vlans == [VLAN(id: 42)])
        let set = try settings(fixture, lease)
        #expect(set.mac == MACAddress("52:54:00:00:00:07") && set.vlans == [VLAN(id: 42)])
        #expect(set.trust == true && set.spoofCheck == false && set.maxTxRateMbps == 300)
        #expect(try await manager.release(lease.id, actor: "test").state == .free)
        #expect(try HostReader(kernel: fixture.kernel).read().functions.compactMap(\.settings) == clean)
        #expect(fixture.kernel.resets(of: "ens10") == [1, 0, 0, 0, 0, 0, 0])
        let states = try manager.history(of: "ens10 vf 0").map { "\($0.from?.rawValue ?? "-")>\($0.to.rawValue)" }
        #expect(
            states == [
                "->reserved", "reserved>preparing", "preparing>active", "active>releasing", "releasing>scrubbing",
                "scrubbing>free",
            ])
    }

    @Test(
        "A repeated request with its key gets the same lease, also at the same time; another request with it is refused"
    )
    func idempotency() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let repeated = request { $0.idempotencyKey = "key-1" }
        let ids = try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<8 {
                group.addTask { try await manager.acquire(repeated, actor: "test").leases.map(\.id) }
            }
            var ids: Set<[String]> = []
            for try await id in group { ids.insert(id) }
            return ids
        }
        #expect(ids.count == 1 && manager.leases.count == 1)
        let other = request {
            $0.idempotencyKey = "key-1"; $0.count = 2
        }
        await #expect(throws: LeasingError.self) { try await manager.acquire(other, actor: "test") }
        let id = try #require(ids.first?.first)
        // Also after a restart.
        let next = try fixture.restarted(manager)
        await next.reconcile(isStart: true)
        #expect(try await next.acquire(repeated, actor: "test").leases.map(\.id) == [id])
        _ = try await next.release(id, actor: "test")
        // A lease that has ended is not handed out as if it were there.
        do throws(LeasingError) {
            _ = try await next.acquire(repeated, actor: "test")
            Issue.record("an ended lease was handed out")
        } catch {
            #expect(error.code == .keyReused, "\(error)")
        }
        #expect(next.leases.isEmpty)
    }

    @Test("A request that failed keeps nothing under its key: repeated, it is tried anew")
    func failedIdempotency() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let impossible = request {
            ($0.idempotencyKey, $0.settings.linkState) = ("key-2", .disable)
        }
        await #expect(throws: LeasingError.self) { try await manager.acquire(impossible, actor: "test") }
        let possible = request { $0.idempotencyKey = "key-2" }
        #expect(try await manager.acquire(possible, actor: "test").leases.map(\.state) == [.active])
    }

    @Test("What a driver refuses undoes the whole request, and the error names the setting")
    func refusedSetting() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        do throws(LeasingError) {
            _ = try await manager.acquire(
                request {
                    $0.settings.linkState = .disable; $0.count = 2
                }, actor: "test")
            Issue.record("igb has no link state")
        } catch {
            #expect(error.code == .unprepared && error.description.contains("linkState"), "\(error)")
        }
        #expect(manager.leases.isEmpty)
        let host = try HostReader(kernel: fixture.kernel).read()
        #expect(host.functions.compactMap(\.settings).allSatisfy { $0.vlans == [] })
    }

    @Test("A free VF that somebody opened since the host was read is passed over, and named as foreign")
    func foreignHolder() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let first = try #require(PCIAddress("0000:41:10.0"))
        fixture.kernel.hold(first, by: 4711)
        let lease = try #require(try await manager.acquire(request(), actor: "test").leases.first)
        #expect(lease.address != first)
        let occupations = manager.occupied.values.map(\.description)
        #expect(occupations.contains { $0.contains("used without a lease by holder (pid 4711") }, "\(occupations)")
    }

    @Test("A lease whose function is still open waits for its holder and is cleaned afterwards")
    func stillHeld() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let lease = try #require(try await manager.acquire(request(), actor: "test").leases.first)
        fixture.kernel.hold(lease.address, by: 4711)
        let releasing = try await manager.release(lease.id, actor: "test")
        #expect(releasing.state == .releasing && releasing.reason?.contains("4711") == true)
        _ = try await fixture.refresh(manager)
        #expect(try manager.lease(lease.id).state == .releasing)
        #expect(fixture.kernel.resets(of: "ens10")[0] == 0)
        fixture.kernel.hold(lease.address, by: nil)
        #expect(try await fixture.refresh(manager).isEmpty)
        #expect(manager.leases.isEmpty && fixture.kernel.resets(of: "ens10")[0] == 1)
    }

    @Test("VFs that are taken away make their leases lost; nobody gets them until the lease is released")
    func lost() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let lease = try #require(try await manager.acquire(request(), actor: "test").leases.first)
        let port = "/sys/bus/pci/devices/0000:41:00.0/sriov_numvfs"
        func write(_ value: String) throws {
            try fixture.kernel.writer.write(
                WriteRequest(path: port, value: value, operation: value), deadline: .seconds(1))
        }
        try write("0")
        _ = try await fixture.refresh(manager)
        #expect(try manager.lease(lease.id).state == .lost)
        try write("7")
        _ = try await fixture.refresh(manager)
        #expect(try manager.lease(lease.id).state == .lost)
        let all = try await manager.acquire(request { $0.count = 27 }, actor: "test").leases
        #expect(!all.contains { $0.function == lease.function })
        #expect(try await manager.release(lease.id, actor: "test").state == .free)
    }

    @Test("A lease whose VF was removed is lost, also when another VF is in its place before anybody looks")
    func replaced() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let leases = try await manager.acquire(request { $0.count = 2 }, actor: "test").leases
        let (lease, other) = (try #require(leases.first), try #require(leases.last))
        manager.functionRemoved(at: lease.address)
        #expect(await manager.reconcile().isEmpty)
        #expect(try manager.lease(lease.id).state == .lost)
        #expect(try manager.lease(other.id).state == .active)
        // The next tenant's lease is another one.
        #expect(try await manager.release(lease.id, actor: "test").state == .free)
        let again = LeaseRequest(function: lease.address, consumer: Consumer(.person, "next"))
        let next = try #require(try await manager.acquire(again, actor: "test").leases.first)
        _ = try await fixture.refresh(manager)
        #expect(try manager.lease(next.id).state == .active)
    }

    @Test("What a killed program left behind is finished at the next start: nothing is lost, nothing stays dirty")
    func restart() async throws {
        let fixture = try LeaseFixture()
        let first = try fixture.manager()
        let kept = try await first.acquire(request { $0.settings.trust = true }, actor: "test").leases.first
        let manager = try fixture.restarted(first)
        #expect(await manager.reconcile(isStart: true).isEmpty)
        #expect(manager.leases == [try #require(kept)])
        _ = try await manager.release(try #require(kept?.id), actor: "test")
        #expect(try settings(fixture, try #require(kept)).trust == false)
    }

    @Test("A lease with a time ends when it is over, whatever the wall clock says")
    func ttl() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let lease = try #require(try await manager.acquire(request { $0.ttlSeconds = 60 }, actor: "test").leases.first)
        #expect(manager.millisecondsToNextDeadline == 60_000)
        fixture.clock.advance(seconds: 59, wallSeconds: 1_000_000)
        _ = try await fixture.refresh(manager)
        #expect(try manager.lease(lease.id).state == .active)
        fixture.clock.advance(seconds: 1, wallSeconds: -9_000_000)
        _ = try await fixture.refresh(manager)
        #expect(manager.leases.isEmpty && manager.millisecondsToNextDeadline == nil)
    }

    @Test("A second process cannot open the ledger, and is told who has it")
    func locked() throws {
        let fixture = try LeaseFixture()
        let ledger = try Ledger(in: fixture.state)
        #expect(throws: LeasingError.self) { try Ledger(in: fixture.state, deadline: .zero) }
        withExtendedLifetime(ledger) {}
    }

    @Test("Whoever asks for what is being configured waits for its end, however short before it that was")
    func maintained() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let ports = Set(try HostReader(kernel: fixture.kernel).read().physicalFunctions.map(\.pci.address))
        for _ in 0..<50 {
            try await withThrowingTaskGroup { group in
                group.addTask { try await manager.maintaining(ports) { await Task.yield() } }
                group.addTask {
                    let leases = try await manager.acquire(request { $0.count = 28 }, actor: "test").leases
                    for lease in leases { _ = try await manager.release(lease.id, actor: "test") }
                }
                try await group.waitForAll()
            }
        }
        #expect(manager.leases.isEmpty)
    }

    @Test("Limits of a pool hold for each consumer")
    func limits() async throws {
        let fixture = try LeaseFixture(
            LeaseFixture.hostFile + "\n    limits: { leasesPerConsumer: 2 }\n    for: libvirt")
        let manager = try fixture.manager()
        _ = try await manager.acquire(request { $0.count = 2 }, actor: "test")
        for (change, code) in [
            ({ $0.count = 1 }, LeasingError.Code.limit),
            (
                {
                    $0.consumer = Consumer(.port, "1b2c3d4e-0000-4000-8000-000000000002")
                }, .purpose
            ),
        ] as [((inout LeaseRequest) -> Void, LeasingError.Code)] {
            do throws(LeasingError) {
                _ = try await manager.acquire(request(change), actor: "test")
                Issue.record("\(code) was expected")
            } catch {
                #expect(error.code == code)
            }
        }
    }

    @Test("64 clients that take and give back at the same time never get the same function, and leave none behind")
    func load() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        let held = HeldFunctions()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<64 {
                group.addTask {
                    for round in 0..<10 {
                        var request = LeaseRequest(pool: "tenant", consumer: Consumer(.person, "c\(client)"))
                        request.settings.trust = round % 2 == 0
                        do throws(LeasingError) {
                            let grant = try await manager.acquire(request, actor: "test")
                            for lease in grant.leases {
                                #expect(held.take(lease.address), "\(lease.address) was given twice")
                                held.giveBack(lease.address)
                                _ = try await manager.release(lease.id, actor: "test")
                            }
                        } catch {
                            #expect(error.code == .exhausted, "\(error)")
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(manager.leases.isEmpty)
        let host = try HostReader(kernel: fixture.kernel).read()
        #expect(host.functions.compactMap(\.settings).allSatisfy { $0.trust == false && $0.vlans == [] })
    }
}
