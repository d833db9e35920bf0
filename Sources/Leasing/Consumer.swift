/// Whom a function is given to, and whose life the lease shares.
public struct Consumer: Sendable, Hashable {
    /// What kind of consumer it is.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// A libvirt domain, by UUID.
        case domain
        /// A network namespace, by path.
        case namespace
        /// A process, by number.
        case process
        /// A Neutron port, by UUID.
        case port
        /// What the kubelet has allocated to a pod, by resource: it does not say which pod, nor when that has ended.
        case allocation
        /// A person, by name, until the lease is released or its time is over.
        case person
    }

    /// What kind of consumer it is.
    public var kind: Kind
    /// Who it is among its kind.
    public var identifier: String
    /// What tells it from a later one with the same identifier: a process's start time in clock ticks since boot, a
    /// namespace's inode. nil where the identifier is enough.
    public var generation: UInt64?

    /// Makes a consumer.
    public init(_ kind: Kind, _ identifier: String, generation: UInt64? = nil) {
        self.kind = kind
        self.identifier = identifier
        self.generation = generation
    }
}

extension Consumer: LosslessStringConvertible {
    /// `domain:UUID`, `namespace:/run/netns/blue`, `process:4711`, `port:UUID`, `allocation:sluice.local/pods`,
    /// `person:alice`; with `@N` after it when there is a generation.
    public var description: String { "\(kind.rawValue):\(identifier)" + (generation.map { "@\($0)" } ?? "") }

    /// Parses what `description` writes. nil is anything else, and an identifier that its kind cannot have: UUIDs are
    /// lower or upper case with hyphens, paths absolute, process numbers positive, resources 1 to 317
    /// and names 1 to 128 visible characters.
    public init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":"), let kind = Kind(rawValue: String(text[..<colon])) else {
            return nil
        }
        var rest = text[text.index(after: colon)...]
        var generation: UInt64?
        if kind == .process || kind == .namespace, let at = rest.lastIndex(of: "@"),
            let number = UInt64(rest[rest.index(after: at)...])
        {
            generation = number
            rest = rest[..<at]
        }
        var identifier = String(rest)
        switch kind {
        case .domain, .port:
            guard Self.isUUID(rest) else { return nil }
            identifier = rest.lowercased()
        case .namespace:
            guard rest.hasPrefix("/"), rest.utf8.count < 4096, Self.isVisible(rest) else { return nil }
        case .process:
            guard let number = Int32(rest), number > 0, "\(number)" == rest else { return nil }
        case .allocation:
            // A prefix of 253, a slash and a name of 63 (Kubernetes, "Qualified name").
            guard (1...317).contains(rest.utf8.count), Self.isVisible(rest) else { return nil }
        case .person:
            guard (1...128).contains(rest.utf8.count), Self.isVisible(rest) else { return nil }
        }
        self.init(kind, identifier, generation: generation)
    }

    private static func isUUID(_ text: Substring) -> Bool {
        text.split(separator: "-", omittingEmptySubsequences: false).map(\.utf8.count) == [8, 4, 4, 4, 12]
            && text.allSatisfy { $0 == "-" || $0.isASCII && $0.isHexDigit }
    }

    private static func isVisible(_ text: Substring) -> Bool {
        text.unicodeScalars.allSatisfy { $0.value > 0x20 && !(0x7f...0x9f).contains($0.value) }
    }
}
