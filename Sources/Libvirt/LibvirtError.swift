/// What went wrong between us and libvirt.
public struct LibvirtError: Error, Sendable, Hashable {
    /// The stable code of a failure, for machines; Documentation/errors.md lists them.
    public struct Code: Sendable, Hashable, RawRepresentable {
        /// The stable string, such as `libvirt.refused`.
        public let rawValue: String
        /// Makes a code of its string.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The library is not installed, or too old.
        public static let missing = Code(rawValue: "libvirt.missing")
        /// The daemon cannot be reached, or the connection broke.
        public static let unreachable = Code(rawValue: "libvirt.unreachable")
        /// The daemon has not answered in time.
        public static let timeout = Code(rawValue: "libvirt.timeout")
        /// libvirt refused a request; its own text is in the message.
        public static let refused = Code(rawValue: "libvirt.refused")
        /// A document is not XML, or not what it should be.
        public static let malformed = Code(rawValue: "libvirt.malformed")
        /// There is no such domain.
        public static let noDomain = Code(rawValue: "domain.notFound")
        /// There is no such network.
        public static let noNetwork = Code(rawValue: "network.notFound")
    }

    /// The stable code.
    public var code: Code
    /// What went wrong.
    public var message: String
    /// What to do about it.
    public var remedy: String?
    /// libvirt's own error number (`virErrorNumber`), 0 when it was not libvirt that failed.
    public var number: Int32
    /// The part of libvirt that it came from (`virErrorDomain`).
    public var domain: Int32

    /// Makes an error of its parts.
    public init(_ code: Code, _ message: String, remedy: String? = nil, number: Int32 = 0, domain: Int32 = 0) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.number = number
        self.domain = domain
    }
}

extension LibvirtError: CustomStringConvertible {
    /// The message, its code and the remedy.
    public var description: String { "\(message)  [\(code.rawValue)]" + (remedy.map { "\n  → \($0)" } ?? "") }
}
