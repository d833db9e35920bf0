public import SRIOV

/// Compares the ledger with the kernel and the holders, and says what follows. A pure function over values;
/// Documentation/reconciliation.md has the same rules as a table.
public enum Reconciler {
    /// What is known about a lease's function and consumer now.
    public struct Facts: Sendable {
        /// Whether the function is there.
        public var isPresent: Bool
        /// Who uses it.
        public var holders: [Holder]
        /// Whether the consumer lives; nil when nothing can tell.
        public var isConsumerAlive: Bool?
        /// Whether the lease's time is over.
        public var isOver: Bool

        /// Makes facts.
        public init(isPresent: Bool, holders: [Holder], isConsumerAlive: Bool?, isOver: Bool) {
            self.isPresent = isPresent
            self.holders = holders
            self.isConsumerAlive = isConsumerAlive
            self.isOver = isOver
        }
    }

    /// What follows.
    public enum Action: Sendable, Hashable {
        /// The lease goes through an event, for a reason.
        case event(LeaseEvent, String)
        /// The lease's return goes on: nobody holds the function any more, or the program was stopped in between.
        case finish
        /// Somebody uses the function for the first time.
        case noteHeld
    }

    /// What follows for one lease.
    public static func action(for lease: Lease, _ facts: Facts) -> Action? {
        guard lease.state.isOpen else { return nil }
        switch lease.state {
        case .reserved, .preparing, .active, .lost:
            // Who was not seen before uses it now: its time to start is not over.
            if facts.isPresent, lease.state == .active, !facts.holders.isEmpty, !lease.wasHeld { return .noteHeld }
            if facts.isOver { return .event(.expired, overText(lease)) }
            if facts.isConsumerAlive == false {
                return .event(.consumerGone, "\(lease.consumer) is gone")
            }
            guard facts.isPresent else { return vanished(lease) }
            guard lease.state == .active, facts.holders.isEmpty else { return nil }
            // A domain that let go has ended, or its device was unplugged; a namespace that gave the netdev back is
            // being deleted. A process or a person may open the function again. Of a domain that libvirt still has,
            // libvirt is about to set the function as it was before: whoever follows it gives the lease back after that.
            if lease.wasHeld, facts.isConsumerAlive != true, [.domain, .namespace].contains(lease.consumer.kind) {
                return .event(.consumerGone, "\(lease.consumer) does not use it any more")
            }
            return nil
        case _ where !facts.isPresent: return vanished(lease)
        case .releasing: return facts.holders.isEmpty ? .finish : nil
        case .scrubbing: return .finish
        case .quarantined, .free: return nil
        }
    }

    private static func vanished(_ lease: Lease) -> Action? {
        lease.state.after(.vanished) == nil ? nil : .event(.vanished, "the function is not there any more")
    }

    private static func overText(_ lease: Lease) -> String {
        switch lease.state {
        case .active where lease.consumer.kind == .domain && !lease.wasHeld: "\(lease.consumer) has not started in time"
        case .active: "its time is over"
        default: "it was not finished in time"
        }
    }
}
