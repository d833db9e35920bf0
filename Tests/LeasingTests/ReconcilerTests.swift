import Leasing
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

/// The rows of Documentation/reconciliation.md.
@Suite struct ReconcilerTests {
    private static let holder = Holder(.process(pid: 9, command: "qemu"), through: "/dev/vfio/9")

    private func lease(_ state: LeaseState, _ kind: Consumer.Kind = .person, wasHeld: Bool = false) throws -> Lease {
        var lease = Lease(
            id: "L", function: FunctionIdentity(rawValue: "mac:02:00:00:00:00:01/vf0"),
            address: try #require(PCIAddress("0000:41:10.0")), name: "ens10 vf 0", pool: nil,
            consumer: Consumer(kind, "x"), time: 0)
        lease.state = state
        lease.wasHeld = wasHeld
        return lease
    }

    private func action(
        _ lease: Lease, isPresent: Bool = true, isHeld: Bool = false, isAlive: Bool? = nil, isOver: Bool = false
    ) -> Reconciler.Action? {
        Reconciler.action(
            for: lease,
            Reconciler.Facts(
                isPresent: isPresent, holders: isHeld ? [Self.holder] : [], isConsumerAlive: isAlive, isOver: isOver))
    }

    private func event(_ action: Reconciler.Action?) -> LeaseEvent? {
        if case .event(let event, _)? = action { event } else { nil }
    }

    @Test("What was not finished in time is taken back", arguments: [LeaseState.reserved, .preparing])
    func unfinished(_ state: LeaseState) throws {
        #expect(event(action(try lease(state), isOver: true)) == .expired)
        #expect(action(try lease(state)) == nil)
    }

    @Test("Who uses a function for the first time is noted, and a domain's time to start is not over then")
    func firstUse() throws {
        #expect(action(try lease(.active), isHeld: true) == .noteHeld)
        #expect(action(try lease(.active, .domain), isHeld: true, isOver: true) == .noteHeld)
        #expect(action(try lease(.active, .domain, wasHeld: true), isHeld: true) == nil)
    }

    @Test("A domain that does not start, and a lease whose time is over, is taken back")
    func over() throws {
        #expect(event(action(try lease(.active, .domain), isOver: true)) == .expired)
        #expect(event(action(try lease(.active, .person, wasHeld: true), isHeld: true, isOver: true)) == .expired)
    }

    @Test("A consumer that is gone gives its function back", arguments: [Consumer.Kind.process, .namespace])
    func gone(_ kind: Consumer.Kind) throws {
        #expect(event(action(try lease(.active, kind), isAlive: false)) == .consumerGone)
        #expect(action(try lease(.active, kind), isAlive: true) == nil)
    }

    @Test(
        "A domain or namespace that lets go has ended; others may use the function again",
        arguments: Consumer.Kind.allCases)
    func letGo(_ kind: Consumer.Kind) throws {
        let isOver = [.domain, .namespace].contains(kind)
        #expect(event(action(try lease(.active, kind, wasHeld: true))) == (isOver ? .consumerGone : nil))
        #expect(action(try lease(.active, kind)) == nil)
    }

    @Test("Nothing is taken from whoever uses it; what nobody uses is cleaned")
    func releasing() throws {
        #expect(action(try lease(.releasing), isHeld: true) == nil)
        #expect(action(try lease(.releasing)) == .finish)
        #expect(action(try lease(.scrubbing)) == .finish)
        #expect(action(try lease(.quarantined), isAlive: false, isOver: true) == nil)
    }

    @Test("A function that vanishes loses its lease, or frees it on its way back", arguments: LeaseState.allCases)
    func vanished(_ state: LeaseState) throws {
        let found = event(action(try lease(state), isPresent: false))
        let isOpen = ![.free, .lost].contains(state)
        #expect(found == (isOpen ? .vanished : nil))
        let after = state.after(.vanished)
        #expect(after == (!isOpen ? nil : [.releasing, .scrubbing].contains(state) ? .free : .lost))
    }

