internal import AgentAPI
internal import Diagnosis
internal import Leasing
internal import Libvirt
internal import Logging
internal import NIOCore
internal import PCI
internal import SRIOV
internal import Synchronization

/// Follows one libvirt daemon: which domains run and what they have, and which networks hand out functions of pools.
///
/// One task keeps the connection and takes its events; another looks, whenever there is a reason to, at what they are
/// about. When a daemon ends, it is connected to again and everything is looked at anew.
final class Virtualization: Sendable {
    let uri: String
    let manager: LeaseManager
    let logger: Logger
    let isObserveOnly: Bool
    let loop: any EventLoop
    /// Tells that a domain has come or gone: who holds what is to be looked at.
    let onChange: @Sendable () -> Void
    /// Reasons to look at domains and networks.
    let work: Triggers
    /// Whether it is followed whatever the pools are for.
    private let isAlwaysWanted: Bool
    /// Yields when pools have come that are for libvirt.
    private let wanted = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let state = Mutex(State())
    let start = ContinuousClock.now
    /// When that was, milliseconds since 1970.
    let created: Int64
    /// How long libvirt may wait before it carries out a call whose caller is gone (VIR_JOB_WAIT_TIME in
    /// src/hypervisor/domain_job.c), and a little more.
    static let jobWait = Duration.seconds(35)
    /// Whoever changes networks or their ports has the turn.
    let networkTurn = Turnstile()
    private let reads = SerialQueue()

    struct State {
        var connection: Connection?
        var domains: [Domain] = []
        /// Whether they were looked at since the connection stands.
        var hasLooked = false
        /// Domains between the first hook of their start and the last of their end, by UUID.
        var starting: Set<String> = []
        /// Those of them whose last hook before they run has been answered, and when.
        var startsAnswered: [String: ContinuousClock.Instant] = [:]
        /// Those of them that have used nodes, and nobody has looked.
        var unseen: Set<String> = []
        /// What is wished for the interfaces of such domains, by UUID and MAC address.
        var wishes: [String: [String: InterfaceWish]] = [:]
        /// The pools of networks that are ours, by the networks' names.
        var pools: [String: String] = [:]
        /// How they were when they were last looked at.
        var networkFacts: [HostFacts.NetworkFacts] = []
        /// What each of them gives out, in its order.
        var lists: [String: [PCIAddress]] = [:]
        /// Functions that a network is about to give to a domain, by UUID: the network does not list them yet.
        var announced: [PCIAddress: String] = [:]
        /// The start of each domain that has not got what it gets of networks, by UUID.
        var startNumbers: [String: UInt64] = [:]
        /// The start that chooses what it gets of networks.
        var steering: Steering?
        /// What is kept from libvirt while a domain gets its own, by the network's name.
        var kept: [String: Set<PCIAddress>] = [:]
        /// Whether an event has been told of that is about to be looked after.
        var isLookDue = false
        /// How often it was looked in vain whether domains have opened what they have.
        var looksForOpening = 0
        /// Whether it is going to be looked again.
        var isLookPlanned = false
        /// Functions that are being attached to a running domain, by UUID.
        var attaching: [PCIAddress: String] = [:]
        /// Leases of attaches that libvirt has not answered for, and since when: it may still carry them out.
        var unanswered: [String: ContinuousClock.Instant] = [:]
        /// Domains that something was plugged into.
        var plugged: Set<String> = []
        /// Ports of networks that are of no domain, and since when, by the network's name.
        var strays: [String: [String: ContinuousClock.Instant]] = [:]
        /// What libvirt had written down of the domains that run when it was last away, by UUID.
        var written: [String: Set<PCIAddress>] = [:]
        /// Why there is no connection.
        var failure: LibvirtError?
        /// Those who wait until a device has left its domain.
        var departures: [Departure: [EventLoopPromise<Bool>]] = [:]
    }

    /// A device of a domain.
    struct Departure: Hashable {
        var uuid: String
        var alias: String
    }

