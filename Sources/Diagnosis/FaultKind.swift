/// A fault as it is known of any host: what it is, why it comes, what to do. Found on a host it is a `Fault`.
public struct FaultKind: Sendable {
    /// The stable identifier, such as `vf.quarantined`.
    public let id: String
    /// What is wrong, in a few words.
    public let title: String
    /// How bad it is.
    public let severity: Fault.Severity
    /// Why it is so, or what follows from it, in a sentence.
    public let cause: String
    /// What to do, as commands where there are some, best first.
    public let remedies: [String]
    /// What is read to find it; nil for what only a message tells of.
    public let detection: String?
    /// Messages that mean it.
    public let messages: [KnownMessage]
    /// What `sluice doctor --fix` changes; nil where that is somebody else's business.
    public let fix: String?

    init(
        _ id: String, _ title: String, severity: Fault.Severity = .error, found detection: String? = nil,
        cause: String, _ remedies: [String], messages: [KnownMessage] = [], fix: String? = nil
    ) {
        self.id = id
        self.title = title
        self.severity = severity
        self.cause = cause
        self.remedies = remedies
        self.detection = detection
        self.messages = messages
        self.fix = fix
    }

    /// All that are known, by identifier.
    public static let all: [FaultKind] = [
        hostKinds, groupKinds, portKinds, functionKinds, accessKinds, domainKinds, networkKinds, storageKinds,
        persistenceKinds,
    ].flatMap(\.self).sorted { $0.id < $1.id }

    /// Why it comes: one sentence for each way in which it does.
    public var allCauses: [String] { Self.unique([cause] + messages.compactMap(\.cause)) }

    /// Whatever is to be done, in each of these cases.
    public var allRemedies: [String] { Self.unique(remedies + messages.flatMap { $0.remedies ?? [] }) }

    private static func unique(_ texts: [String]) -> [String] {
        var seen: Set<String> = []
        return texts.filter { seen.insert($0).inserted }
    }

    /// The kind with an identifier, upper and lower case alike.
    public static func named(_ id: String) -> FaultKind? {
        all.first { $0.id.lowercased() == id.lowercased() }
    }
}