    @Test(
        "A lost lease ends as an active one does, whether its function is there again or not", arguments: [true, false])
    func lost(_ isPresent: Bool) throws {
        #expect(action(try lease(.lost), isPresent: isPresent) == nil)
        #expect(event(action(try lease(.lost), isPresent: isPresent, isOver: true)) == .expired)
        #expect(event(action(try lease(.lost, .process), isPresent: isPresent, isAlive: false)) == .consumerGone)
    }
}

@Suite struct RebootTests {
    /// Takes the VFs of all ports away, as a reboot does.
    private func removeVFs(_ fixture: LeaseFixture) throws {
        for port in try HostReader(kernel: fixture.kernel).read().physicalFunctions {
            try fixture.kernel.writer.write(
                WriteRequest(path: "\(PCIReader.path(port.pci.address))/sriov_numvfs", value: "0", operation: "reboot"),
                deadline: .seconds(1))
        }
    }

    @Test("After a reboot VFs are made as their leases need them; leases of processes end, others go on")
    func reboot() async throws {
        let fixture = try LeaseFixture()
        let before = try fixture.manager()
        var request = LeaseRequest(pool: "tenant", consumer: Consumer(.person, "alice"))
        (request.settings.trust, request.ttlSeconds) = (true, 600)
        let kept = try #require(try await before.acquire(request, actor: "test").leases.first)
        request = LeaseRequest(pool: "tenant", consumer: Consumer(.process, "1"))
        fixture.kernel.startProcess(1, at: 100)
        let ended = try #require(try await before.acquire(request, actor: "test").leases.first)
        try removeVFs(fixture)
        fixture.clock.reboot(wall: fixture.clock.now().wall + 60_000)

        let manager = try fixture.restarted(before)
        let plan = try Planner.plan(
            to: fixture.declared, with: manager.leases, on: try HostReader(kernel: fixture.kernel).read(),
            kernel: fixture.kernel, options: .init())
        #expect(!plan.hasRefusals)
        let reports = try Applier(kernel: fixture.kernel, state: fixture.state)
            .apply(plan, file: "f", time: 0, interrupted: nil) { _ in }
        #expect(reports.flatMap(\.errors).isEmpty)
        let vf = try #require(try HostReader(kernel: fixture.kernel).read()[kept.address])
        #expect(vf.settings?.trust == true && vf.settings?.vlans == [VLAN(id: 42)])
        // A process of this boot has the number and the start time of the former one.
        #expect(try await fixture.refresh(manager, isStart: true).isEmpty)
        #expect(manager.leases.map(\.id) == [kept.id])
        #expect(try manager.history(of: ended.id).last?.to == .free)
        // A minute of its ten has passed; from now on only this boot's clock counts.
        #expect(manager.millisecondsToNextDeadline == 540_000)
        fixture.clock.advance(seconds: 40, wallSeconds: -1_000_000)
        #expect(manager.millisecondsToNextDeadline == 500_000)
    }

    @Test("A plan knows leases: it neither removes their VFs nor takes their settings for drift")
    func planWithLeases() async throws {
        let fixture = try LeaseFixture()
        let manager = try fixture.manager()
        var request = LeaseRequest(pool: "tenant", consumer: Consumer(.person, "alice"))
        request.settings.trust = true
        let lease = try #require(try await manager.acquire(request, actor: "test").leases.first)
        func plan(_ declared: DeclaredHost) throws -> Plan {
            var host = try HostReader(kernel: fixture.kernel).read()
            host.add(manager.leases)
            return try Planner.plan(
                to: declared, with: manager.leases, on: host, kernel: fixture.kernel, options: .init())
        }
        let steps = try plan(fixture.declared).devices.flatMap(\.steps)
        #expect(!steps.contains { if case .configure = $0.action { true } else { false } }, "\(steps)")
        var smaller = fixture.declared
        smaller.physicalFunctions[0].virtualFunctions = 3
        let refused = try plan(smaller).devices[0]
        #expect(
            refused.steps.isEmpty && refused.refusals.first?.holders.first?.holder.identifier == "lease:\(lease.id)")
        // What the tenant's VF was set to is in the ledger; the journal must not give it to the next tenant.
        #expect(try plan(fixture.declared).devices[0].before.settings.allSatisfy { $0.index != 0 })
    }
}
