/// One thing that is wrong with a host: what, why, and how to mend it.
public struct Fault: Sendable, Hashable {
    /// The stable identifier, such as `vf.quarantined`; Documentation/faults.md lists them.
    public var id: String
    /// What is wrong, in a few words, with the device's name.
    public var title: String
    /// How bad it is.
    public var severity: Severity
    /// What it is about: a device's address, a domain's or a network's name; nil for the host as a whole.
    public var subject: String?
    /// What was read, as facts that can be checked by hand.
    public var evidence: [String]
    /// Why it is so, or what follows from it, in a sentence.
    public var cause: String
    /// What to do, as commands where there are some, best first.
    public var remedies: [String]

    /// How bad a fault is.
    public enum Severity: String, Sendable, Hashable, CaseIterable, Comparable {
        /// Something does not work.
        case error
        /// Something will not work when it is needed.
        case warning

        /// Worst first.
        public static func < (left: Self, right: Self) -> Bool { left == .error && right == .warning }
    }

    /// Makes a fault.
    public init(
        _ id: String, _ title: String, severity: Severity, subject: String? = nil, evidence: [String] = [],
        cause: String, remedies: [String]
    ) {
        self.id = id
        self.title = title
        self.severity = severity
        self.subject = subject
        self.evidence = evidence
        self.cause = cause
        self.remedies = remedies
    }
}
