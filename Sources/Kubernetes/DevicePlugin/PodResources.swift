internal import GRPCCore
internal import KubeletAPI
internal import Leasing
internal import PCI
internal import SRIOV
internal import Synchronization

/// Follows what the kubelet says of which pods have which devices: it alone knows when an allocation has ended.
///
/// What it does not name any more is given back only when it has not named it for a while, nor has it down in its record: a
/// kubelet that has just started knows of no pods yet.
final class PodResources: Sendable {
    /// How long an allocation is kept that the kubelet does not name.
    static let patience = Duration.seconds(30)

    private let manager: LeaseManager
    private let connection: KubeletConnection
    private let checkpoint: KubeletCheckpoint
    private let offLoop = SerialQueue()
    private let turn = Turnstile()
    private struct Missing {
        var since: ContinuousClock.Instant
        var kubelet: FileIdentity
        /// When the kubelet was last made to write its record anew.
        var told: ContinuousClock.Instant?
    }
    /// What leases are for that the kubelet, by its socket, does not name.
    private let missing = Mutex<[String: Missing]>([:])

    init(manager: LeaseManager, connection: KubeletConnection, checkpoint: KubeletCheckpoint) {
        self.manager = manager
        self.connection = connection
        self.checkpoint = checkpoint
    }

    /// What has come of a question.
    struct Outcome {
        /// Whether the kubelet was there to answer.
        var isAnswer = true
        /// Whether to ask again in a while.
        var isOpen = false
        /// Whether the kubelet has something down that it does not name: told a list once more, it writes its record anew.
        var isStale = false
    }

    /// What the kubelet, by its socket, has said: the pod of each device, by resource.
    struct Answer {
        fileprivate var pods: [String: [String: String]]
        /// Functions that are there again, and what their lost leases were for.
        fileprivate var returned: [(lease: Lease, pod: String)] = []
        fileprivate var kubelet: FileIdentity
    }

    /// Notes which pods have which devices of some resources: one question at a time, so that an older answer is not the last.
    /// nil where there is no kubelet.
    ///
    /// Throws when it does not answer; nothing is changed then.
    func learn(_ resources: [NodeResource]) async throws -> Answer? {
        await turn.enter()
        defer { turn.leave() }
        let leases = manager.leases
        let allocated = leases.compactMap(\.allocation?.identifier)
        guard let kubelet = FileIdentity(connection.socket) else { return nil }
        // Also of resources that are none any more: their pods go on.
        let pods = try await devices(of: Set(resources.map { "\($0.name)" } + allocated))
        var returned: [(lease: Lease, pod: String)] = []
        for resource in resources {
            for member in resource.members {
                let address = member.function.pci.address
                guard let pod = pods["\(resource.name)"]?["\(address)"] else { continue }
                // Of a lease that has begun since, the answer says nothing.
                let lease = manager.lease(at: address)
                if let lease, !leases.contains(where: { $0.id == lease.id }) { continue }
                if let lease, lease.state == .lost, lease.consumer == resource.consumer {
                    returned.append((lease, pod))
                } else {
                    try? await hold(address, resource.consumer, pod)
                }
            }
        }
        return Answer(pods: pods, returned: returned, kubelet: kubelet)
    }

    /// The pod of each device, by resource.
    private func devices(of resources: Set<String>) async throws -> [String: [String: String]] {
        let response = try await connection.call { client, options in
            try await V1_PodResourcesLister.Client(wrapping: client).list(.init(), options: options)
        }
        var devices: [String: [String: String]] = [:]
        for pod in response.podResources {
            // One whose name cannot be shown has its devices all the same.
            let name = PodName.text(pod.namespace, pod.name) ?? ""
            for device in pod.containers.flatMap(\.devices) where resources.contains(device.resourceName) {
                for id in device.deviceIds { devices[device.resourceName, default: [:]][id] = name }
            }
        }
        return devices
    }

    /// Notes that the kubelet has given a function to a pod, also when that was before this program came.
    private func hold(_ address: PCIAddress, _ consumer: Consumer, _ pod: String) async throws {
        let lease: Lease?
        if let known = manager.lease(at: address) {
            lease = known
        } else {
            lease = try await manager.adopt(address, for: consumer, actor: "kubelet")
        }
        guard let lease, [.namespace, .allocation].contains(lease.consumer.kind) else { return }
        missing.withLock { $0[lease.missingKey] = nil }
        let isKnown = lease.consumer == consumer || lease.returnsTo == consumer
        if !isKnown || lease.pod ?? "" != pod {
            try await manager.note(lease, allocatedBy: consumer, pod: pod)
        }
    }

    /// Gives pods back what was away with its card: what is there now is another function, which is cleaned for the pod that
    /// waits for its interface.
    private func giveBack(_ returned: [(lease: Lease, pod: String)]) async {
        for (lease, pod) in returned {
            guard let ended = try? await manager.release(lease.id, actor: "kubelet"), ended.state == .free else {
                continue
            }
            try? await hold(lease.address, lease.consumer, pod)
        }
    }

    /// Ends what an answer has not named for a while. Devices are cleaned meanwhile, so nobody waits for it.
    func endOthers(_ answer: Answer?) async -> Outcome {
        guard let answer else {
            return Outcome(isAnswer: false, isOpen: manager.leases.contains { $0.allocation != nil })
        }
        await giveBack(answer.returned)
        let (pods, kubelet) = (answer.pods, answer.kubelet)
        let checkpoint = checkpoint
        // What is not understood may name any of them.
        guard let recorded = await offLoop.run({ checkpoint.devices() }) else {
            return Outcome(isOpen: true)
        }
        let now = ContinuousClock.now
        var outcome = Outcome()
        for lease in manager.leases {
            guard let consumer = lease.allocation,
                pods[consumer.identifier]?["\(lease.address)"] == nil
            else { continue }
            let since = missing.withLock { missing in
                if let known = missing[lease.missingKey], known.kubelet == kubelet { return known.since }
                missing[lease.missingKey] = Missing(since: now, kubelet: kubelet)
                return now
            }
            outcome.isOpen = true
            guard since.duration(to: now) >= Self.patience else { continue }
            if recorded[consumer.identifier]?.contains("\(lease.address)") ?? false {
                let isDue = missing.withLock { missing in
                    let told = missing[lease.missingKey]?.told
                    guard told.map({ $0.duration(to: now) >= Self.patience }) ?? true else { return false }
                    missing[lease.missingKey]?.told = now
                    return true
                }
                if isDue { outcome.isStale = true }
            } else {
                try? await manager.endAllocation(lease)
            }
        }
        let open = Set(manager.leases.map(\.missingKey))
        missing.withLock { missing in missing = missing.filter { open.contains($0.key) } }
        return outcome
    }
}

extension Lease {
    /// The allocation of the kubelet that it is of, or that a pod's interface has it from.
    var allocation: Consumer? { consumer.kind == .allocation ? consumer : returnsTo }

    /// What is allocated again is another one, also where the lease is the same.
    fileprivate var missingKey: String { "\(id) \(pod ?? "-")" }
}