    init(
        uri: String, isAlwaysWanted: Bool, manager: LeaseManager, isObserveOnly: Bool, work: Triggers, logger: Logger,
        loop: any EventLoop, onChange: @escaping @Sendable () -> Void
    ) {
        self.uri = uri
        self.isAlwaysWanted = isAlwaysWanted
        self.work = work
        self.manager = manager
        created = manager.now
        self.isObserveOnly = isObserveOnly
        self.logger = logger
        self.loop = loop
        self.onChange = onChange
        if uri == Self.system {
            let written = StatusFiles.functions()
            state.withLock { $0.written = written }
        }
    }

    /// Whether a domain starts, or runs and has a function, as far as libvirt has told or written down.
    func has(_ address: PCIAddress, in uuid: String) -> Bool {
        state.withLock { state in
            state.starting.contains(uuid) || state.attaching[address] == uuid
                || state.domains.contains { $0.uuid == uuid && $0.live?.functions.contains(address) ?? false }
                || !state.hasLooked && state.written[uuid]?.contains(address) ?? false
        }
    }

    /// Whether a VFIO node is one of those that a QEMU opens which libvirt is starting: that is no news, and what becomes
    /// of it libvirt tells.
    func isUseExpected(of node: String) -> Bool {
        let now = ContinuousClock.now
        let answered = state.withLock { $0.startsAnswered.filter { now - $0.value < Self.startPatience } }
        guard !answered.isEmpty else { return false }
        let host = manager.observedHost
        let lease = manager.leases.first { lease in
            lease.consumer.kind == .domain && answered[lease.consumer.identifier] != nil
                && host[lease.address]?.pci.iommuGroup.map { "/dev/vfio/\($0)" == node } ?? false
        }
        guard let uuid = lease?.consumer.identifier else { return false }
        let isFirst = state.withLock { $0.unseen.insert(uuid).inserted }
        // Should libvirt tell nothing, it is looked all the same.
        if isFirst {
            loop.scheduleTask(in: TimeAmount(Self.startPatience)) { [weak self] in
                if self?.state.withLock({ $0.unseen.remove(uuid) }) != nil { self?.onChange() }
            }
        }
        return true
    }

    /// How long a QEMU may take to start before its use of nodes is looked at like anybody's.
    private static let startPatience = Duration.seconds(20)

