/// The name of an extended resource of Kubernetes: `intel.com/sriov_net`.
public struct ResourceName: Sendable, Hashable {
    /// Whose it is: a DNS name.
    public let prefix: String
    /// What it is, among the prefix's.
    public let name: String

    /// The prefix of pools that name no resource.
    public static let defaultPrefix = "sluice.local"

    /// A name of its parts; nil when Kubernetes would refuse it ("Qualified name" in its API conventions): a prefix that is a
    /// DNS name of at most 244 bytes (quotas have it with `requests.` before), outside of kubernetes.io, and 1 to 63 letters, digits, `-`, `_` and `.` with a letter
    /// or digit at either end.
    public init?(prefix: String, name: String) {
        guard Self.isDomain(prefix), !prefix.hasSuffix("kubernetes.io"), !prefix.hasPrefix("requests."),
            (1...63).contains(name.utf8.count), Self.hasAlphanumericEnds(name[...]),
            name.utf8.allSatisfy({
                Self.isAlphanumeric($0) || [UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ".")].contains($0)
            })
        else { return nil }
        self.prefix = prefix
        self.name = name
    }

    private static func isDomain(_ text: String) -> Bool {
        (1...244).contains(text.utf8.count)
            && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
                (1...63).contains(label.utf8.count) && hasAlphanumericEnds(label)
                    && label.utf8.allSatisfy {
                        isAlphanumeric($0) && !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
                            || $0 == UInt8(ascii: "-")
                    }
            }
    }

    private static func hasAlphanumericEnds(_ text: Substring) -> Bool {
        text.utf8.first.map(isAlphanumeric) ?? false && text.utf8.last.map(isAlphanumeric) ?? false
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}

extension ResourceName: LosslessStringConvertible {
    /// `PREFIX/NAME`.
    public var description: String { "\(prefix)/\(name)" }

    /// Parses `PREFIX/NAME`.
    public init?(_ text: String) {
        guard let slash = text.firstIndex(of: "/") else { return nil }
        self.init(prefix: String(text[..<slash]), name: String(text[text.index(after: slash)...]))
    }
}
