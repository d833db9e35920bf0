internal import Diagnosis
internal import Leasing
internal import Logging
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

/// Which fault of which device.
struct FaultKey: Hashable {
    var id: String
    var subject: String

    init(_ fault: Fault) {
        id = fault.id
        subject = fault.subject ?? "host"
    }
}

extension HostKeeper {
    /// What faults are told from, as it is now. The audit daemon's log is long: it is read when somebody asks, and at the
    /// start; the kernel's own tells by itself.
    func readFacts(withAudit: Bool = true) {
        let denials = withAudit ? AuditLog.denials() : state.withLock { $0.denials }
        let links = manager.observedHost.functions.filter { $0.pci.physicalFunction != nil }.compactMap(\.link?.index)
        let facts = HostFacts(reading: kernel.files, log: messages.lines + denials, links: Set(links))
        state.withLock { state in
            let plan = state.facts.plan
            (state.facts, state.denials) = (facts, denials)
            state.facts.plan = plan
        }
    }

    /// What is wrong with the host now.
    var faults: [Fault] { Diagnosis.faults(of: manager.host, facts) }

    /// What faults are told from, with what the agent and libvirt know.
    var facts: HostFacts {
        var facts = state.withLock { $0.facts }
        let occupied = manager.occupied
        facts.pools = manager.pools.pools.map { pool in
            HostFacts.PoolFacts(
                name: pool.name, free: pool.members.count { occupied[$0.identity] == nil }, total: pool.members.count)
        }
        facts.handedOut = Set(manager.pools.allMembers.map(\.function.pci.address))
        otherFacts.withLock { $0 }(&facts)
        return facts
    }

    /// What is wrong, with files and the kernel's log as they are this moment: nothing tells when a file has changed.
    func currentFaults() async throws -> [Fault] {
        try await reading { [self] in readFacts() }
        return faults
    }

    /// Says which faults have come, and which are mended. What there is at the start is known to be there.
    func tellFaults() async {
        let now = Dictionary(faults.map { (FaultKey($0), $0.title) }, uniquingKeysWith: { first, _ in first })
        let before = state.withLock { state in
            defer { state.told = now }
            return state.told
        }
        guard let before else {
            if !now.isEmpty { logger.notice("\(now.count) faults; sluice doctor explains them") }
            return
        }
        let come = now.filter { before[$0.key] == nil }.map { ("fault", $0.key.subject, "\($0.value)  [\($0.key.id)]") }
        let gone = before.filter { now[$0.key] == nil }.map {
            ("fault", $0.key.subject, "no longer: \($0.value)  [\($0.key.id)]")
        }
        let entries = (come + gone).sorted { ($0.1, $0.2) < ($1.1, $1.2) }
        if !entries.isEmpty { await note(entries) }
    }
}
