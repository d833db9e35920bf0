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
    private struct State {
        /// Since when the kubelet, by its socket, has not named what a lease is for.
        var missing: [String: (since: ContinuousClock.Instant, kubelet: FileIdentity)] = [:]
    }
    private let state = Mutex(State())

    init(manager: LeaseManager, connection: KubeletConnection, checkpoint: KubeletCheckpoint) {
        self.manager = manager
        self.connection = connection
        self.checkpoint = checkpoint
    }

    /// Brings leases in line with what the kubelet says of some resources.
    ///
    /// Returns whether to ask again in a while. Throws when it does not answer; nothing is changed then.
    func follow(_ resources: [NodeResource]) async throws -> Bool {
        let allocated = manager.leases.compactMap(\.allocation?.identifier)
        guard let kubelet = FileIdentity(connection.socket) else { return !allocated.isEmpty }
        // Also of resources that are none any more: their pods go on.
        let pods = try await devices(of: Set(resources.map { "\($0.name)" } + allocated))
        for resource in resources {
            for member in resource.members {
                let address = member.function.pci.address
                guard let pod = pods["\(resource.name)"]?["\(address)"] else { continue }
                try? await hold(address, resource, pod)
            }
        }
        return await endOthers(pods, kubelet)
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
    private func hold(_ address: PCIAddress, _ resource: NodeResource, _ pod: String) async throws {
        let lease: Lease?
        if let known = manager.lease(at: address) {
            lease = known
        } else {
            lease = try await manager.adopt(address, for: resource.consumer, actor: "kubelet")
        }
        guard let lease, [.namespace, .allocation].contains(lease.consumer.kind) else { return }
        state.withLock { $0.missing[lease.missingKey] = nil }
        let isKnown = lease.consumer == resource.consumer || lease.returnsTo == resource.consumer
        if !isKnown || lease.pod ?? "" != pod {
            try await manager.note(lease, allocatedBy: resource.consumer, pod: pod)
        }
    }

    private func endOthers(_ pods: [String: [String: String]], _ kubelet: FileIdentity) async -> Bool {
        let checkpoint = checkpoint
        // What is not understood may name any of them.
        guard let recorded = await offLoop.run({ checkpoint.devices() }) else { return true }
        let now = ContinuousClock.now
        var isWaiting = false
        for lease in manager.leases {
            guard let consumer = lease.allocation,
                pods[consumer.identifier]?["\(lease.address)"] == nil,
                recorded[consumer.identifier]?.contains("\(lease.address)") != true
            else { continue }
            let since = state.withLock { state in
                if let missing = state.missing[lease.missingKey], missing.kubelet == kubelet { return missing.since }
                state.missing[lease.missingKey] = (now, kubelet)
                return now
            }
            if since.duration(to: now) >= Self.patience {
                do { try await manager.endAllocation(lease) } catch { isWaiting = true }
            } else {
                isWaiting = true
            }
        }
        let open = Set(manager.leases.map(\.missingKey))
        state.withLock { $0.missing = $0.missing.filter { open.contains($0.key) } }
        return isWaiting
    }
}

extension Lease {
    /// The allocation of the kubelet that it is of, or that a pod's interface has it from.
    var allocation: Consumer? { consumer.kind == .allocation ? consumer : returnsTo }

    /// What is allocated again is another one, also where the lease is the same.
    fileprivate var missingKey: String { "\(id) \(pod ?? "-")" }
}
