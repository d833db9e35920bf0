internal import Leasing
internal import PCI
internal import SRIOV
internal import Synchronization

/// Finds out which pods the kubelet has allocated functions for, before a pod's interface takes one: a network's configuration
/// may name a function itself, and is not to get another pod's.
final class AllocationNames: Sendable {
    private let manager: LeaseManager
    private let ask: @Sendable () async -> Bool
    private let turn = Turnstile()
    /// When the kubelet last did not answer.
    private let silence = Mutex<ContinuousClock.Instant?>(nil)

    init(manager: LeaseManager, ask: @escaping @Sendable () async -> Bool) {
        self.manager = manager
        self.ask = ask
    }

    /// Makes the lease of an allocated function say which pod it is for, where it does not yet and the kubelet answers.
    func learn(_ device: PCIAddress) async {
        let began = ContinuousClock.now
        guard isUnknown(device) else { return }
        await turn.enter()
        defer { turn.leave() }
        // The answer to whoever has asked before may have told it; and nobody waits twice for one that does not answer.
        guard isUnknown(device), silence.withLock({ $0.map { $0 < began } ?? true }) else { return }
        if !(await ask()) { silence.withLock { $0 = .now } }
    }

    private func isUnknown(_ device: PCIAddress) -> Bool {
        manager.lease(at: device).map { $0.allocation != nil && $0.pod == nil } ?? false
    }
}
