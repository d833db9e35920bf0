internal import AgentAPI
internal import Diagnosis
internal import HostFile
internal import Leasing
internal import Logging
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

extension HostKeeper {
    // MARK: By itself

    /// Plans from the host as it is to the declared state, and does what nobody's use forbids.
    func converge() async throws {
        let begin = manager.now
        let plan = try await blocking { [self] in try makePlan() }
        await tellDrift(plan, begun: begin)
        guard plan.stepCount > 0 else {
            state.withLock { $0.attempts.settle() }
            try await blocking { [self] in try settleJournal(plan) }
            return
        }
        let text = plan.devices.filter { !$0.steps.isEmpty }.map {
            "\($0.name): \($0.steps.map(\.title).joined(separator: ", "))"
        }.joined(separator: "; ")
        guard state.withLock({ $0.attempts.isDue(text) }), !stop.isSet else { return }
        logger.notice("applying: \(text)")
        let reports: [DeviceReport]
        do {
            reports = try await applying(plan) { [self] in try makePlan(only: $0) }
        } catch {
            state.withLock { $0.attempts.add(text, hasFailed: true) }
            await note("error", "apply", "the host file cannot be applied: \(error)")
            return
        }
        let errors = reports.flatMap(\.errors)
        state.withLock { $0.attempts.add(text, hasFailed: !errors.isEmpty) }
        await note(errors.map { ("error", $0.code.rawValue, $0.message) })
        await note(
            reports.filter { $0.errors.isEmpty && $0.stepsDone > 0 }.map {
                ("apply", $0.name, "\($0.stepsDone) steps done, \($0.verified) functions verified")
            })
        if state.withLock({ $0.attempts.count(of: text) }) == 3 {
            await note(
                "drift", "host", "the same steps are needed again and again; something else may undo them: \(text)")
        }
    }

    /// Applies a plan that is made anew under the lock: from here to the end no function of its devices is leased, and
    /// what is leased by now is in the second plan.
    private func applying(
        _ plan: Plan, onEvent: @escaping @Sendable (ApplyEvent) -> Void = { _ in },
        _ replan: @escaping @Sendable (Set<String>) throws -> Plan
    ) async throws -> [DeviceReport] {
        let clock = ContinuousClock()
        let start = clock.now
        let devices = Set(plan.devices.filter { !$0.steps.isEmpty }.compactMap(\.address))
        // During maintenance nobody can tell what is to become of these ports.
        defer { onPools() }
        return try await manager.maintaining(devices) {
            let reports = try await self.blocking { [self] in
                let lock = try ApplyLock.take(in: options.state, command: "sluiced") { [logger] holder in
                    logger.notice("waiting for another apply: \(holder)")
                    return true
                }
                defer { withExtendedLifetime(lock) {} }
                return try Applier(kernel: kernel, state: options.state).apply(
                    try replan(Set(devices.map { "\($0)" })), file: options.hostFile, time: Int(manager.now / 1000),
                    interrupted: Journal.interrupted(in: options.state), isStopped: { [stop] in stop.isSet },
                    onEvent: onEvent)
            }
            let hasFailed = reports.contains { !$0.errors.isEmpty }
            metrics.applied(in: clock.now - start, outcome: hasFailed ? "failed" : "done")
            // Whoever waits for these ports finds what has become of them.
            try await look()
            return reports
        }
    }

    /// The plan from the host as it is now, with leases in it.
    func makePlan(
        _ other: DeclaredHost? = nil, only: Set<String> = [], evicted: Set<String> = []
    ) throws -> Plan {
        // Leases first: one that comes meanwhile is seen as a VF that differs, and its holder keeps it from harm.
        var (host, serials) = try readHost()
        let leases = manager.leases
        host.add(leases)
        var planning = Planner.Options()
        planning.only = only
        planning.evicted = evicted
        planning.interrupted = try Journal.interrupted(in: options.state)?.owed ?? [:]
        planning.busy = try DeviceClaim.unreturned(in: options.state, deadline: nil)
        planning.knownSerials = serials
        let declared = other ?? state.withLock { $0.declared }
        let plan = try Planner.plan(to: declared, with: leases, on: host, kernel: kernel, options: planning)
        try planning.check(plan, on: host)
        return plan
    }

    /// Nothing is left to do: what an interrupted apply owed has been paid.
    private func settleJournal(_ plan: Plan) throws {
        guard let interrupted = try Journal.interrupted(in: options.state), interrupted.isSettled(by: plan, only: [])
        else { return }
        try Journal.close(in: options.state)
    }