    /// Reads files and the ledger off the loop: a disk may be slow.
    func reading<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await reads.run(body)
    }

    /// The daemon of the host's virtual machines, which runs the hooks.
    static let system = "qemu:///system"

    /// The connection. Throws why there is none.
    func connection() throws -> Connection {
        let (connection, failure) = state.withLock { ($0.connection, $0.failure) }
        guard let connection else {
            throw failure
                ?? LibvirtError(
                    .unreachable, "there is no connection to \(uri) yet",
                    remedy: "systemctl status libvirtd virtqemud tells whether it runs")
        }
        return connection
    }

    // MARK: The tasks

    /// Keeps a connection until the task is cancelled.
    func run() async {
        var failures = 0
        var poolsOrEnd = wanted.stream.makeAsyncIterator()
        while !Task.isCancelled {
            // A host without such pools has nothing of libvirt in its memory.
            guard isWanted else {
                await poolsOrEnd.next()
                continue
            }
            do throws(LibvirtError) {
                let connection = try await Connection.open(uri)
                failures = 0
                state.withLock { ($0.connection, $0.failure) = (connection, nil) }
                logger.notice("connected to \(uri)")
                work.add { $0.host = true }
                for await event in connection.events { take(event) }
                logger.warning("the connection to \(uri) has ended")
            } catch {
                if failures == 0 { logger.warning("\(error.message)") }
                state.withLock { $0.failure = error }
            }
            await disconnected()
            failures += 1
            // A daemon that is not there is tried again, ever more rarely.
            try? await loop.sleep(for: .seconds(min(1 << min(failures - 1, 6), 60)))
        }
    }

    /// Whether it is followed: a pool is for it, or it was named.
    var isWanted: Bool { isAlwaysWanted || manager.pools.pools.contains { $0.declared.purpose == "libvirt" } }

    private func disconnected() async {
        // While libvirt is away nobody changes what it has written.
        let written = uri == Self.system ? (try? await reading { StatusFiles.functions() }) ?? [:] : [:]
        let (waiting, hasStood) = state.withLock { state in
            let hasStood = state.connection != nil || !state.unseen.isEmpty
            state.connection = nil
            state.hasLooked = false
            state.written = written
            // A start that was under way has ended with the daemon. What ran still runs, and the daemon will set its VFs
            // as they were when it finds that it has not: until it has been asked again, it has it.
            state.starting = []
            state.startsAnswered = [:]
            state.unseen = []
            state.wishes = [:]
            state.announced = [:]
            state.startNumbers = [:]
            state.kept = [:]
            state.strays = [:]
            defer { state.departures = [:] }
            return (state.departures.values.flatMap(\.self), hasStood)
        }
        for promise in waiting { promise.succeed(false) }
        endSteering()
        if hasStood { onChange() }
    }

    private func take(_ event: LibvirtEvent) {
        switch event {
        case .deviceRemoved(let uuid, let alias): depart(Departure(uuid: uuid, alias: alias), true)
        case .deviceRemovalFailed(let uuid, let alias): depart(Departure(uuid: uuid, alias: alias), false)
        case .deviceAdded(let uuid, _): state.withLock { _ = $0.plugged.insert(uuid) }
        case .domain: return lookSoon()
        default: break
        }
        work.add { $0.host = true }
    }

    /// Looks a little later.
    private func lookSoon() {
        // A start tells of itself several times, and libvirt is not done with it yet: one look a little later is enough.
        let isFirst = state.withLock { state in
            defer { state.isLookDue = true }
            return !state.isLookDue
        }
        guard isFirst else { return }
        loop.scheduleTask(in: .milliseconds(200)) { [weak self] in
            self?.state.withLock { $0.isLookDue = false }
            self?.work.add { $0.host = true }
        }
    }

    private func depart(_ departure: Departure, _ hasLeft: Bool) {
        let waiting = state.withLock { $0.departures.removeValue(forKey: departure) ?? [] }
        for promise in waiting { promise.succeed(hasLeft) }
    }

    /// Asks for a device to leave and waits until it has; false when the guest refuses, or does not answer in time.
    func departure(
        _ departure: Departure, within patience: Duration, _ ask: () async throws(LibvirtError) -> Void
    ) async throws -> Bool {
        let promise = loop.makePromise(of: Bool.self)
        // It is waited for before it is asked: the answer may be quicker than we are.
        state.withLock { $0.departures[departure, default: []].append(promise) }
        do {
            try await ask()
        } catch {
            depart(departure, false)
            throw error
        }
        let timer = loop.scheduleTask(in: TimeAmount(patience)) { promise.succeed(false) }
        defer { timer.cancel() }
        return (try? await promise.futureResult.get()) ?? false
    }

    /// Looks at domains and networks whenever there is a reason to.
    func runWork() async {
        var retries = 0
        for await _ in work.signals {
            guard !Task.isCancelled else { return }
            let reasons = work.take()
            guard let connection = state.withLock({ $0.connection }) else {
                if isWanted { wanted.continuation.yield() }
                continue
            }
            var failures = 0
            if reasons.kept {
                do { try await giveBackKept(connection) } catch { failures += tell(error) }
                // A start is no reason to look at anything else before it is over.
                if failures == 0, !reasons.host, !reasons.pools { continue }
            }
            for uuid in state.withLock({ state in
                defer { state.plugged = [] }
                return state.plugged
            }) {
                // libvirt has set MAC and VLAN of what was plugged in, and knows nothing of the rest.
                do { try await manager.restoreSettings(of: Consumer(.domain, uuid)) } catch { failures += tell(error) }
            }
            if reasons.host {
                do { try await lookAtDomains(connection) } catch { failures += tell(error) }
            }
            // Whose ports are whose is known only when the domains are.
            if !isObserveOnly, failures == 0, state.withLock({ $0.hasLooked }) {
                do { try await keepNetworks(connection) } catch { failures += tell(error) }
            }
            // What could not be done is tried again, ever more rarely.
            retries = failures > 0 ? min(retries + 1, 6) : 0
            if retries > 0 {
                loop.scheduleTask(in: .seconds(5 << Int64(retries - 1))) { [work] in work.add { $0.host = true } }
            }
        }
    }

    private func tell(_ error: any Error) -> Int {
        logger.warning("\(uri): \(error)")
        return 1
    }
}
