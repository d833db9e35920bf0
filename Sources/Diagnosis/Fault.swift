/// One thing that is wrong with a host: what, why, and how to mend it.
public struct Fault: Sendable {
    /// What is wrong, as it is known of any host.
    public var kind: FaultKind
    /// How bad it is.
    public var severity: Severity
    /// What is wrong here, in a few words, with the device's name.
    public var title: String
    /// What it is about: a device's address, a domain's or a network's name; nil for the host as a whole.
    public var subject: String?
    /// What was read, as facts that can be checked by hand.
    public var evidence: [String]
    /// Why it is so, or what follows from it, in a sentence.
    public var cause: String
    /// What to do, as commands where there are some, best first.
    public var remedies: [String]

    /// The stable identifier, such as `vf.quarantined`; Documentation/faults.md lists them.
    public var id: String { kind.id }

    /// How bad a fault is.
    public enum Severity: String, Sendable, Hashable, CaseIterable, Comparable {
        /// Something does not work.
        case error
        /// Something will not work when it is needed.
        case warning

        /// Worst first.
        public static func < (left: Self, right: Self) -> Bool { left == .error && right == .warning }
    }

    /// What `sluice doctor --fix` changes; nil where it can do nothing.
    public var fix: String?

    /// Makes a fault; what is not said is as with any host.
    init(
        _ kind: FaultKind, _ title: String? = nil, subject: String? = nil, evidence: [String] = [],
        cause: String? = nil, remedies: [String]? = nil, severity: Severity? = nil
    ) {
        self.kind = kind
        self.severity = severity ?? kind.severity
        self.title = title ?? kind.title
        self.subject = subject
        self.evidence = evidence
        self.cause = cause ?? kind.cause
        self.remedies = remedies ?? kind.remedies
        fix = kind.fix
    }
}
