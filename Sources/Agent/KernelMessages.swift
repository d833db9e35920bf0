internal import PCI
internal import SRIOV
internal import Synchronization

/// The newest of the kernel's messages that faults are told from.
final class KernelMessages: Sendable {
    private static let capacity = 500

    /// Renamed netdevs are many where pods come and go: they push nothing else out, and are no news.
    private static let renames = 100

    private let kept = Mutex<[KernelLog.Message]>([])

    /// The messages, oldest first, without those that somebody has cleared (dmesg -C) since.
    var lines: [String] {
        let first = KernelLog.clearedBefore()
        return kept.withLock { kept in
            kept.removeAll { $0.sequence < first }
            return kept.map(\.text)
        }
    }

    /// Keeps what the kernel itself has forgotten; before it is followed.
    func addForgotten() {
        addForgotten(KernelLog.forgotten(where: RelevantLog.isRelevant))
    }

    /// The newest of each kind, in their order.
    func addForgotten(_ past: [String]) {
        var (renames, others) = (Self.renames, Self.capacity / 2)
        let newest = past.reversed().filter { line in
            if RelevantLog.isRename(line) {
                renames -= 1
                return renames >= 0
            }
            others -= 1
            return others >= 0
        }
        kept.withLock { kept in kept = newest.reversed().map { KernelLog.Message(sequence: 0, text: $0) } }
    }

    /// Keeps a message; false for one that concerns nothing here.
    func add(_ message: KernelLog.Message) -> Bool {
        guard RelevantLog.isRelevant(message.text) else { return false }
        let isRename = RelevantLog.isRename(message.text)
        kept.withLock { kept in
            if isRename, kept.count(where: { RelevantLog.isRename($0.text) }) >= Self.renames,
                let oldest = kept.firstIndex(where: { RelevantLog.isRename($0.text) })
            {
                kept.remove(at: oldest)
            }
            kept.append(message)
            if kept.count > Self.capacity { kept.removeFirst(Self.capacity / 2) }
        }
        return !isRename
    }
}
