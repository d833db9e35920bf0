internal import AgentAPI
internal import Dispatch
internal import HostFile
internal import Leasing
internal import Logging
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

/// Keeps the host as it is declared, and the picture of it fresh.
///
/// One task walks the triggers one by one, so that there is one reader and one apply at a time; requests are answered
/// from the picture meanwhile.
final class HostKeeper: Sendable {
    let kernel: any HostKernel
    let manager: LeaseManager
    let ledger: Ledger
    let hub: EventHub
    let metrics = Metrics()
    let options: AgentOptions
    let logger: Logger
    private let queue = DispatchQueue(label: "host")
    private let state: Mutex<State>

    struct State {
        var declared: DeclaredHost
        /// Devices that are not as declared, and why that is not mended.
        var drift: [String: String] = [:]
        /// The last plan that failed, so that the same failure is not repeated at every event.
        var failed: String?
        var isReady = false
        /// When the last look at the host ended; the health check looks at it.
        var refreshBegan: ContinuousClock.Instant?
    }

    init(
        kernel: any HostKernel, manager: LeaseManager, ledger: Ledger, declared: DeclaredHost, hub: EventHub,
        options: AgentOptions, logger: Logger
    ) {
        self.kernel = kernel
        self.manager = manager
        self.ledger = ledger
        self.hub = hub
        self.options = options
        self.logger = logger
        state = Mutex(State(declared: declared))
    }

    var drift: [String: String] { state.withLock { $0.drift } }
    var isReady: Bool { state.withLock { $0.isReady } }

    /// Whether the look at the host, if one is under way, has not taken longer than a device may hang.
    var isResponsive: Bool {
        state.withLock { $0.refreshBegan.map { $0.duration(to: .now) < .seconds(240) } ?? true }
    }

    // MARK: The loop

    /// Looks at the host whenever there is a reason to, until the triggers end or the task is
    /// cancelled. The first look is taken, and what follows from it done, before it says that it is ready.
    func run(_ triggers: Triggers, onReady: @Sendable () -> Void) async {
        await refresh(isStart: true)
        state.withLock { $0.isReady = true }
        onReady()
        var timer: Task<Void, Never>?
        var iterator = triggers.signals.makeAsyncIterator()
        while !Task.isCancelled {
            // The only timer: for the next lease that ends by itself, or for what could not be recorded.
            timer?.cancel()
            timer = nextDeadline().map { deadline in
                Task {
                    if (try? await Task.sleep(for: deadline, clock: .continuous)) != nil {
                        triggers.add { $0.host = true }
                    }
                }
            }
            guard await iterator.next() != nil, !Task.isCancelled else { break }
            await walk(triggers.take())
        }
        timer?.cancel()
    }

    private func walk(_ reasons: Triggers.Reasons) async {
        if reasons.reload { return await reload() }
        // A consumer that has ended is known without a look at the host, and its function is wanted soon.
        if reasons.process, !options.isObserveOnly { await manager.reconcile() }
        if reasons.host || reasons.process { return await refresh() }
        for link in reasons.settings where await isDrifted(link) { return await refresh() }
    }

    private func nextDeadline() -> Duration? {
        // A ledger that took nothing is asked again soon: its disk may have room by then.
        let retry: Int64? = manager.ledgerFailures > 0 ? 1_000 : nil
        return [manager.millisecondsToNextDeadline, retry].compactMap(\.self).min().map { .milliseconds(max($0, 1)) }
    }

