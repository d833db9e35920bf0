internal import AgentAPI
internal import Diagnosis
internal import HostFile
internal import Leasing
internal import Logging
internal import NIOCore
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

/// Keeps the host as it is declared, and the picture of it fresh.
///
/// One task walks the triggers one by one, so that there is one reader and one apply at a time; requests are answered
/// from the picture meanwhile. Another one ends leases whose time or consumer has ended, so that a device that hangs
/// does not keep them.
final class HostKeeper: Sendable {
    let kernel: any HostKernel
    let manager: LeaseManager
    let ledger: Ledger
    let hub: EventHub
    let metrics = Metrics()
    let options: AgentOptions
    let logger: Logger
    /// Set when the agent is to end: an apply stops after the step at hand.
    let stop = Flag()
    /// Reasons to look at the leases.
    let work: Triggers
    /// Tells that the functions of pools may be others.
    let onPools: @Sendable () -> Void
    private let loop: any EventLoop
    let calls: Calls
    private let queue = SerialQueue()
    private let reads = SerialQueue()
    /// The kernel's messages on VFs.
    let messages = KernelMessages()
    /// Adds what others of the agent know of: libvirt's networks and machines.
    let otherFacts = Mutex<@Sendable (inout HostFacts) -> Void> { _ in }
    let state: Mutex<State>

    struct State {
        var declared: DeclaredHost
        /// Devices that are not as declared, and why that is not mended.
        var drift: [String: String] = [:]
        /// Plans that were tried, so that a failure, or a quarrel with another program, is not repeated at every event.
        var attempts = Attempts()
        var isReady = false
        /// Requests that wait until it is ready.
        var waiting: [UInt64: EventLoopPromise<Bool>] = [:]
        var lastWaiting: UInt64 = 0
        /// The names of the host's models.
        var names = PCINames()
        var models: Set<PCIModel> = []
        /// What faults are told from beside the host itself.
        var facts = HostFacts()
        /// The audit daemon's denials when they were last read.
        var denials: [String] = []
        /// The faults that were told of, and their titles.
        var told: [FaultKey: String]?
        /// When the look at the host that is under way began; the health check looks at it.
        var refreshBegan: ContinuousClock.Instant?

        mutating func becomeReady() -> [EventLoopPromise<Bool>] {
            isReady = true
            return Array(waiting.values)
        }

        /// The number of one who waits; nil when there is nothing to wait for.
        mutating func wait(_ promise: EventLoopPromise<Bool>) -> UInt64? {
            guard !isReady else { return nil }
            lastWaiting += 1
            waiting[lastWaiting] = promise
            return lastWaiting
        }
    }

    init(
        kernel: any HostKernel, manager: LeaseManager, ledger: Ledger, declared: DeclaredHost, hub: EventHub,
        work: Triggers, onPools: @escaping @Sendable () -> Void = {}, options: AgentOptions, logger: Logger,
        loop: any EventLoop
    ) {
        self.kernel = kernel
        self.manager = manager
        self.ledger = ledger
        self.hub = hub
        self.work = work
        self.onPools = onPools
        self.options = options
        self.logger = logger
        self.loop = loop
        calls = Calls(loop: loop)
        state = Mutex(State(declared: declared))
    }

    var drift: [String: String] { state.withLock { $0.drift } }
    var isReady: Bool { state.withLock { $0.isReady } }
    var names: PCINames { state.withLock { $0.names } }

    /// Waits until the host has been looked at and is as declared, as far as it can be; false after a time.
    func readiness(within patience: Duration) async -> Bool {
        let answer = loop.makePromise(of: Bool.self)
        guard let number = state.withLock({ $0.wait(answer) }) else {
            answer.succeed(true)
            return true
        }
        let timer = loop.scheduleTask(in: TimeAmount(patience)) { answer.succeed(false) }
        defer {
            timer.cancel()
            state.withLock { _ = $0.waiting.removeValue(forKey: number) }
        }
        return await withTaskCancellationHandler {
            (try? await answer.futureResult.get()) ?? false
        } onCancel: {
            answer.succeed(false)
        }
    }

    /// Waits until it is ready, or the task is cancelled.
    func becomeReady() async { while !Task.isCancelled, !(await readiness(within: .seconds(3600))) {} }

    // MARK: The loops

    // Timers are the event loop's, which are on the clock that nobody can set. Those of Swift's tasks would bring a
    // dispatcher into the process that wakes up every second.

