/// Where a lease is in its life.
public enum LeaseState: String, Sendable, Hashable, CaseIterable {
    /// The function is chosen; nothing has been done to it.
    case reserved
    /// Its settings and its driver are being changed for the consumer.
    case preparing
    /// The consumer has it.
    case active
    /// It is taken back; whoever uses it has yet to let go.
    case releasing
    /// It is being reset and given the settings of a free function.
    case scrubbing
    /// The lease has ended, and the function is clean.
    case free
    /// The function could not be cleaned, and nobody gets it.
    case quarantined
    /// The function is gone: its VFs were removed, or its card. The lease is kept so that nobody else gets the function
    /// when it returns.
    case lost

    /// Whether the lease still keeps its function from others.
    public var isOpen: Bool { self != .free }
}

/// What can happen to a lease.
public enum LeaseEvent: String, Sendable, Hashable, CaseIterable {
    /// The function's state is saved; its change begins.
    case prepare
    /// The function is as the consumer needs it, and was read back.
    case prepared
    /// It cannot be made so.
    case prepareFailed
    /// The consumer, or a person, gives it back.
    case release
    /// The consumer's life has ended.
    case consumerGone
    /// The time to start, or the lease's time, is over.
    case expired
    /// Nobody uses the function any more.
    case holderGone
    /// The function is clean, and was read back.
    case scrubbed
    /// It could not be cleaned.
    case scrubFailed
    /// A person asks to try again.
    case repair
    /// The function is not there any more.
    case vanished
    /// The function is there again.
    case returned
    /// Another lease of the function takes its place.
    case handedOver
}

extension LeaseState {
    /// The state after an event; nil when the event changes nothing or cannot happen in this state.
    public func after(_ event: LeaseEvent) -> LeaseState? {
        switch (self, event) {
        case (.reserved, .prepare): .preparing
        // Nothing was done to the function, so there is nothing to clean.
        case (.reserved, .release), (.reserved, .expired), (.reserved, .consumerGone), (.reserved, .prepareFailed):
            .free
        case (.preparing, .prepared): .active
        case (.preparing, .prepareFailed), (.preparing, .release), (.preparing, .expired), (.preparing, .consumerGone):
            .releasing
        case (.active, .release), (.active, .expired), (.active, .consumerGone): .releasing
        // It is prepared for the other one as any function is.
        case (.active, .handedOver): .free
        case (.releasing, .holderGone): .scrubbing
        case (.scrubbing, .scrubbed): .free
        case (.scrubbing, .scrubFailed): .quarantined
        case (.quarantined, .repair): .releasing
        case (.reserved, .vanished), (.preparing, .vanished), (.active, .vanished), (.quarantined, .vanished): .lost
        // What was on its way back has nobody who would miss it.
        case (.releasing, .vanished), (.scrubbing, .vanished): .free
        // VFs that are made anew are new, but not known to be clean: their port may have kept their settings.
        case (.lost, .returned): nil
        case (.lost, .release), (.lost, .expired), (.lost, .consumerGone): .releasing
        default: nil
        }
    }
}