    private func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result(catching: body)) }
        }
    }

    // MARK: Looking

    func refresh(isStart: Bool = false) async {
        state.withLock { $0.refreshBegan = .now }
        defer { state.withLock { $0.refreshBegan = nil } }
        do {
            try await look(isStart: isStart)
            if !options.isObserveOnly { try await converge() }
        } catch {
            note("error", "host", "the host cannot be read: \(error)")
        }
    }

    private func look(isStart: Bool = false) async throws {
        let kernel = kernel
        let before = manager.host
        let host = try await blocking { try HostReader(kernel: kernel).read() }
        metrics.hostRead()
        let pools = PoolSet(
            state.withLock { $0.declared }, host: host, files: kernel.files, knownSerials: knownSerials())
        manager.update(host: host, pools: pools)
        if !isStart { tellDifferences(before, host) }
        guard !options.isObserveOnly else { return }
        for error in await manager.reconcile(isStart: isStart) {
            logger.error("\(error.message)")
        }
    }

    private func tellDifferences(_ before: Host, _ after: Host) {
        let old = Set(before.functions.filter(\.isAssignable).map(\.pci.address))
        let new = Set(after.functions.filter(\.isAssignable).map(\.pci.address))
        for function in after.functions where function.isAssignable && !old.contains(function.pci.address) {
            note("function.added", "\(function.pci.address)", "\(function.name) has appeared")
        }
        for function in before.functions where function.isAssignable && !new.contains(function.pci.address) {
            note("function.removed", "\(function.pci.address)", "\(function.name) is gone")
        }
    }

    private func knownSerials() -> [PCIAddress: String] {
        (try? KnownSerials(state: options.state, files: kernel.files).current()) ?? [:]
    }

    /// Whether VFs of a port have other settings than they should. Cheap: one message, no look at the rest of the host.
    private func isDrifted(_ link: Int32) async -> Bool {
        let host = manager.host
        guard let port = host.physicalFunctions.first(where: { $0.link?.index == link }), port.pci.sriov != nil else {
            return false
        }
        let kernel = kernel
        guard let now = try? await blocking({ try kernel.link(index: link, .virtualFunctions) }) else { return true }
        let leases = Dictionary(manager.leases.map { ($0.address, $0) }, uniquingKeysWith: { first, _ in first })
        let members = Dictionary(
            manager.pools.allMembers.map { ($0.function.pci.address, $0) }, uniquingKeysWith: { first, _ in first })
        for vf in host.virtualFunctions(of: port.pci.address) {
            guard let index = vf.index, let member = members[vf.pci.address],
                let report = now.virtualFunctions.first(where: { $0.index == UInt32(index) })
            else { continue }
            let lease = leases[vf.pci.address]
            // A lease in between is being changed by us.
            if let lease, lease.state != .active { continue }
            if !(lease?.settings ?? member.policy).differing(from: report.settings).isEmpty { return true }
        }
        return now.virtualFunctions.count != host.virtualFunctions(of: port.pci.address).count
    }

    // MARK: Acting

    /// Plans from the host as it is to the declared state, and does what nobody's use forbids.
    private func converge() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let begin = manager.now
        let plan = try await blocking { [self] in try makePlan() }
        tellDrift(plan, begun: begin)
        guard plan.stepCount > 0 else {
            state.withLock { $0.failed = nil }
            return
        }
        let ports = Set(plan.devices.filter { !$0.steps.isEmpty }.compactMap(\.address))
        let text = plan.devices.filter { !$0.steps.isEmpty }.map {
            "\($0.name): \($0.steps.map(\.title).joined(separator: ", "))"
        }
        .joined(separator: "; ")
        if state.withLock({ $0.failed == text }) { return }
        logger.notice("applying: \(text)")
        // From here to the end no function of these ports is leased; what is leased by now is in the second plan.
        let reports = try await manager.maintaining(ports) {
            try await self.blocking { [self] in try apply() }
        }
        let errors = reports.flatMap(\.errors)
        for error in errors { note("error", error.code.rawValue, error.message) }
        for report in reports where report.errors.isEmpty && report.stepsDone > 0 {
            note("apply", report.name, "\(report.stepsDone) steps done, \(report.verified) functions verified")
        }
        state.withLock { $0.failed = errors.isEmpty ? nil : text }
        metrics.applied(in: clock.now - start, outcome: errors.isEmpty ? "done" : "failed")
        try await look()
    }

    private func apply() throws -> [DeviceReport] {
        let lock = try ApplyLock.take(in: options.state, command: "sluiced") { [logger] holder in
            logger.notice("waiting for another apply: \(holder)")
            return true
        }
        defer { withExtendedLifetime(lock) {} }
        let plan = try makePlan()
        return try Applier(kernel: kernel, state: options.state).apply(
            plan, file: options.hostFile, time: Int(manager.now / 1000),
            interrupted: Journal.interrupted(in: options.state)
        ) { _ in }
    }

    /// The plan from the host as it is now, with leases in it.
    func makePlan(
        _ other: DeclaredHost? = nil, only: Set<String> = [], evicted: Set<String> = []
    ) throws -> Plan {
        // Leases first: one that comes meanwhile is seen as a VF that differs, and its holder keeps it from harm.
        var host = try HostReader(kernel: kernel).read()
        let leases = manager.leases
        host.add(leases)
        var options = Planner.Options()
        options.only = only
        options.evicted = evicted
        options.interrupted = try Journal.interrupted(in: self.options.state)?.owed ?? [:]
        options.busy = try DeviceClaim.unreturned(in: self.options.state, deadline: nil)
        options.knownSerials = knownSerials()
        let declared = (other ?? state.withLock { $0.declared }).with(
            leases, on: host, files: kernel.files, knownSerials: options.knownSerials)
        var modes: [PCIAddress: Devlink.EswitchMode] = [:]
        if declared.physicalFunctions.contains(where: { $0.eswitchMode != nil }) {
            for port in host.physicalFunctions where port.pci.driver != nil {
                if let mode = (try? kernel.eswitchMode(of: port.pci.address)) ?? nil { modes[port.pci.address] = mode }
            }
        }
        return Planner(host: host, files: kernel.files, options: options).plan(to: declared, eswitchModes: modes)
    }

    /// Says what is not as declared and cannot be mended, once.
    private func tellDrift(_ plan: Plan, begun: Int64) {
        let changing = Set(manager.leases.filter { $0.state != .active || $0.changed >= begun }.map(\.address))
        var drift: [String: String] = [:]
        for device in plan.devices {
            for refusal in device.refusals {
                // What is being prepared or cleaned for a lease is on its way.
                if !refusal.holders.isEmpty, refusal.holders.allSatisfy({ changing.contains($0.address) }) { continue }
                drift[device.name] = refusal.error.message
            }
        }
        let before = state.withLock { state in
            defer { state.drift = drift }
            return state.drift
        }
        for (device, text) in drift.sorted(by: { $0.key < $1.key }) where before[device] != text {
            note("drift", device, text)
        }
        for device in before.keys.sorted() where drift[device] == nil {
            note("drift", device, "is as declared again")
        }
    }

    // MARK: The host file

    /// Reads the host file again; one with mistakes changes nothing.
    private func reload() async {
        Systemd.notify("RELOADING=1\nMONOTONIC_USEC=\(monotonicMicroseconds())")
        defer { Systemd.notify("READY=1") }
        do {
            let declared = try Self.load(options.hostFile)
            let kernel = kernel
            let pools = PoolSet(declared, host: manager.host, files: kernel.files, knownSerials: knownSerials())
            if let overlap = pools.overlaps.first { throw overlap }
            state.withLock {
                $0.declared = declared
                $0.failed = nil
            }
            note("apply", options.hostFile, "the host file was read again")
        } catch {
            note("error", "hostfile.invalid", "the host file is not taken over: \(error)")
        }
        await refresh()
    }

    /// Reads a host file.
    static func load(_ path: String) throws -> DeclaredHost {
        guard let bytes = try LiveFileTree().contents(path, limit: HostFile.maximumSize + 1) else {
            throw SRIOVError(
                .hostFileUnreadable, "there is no host file \(path)",
                remedy: "write one, or name it with --file; Documentation/host-file.md has examples")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SRIOVError(.hostFileUnreadable, "\(path) is not text in UTF-8", remedy: "save it as UTF-8")
        }
        return try HostFile.parse(text, file: path)
    }

    // MARK: Requests

    /// Throws `ledger.unusable` or says that the look at the host does not end.
    func checkHealth() throws {
        guard isResponsive else {
            throw Problem(
                status: 503, title: "Not healthy", detail: "a device has not answered for minutes", code: "device.hung",
                remedy: "dmesg says which; GET /v1/events tells what was being done")
        }
        _ = try ledger.lastNumbers()
    }

    func metricsText(withCounters: Bool) async throws -> String {
        var counters: [(Function, VirtualFunctionStatistics)]?
        if withCounters {
            let kernel = kernel
            let links = try await blocking { try kernel.links(.statistics) }
            let host = manager.host
            counters = host.functions.compactMap { function in
                guard let parent = function.pci.physicalFunction, let index = function.index,
                    let link = links.first(where: { $0.device?.name == "\(parent)" }),
                    let report = link.virtualFunctions.first(where: { $0.index == UInt32(index) })
                else { return nil }
                return report.statistics.map { (function, $0) }
            }
        }
        return metrics.text(manager: manager, drift: drift.count, counters: counters)
    }

    func plan(_ body: PlanBody) async throws -> Plan {
        let declared = try body.hostFile.map { try HostFile.parse($0, file: "hostFile") }
        return try await blocking { [self] in
            try makePlan(declared, only: Set(body.only ?? []), evicted: Set(body.evict ?? []))
        }
    }

    /// Applies as `sluice apply` does, under the same lock and with the same journal.
    func apply(_ body: PlanBody) async throws -> [DeviceReport] {
        let declared = try body.hostFile.map { try HostFile.parse($0, file: "hostFile") }
        let clock = ContinuousClock()
        let start = clock.now
        let first = try await plan(body)
        let ports = Set(first.devices.filter { !$0.steps.isEmpty }.compactMap(\.address))
        let reports = try await manager.maintaining(ports) {
            try await self.blocking { [self] in
                let lock = try ApplyLock.take(in: options.state, command: "sluiced") { _ in true }
                defer { withExtendedLifetime(lock) {} }
                let plan = try makePlan(declared, only: Set(body.only ?? []), evicted: Set(body.evict ?? []))
                return try Applier(kernel: kernel, state: options.state).apply(
                    plan, file: options.hostFile, time: Int(manager.now / 1000),
                    interrupted: Journal.interrupted(in: options.state)
                ) { _ in }
            }
        }
        let failed = reports.contains { !$0.errors.isEmpty }
        metrics.applied(in: clock.now - start, outcome: failed ? "failed" : "done")
        return reports
    }

    func note(_ kind: String, _ subject: String, _ text: String) {
        switch kind {
        case "error": logger.error("\(text)", metadata: ["subject": "\(subject)"])
        case "drift": logger.warning("\(subject): \(text)")
        default: logger.notice("\(subject): \(text)")
        }
        do throws(LeasingError) {
            hub.publish(try ledger.note(Note(time: manager.now, kind: kind, subject: subject, text: text)))
        } catch {
            logger.error("\(error.message)")
        }
    }
}