    /// Looks at the host whenever there is a reason to, until the triggers end or the task is cancelled. The first look
    /// is taken, and what follows from it done, before it says that it is ready.
    func run(_ triggers: Triggers, onReady: @Sendable () async -> Void) async {
        await start()
        for waiting in state.withLock({ $0.becomeReady() }) { waiting.succeed(true) }
        await onReady()
        var iterator = triggers.signals.makeAsyncIterator()
        while !Task.isCancelled {
            // The only timer: for a plan that is tried again.
            let timer = state.withLock { $0.attempts.next }.map { instant in
                loop.scheduleTask(in: TimeAmount(SuspendingClock.Instant.now.duration(to: instant))) {
                    triggers.add { $0.host = true }
                }
            }
            let isSignalled: Void? = await iterator.next()
            timer?.cancel()
            guard isSignalled != nil, !Task.isCancelled else { break }
            await calls.haveEnded()
            await walk(triggers.take())
        }
    }

    /// Ends leases whose time is over or whose consumer has gone, and finishes what is on its way back.
    func runLeases() async {
        var failures = 0
        var told: Set<String> = []
        var iterator = work.signals.makeAsyncIterator()
        while !Task.isCancelled {
            let work = work
            let timer = nextDeadline(failures).map { loop.scheduleTask(in: TimeAmount($0)) { work.add() } }
            let isSignalled: Void? = await iterator.next()
            timer?.cancel()
            guard isSignalled != nil, !Task.isCancelled else { break }
            guard isReady, !options.isObserveOnly else { continue }
            let errors = await manager.reconcile().map(\.message)
            for message in errors where !told.contains(message) { logger.error("\(message)") }
            told = Set(errors)
            failures = errors.isEmpty ? 0 : failures + 1
        }
    }

    /// When a lease ends by itself, or what could not be done is tried again: after a second, later every minute.
    private func nextDeadline(_ failures: Int) -> Duration? {
        guard !options.isObserveOnly else { return nil }
        if failures > 0 { return min(.seconds(1 << min(failures - 1, 6)), .seconds(60)) }
        return manager.millisecondsToNextDeadline.map { .milliseconds(max($0, 1)) }
    }

    private func walk(_ reasons: Triggers.Reasons) async {
        if reasons.reload { return await reload() }
        if reasons.host { return await refresh() }
        if reasons.facts {
            try? await blocking { [self] in readFacts(withAudit: false) }
            await tellFaults()
        }
        for link in reasons.settings where await isDrifted(link) { return await refresh() }
    }