    /// Says what is not as declared and cannot be mended, once.
    func tellDrift(_ plan: Plan, begun: Int64) async {
        let changing = Set(
            manager.leases.filter {
                // libvirt sets what a domain gets while it starts, and what it cannot set follows.
                $0.state != .active || $0.changed >= begun || manager.isInHandsOfLibvirt($0)
            }.map(\.address))
        var drift: [String: String] = [:]
        for device in plan.devices {
            for refusal in device.refusals {
                // What is being prepared or cleaned for a lease is on its way.
                if !refusal.holders.isEmpty, refusal.holders.allSatisfy({ changing.contains($0.address) }) { continue }
                drift[device.name] = refusal.error.message
            }
        }
        // What has steps is being mended; only who looks on leaves it.
        var refused = plan
        refused.devices = plan.devices.filter { drift[$0.name] != nil }
        if !options.isObserveOnly { for index in refused.devices.indices { refused.devices[index].steps = [] } }
        let before = state.withLock { state in
            defer { (state.drift, state.facts.plan) = (drift, refused) }
            return state.drift
        }
        await note(
            drift.sorted { $0.key < $1.key }.filter { before[$0.key] != $0.value }.map { ("drift", $0.key, $0.value) }
                + before.keys.sorted().filter { drift[$0] == nil }.map { ("drift", $0, "is as declared again") })
    }

    // MARK: The host file

    /// Reads the host file again; one with mistakes changes nothing.
    func reload() async {
        Systemd.notify("RELOADING=1\nMONOTONIC_USEC=\(monotonicMicroseconds())")
        defer { Systemd.notify("READY=1") }
        do {
            try await blocking { [self] in try takeOver(try HostFile.text(of: options.hostFile)) }
            await note("apply", options.hostFile, "the host file was read again")
        } catch {
            await note("error", "hostfile.invalid", "the host file is not taken over: \(error)")
        }
        await refresh()
    }

    private func takeOver(_ text: String) throws {
        let declared = try HostFile.parse(text, file: options.hostFile)
        let (host, serials) = (
            manager.observedHost, try KnownSerials(state: options.state, files: kernel.files).current()
        )
        let pools = PoolSet(declared, host: host, files: kernel.files, knownSerials: serials)
        if let overlap = pools.overlaps.first { throw overlap }
        state.withLock {
            $0.declared = declared
            $0.attempts = Attempts()
        }
        manager.update(host: host, pools: pools)
        onPools()
    }

    // MARK: Requests

    /// The plan to a host file that is sent, or to the agent's own.
    func plan(_ body: PlanBody) async throws -> Plan {
        try await blocking { [self] in
            let declared = try body.hostFile.map { try HostFile.parse($0, file: body.name ?? "hostFile") }
            return try makePlan(declared, only: Set(body.only ?? []), evicted: Set(body.evict ?? []))
        }
    }

    /// Applies as `sluice apply` does, under the same lock and with the same journal. Only the agent's own host file can
    /// be applied: any other would be undone at the next event.
    func apply(
        _ body: PlanBody, onEvent: @escaping @Sendable (ApplyEvent) -> Void = { _ in }
    ) async throws -> [DeviceReport] {
        if let text = body.hostFile { try await blocking { [self] in try adopt(text, body) } }
        let evicted = Set(body.evict ?? [])
        let plan = try await plan(PlanBody(only: body.only, evict: body.evict))
        guard plan.stepCount > 0 else {
            try await blocking { [self] in try settleJournal(plan) }
            return []
        }
        return try await applying(plan, onEvent: onEvent) { [self] in try makePlan(only: $0, evicted: evicted) }
    }

    /// Takes over the host file that is to be applied, if it has changed since it was read.
    private func adopt(_ text: String, _ body: PlanBody) throws {
        guard text == (try? HostFile.text(of: options.hostFile)) else {
            throw SRIOVError(
                .foreignHostFile,
                "the agent keeps this host as \(options.hostFile) says, and would undo another file",
                remedy: "install the file there, then sluice apply")
        }
        // Adopted is the whole file: the rest of it would follow by itself.
        let isNew = try HostFile.parse(text, file: options.hostFile) != state.withLock { $0.declared }
        guard !isNew || body.only?.isEmpty ?? true else {
            throw SRIOVError(
                .foreignHostFile,
                "\(options.hostFile) has changed since the agent read it, so all of it is applied",
                remedy: "leave --only out, or reload the agent first")
        }
        if isNew { try takeOver(text) }
    }

    func metricsText(withCounters: Bool) async throws -> String {
        var counters: [(Function, VirtualFunctionStatistics)]?
        if withCounters {
            let kernel = kernel
            let links = try await blocking { try kernel.links(.statistics) }
            let host = manager.observedHost
            counters = host.functions.compactMap { function in
                guard let parent = function.pci.physicalFunction, let index = function.index,
                    let link = links.first(where: { $0.device?.name == "\(parent)" }),
                    let report = link.virtualFunctions.first(where: { $0.index == UInt32(index) })
                else { return nil }
                return report.statistics.map { (function, $0) }
            }
        }
        return metrics.text(manager: manager, faults: faults, drift: drift.count, counters: counters)
    }
}