    func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await queue.run(body)
    }

    /// Reads the ledger off the shared pool: a disk may be slow.
    func reading<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await reads.run(body)
    }

    // MARK: Looking

    /// The first look. The VFs come before the leases are compared with them: after a reboot none is there, and those of
    /// leases are made as their consumers need them.
    private func start() async {
        state.withLock { $0.refreshBegan = .now }
        defer { state.withLock { $0.refreshBegan = nil } }
        do {
            try await look(isStart: true)
            if options.isObserveOnly { await observe() } else { try await converge() }
        } catch {
            await note("error", "host", "the host cannot be read: \(error)")
        }
        if !options.isObserveOnly {
            for error in await manager.reconcile(isStart: true) { logger.error("\(error.message)") }
        }
        await tellFaults()
    }

    func refresh() async {
        state.withLock { $0.refreshBegan = .now }
        defer { state.withLock { $0.refreshBegan = nil } }
        do {
            try await look()
            if options.isObserveOnly { await observe() } else { try await mend() }
        } catch {
            await note("error", "host", "the host cannot be read: \(error)")
        }
        await tellFaults()
    }

    /// Brings leases and host into order.
    private func mend() async throws {
        // Whoever asks meanwhile for a VF of a port that lacks some waits for what becomes of it.
        let incomplete = try await blocking { [self] in incompletePorts() }
        defer { if !incomplete.isEmpty { onPools() } }
        try await manager.maintaining(incomplete) {
            // Before anything is mended: a lease whose VF was taken away must not get the one that is made in its place.
            if !(await manager.reconcile()).isEmpty { work.add() }
            try await converge()
        }
    }

    /// What would be done, if it were not only looked on.
    private func observe() async {
        do {
            let plan = try await blocking { [self] in try makePlan() }
            await tellDrift(plan, begun: manager.now)
        } catch {
            logger.error("no plan can be made: \(error)")
        }
    }

    /// The declared ports that have not as many VFs as are declared.
    private func incompletePorts() -> Set<PCIAddress> {
        let host = manager.observedHost
        let resolver = IdentityResolver(host: host, files: kernel.files, knownSerials: [:])
        return Set(
            state.withLock { $0.declared }.physicalFunctions.compactMap { declared in
                // What is not there or not clear is the planner's business to tell.
                guard let port = try? resolver.resolve(declared.identity) else { return nil }
                let address = port.pci.address
                return host.virtualFunctions(of: address).count == declared.virtualFunctions ? nil : address
            })
    }

    func look(isStart: Bool = false) async throws {
        let before = manager.observedHost
        let host = try await blocking { [self] in
            let moment = manager.moment
            let (host, serials) = try readHost()
            let pools = PoolSet(
                state.withLock { $0.declared }, host: host, files: kernel.files, knownSerials: serials)
            manager.update(host: host, pools: pools, begunAt: moment)
            onPools()
            readNames(of: host)
            readFacts(withAudit: false)
            return host
        }
        metrics.hostRead()
        if !isStart { await tellDifferences(before, host) }
    }

    /// The host as it is now, and the serial numbers of drives whose driver cannot tell them any more.
    func readHost() throws -> (host: Host, serials: [PCIAddress: String]) {
        let serials = try KnownSerials(state: options.state, files: kernel.files).current()
        return (try HostReader(kernel: kernel).read(knownSerials: serials), serials)
    }

    /// Names are read again only when there are new models: the file has 40,000 lines.
    func readNames(of host: Host) {
        let models = Set(host.functions.map(\.pci.model))
        guard state.withLock({ $0.models }) != models else { return }
        let names = PCINames.load(for: models, files: LiveFileTree())
        state.withLock { ($0.models, $0.names) = (models, names) }
    }

    private func tellDifferences(_ before: Host, _ after: Host) async {
        let old = Set(before.functions.filter(\.isAssignable).map(\.pci.address))
        let new = Set(after.functions.filter(\.isAssignable).map(\.pci.address))
        let added = after.functions.filter { $0.isAssignable && !old.contains($0.pci.address) }
        let removed = before.functions.filter { $0.isAssignable && !new.contains($0.pci.address) }
        await note(
            added.map { ("function.added", "\($0.pci.address)", "\($0.name) has appeared") }
                + removed.map { ("function.removed", "\($0.pci.address)", "\($0.name) is gone") })
    }

    /// Whether VFs of a port have other settings than they should. Cheap: one message, no look at the rest of the host.
    private func isDrifted(_ link: Int32) async -> Bool {
        let host = manager.observedHost
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

    // MARK: Telling

    func note(_ kind: String, _ subject: String, _ text: String) async { await note([(kind, subject, text)]) }

    func note(_ entries: [(kind: String, subject: String, text: String)]) async {
        for entry in entries {
            switch entry.kind {
            case "error": logger.error("\(entry.text)", metadata: ["subject": "\(entry.subject)"])
            case "drift": logger.warning("\(entry.subject): \(entry.text)")
            default: logger.notice("\(entry.subject): \(entry.text)")
            }
        }
        let time = manager.now
        do {
            try await ledger.note(
                entries.map { Note(time: time, kind: $0.kind, subject: $0.subject, text: $0.text) })
        } catch {
            logger.error("\(error)")
        }
    }

    // MARK: Health

    /// Throws when the look at the host does not end, or `ledger.unusable`.
    func checkHealth() throws {
        let isResponsive = state.withLock { $0.refreshBegan.map { $0.duration(to: .now) < .seconds(300) } ?? true }
        guard isResponsive else {
            throw Problem(
                status: 503, title: "Not healthy", detail: "a device has not answered for minutes", code: "device.hung",
                remedy: "dmesg says which; GET /v1/events tells what was being done")
        }
        _ = try ledger.reader.lastNumbers()
    }
}

/// Set once.
final class Flag: Sendable {
    private let flag = Atomic(false)
    var isSet: Bool { flag.load(ordering: .acquiring) }
    func set() { flag.store(true, ordering: .releasing) }
}

/// How often plans were tried of late. The same one is tried again after a second, then ever later: it fails, or somebody
/// else undoes it each time.
struct Attempts {
    private var tried: [String: (count: Int, last: SuspendingClock.Instant)] = [:]
    /// When a plan that was put off is due.
    private(set) var next: SuspendingClock.Instant?

    /// Whether a plan is tried now.
    mutating func isDue(_ plan: String, at now: SuspendingClock.Instant = .now) -> Bool {
        next = nil
        guard let due = due(plan), due > now else { return true }
        next = due
        return false
    }

    private func due(_ plan: String) -> SuspendingClock.Instant? {
        tried[plan].map { count, last in last + min(.seconds(1 << min(count - 1, 9)), .seconds(300)) }
    }

    /// Remembers that a plan was tried. One that failed is due again by itself, also when the kernel tells of nothing.
    mutating func add(_ plan: String, hasFailed: Bool = false, at now: SuspendingClock.Instant = .now) {
        tried[plan] = ((tried[plan]?.count ?? 0) + 1, now)
        next = hasFailed ? due(plan) : nil
    }

    /// Nothing differs: what has stayed quiet for ten minutes is forgotten.
    mutating func settle(at now: SuspendingClock.Instant = .now) {
        next = nil
        tried = tried.filter { now - $0.value.last < .seconds(600) }
    }

    /// How often a plan was tried.
    func count(of plan: String) -> Int { tried[plan]?.count ?? 0 }
}
