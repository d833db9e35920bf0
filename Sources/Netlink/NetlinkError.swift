public import SystemPackage

/// Why a netlink request failed: the kernel's errno and, where it gave one, its own sentence.
public struct NetlinkError: Error, Sendable, Hashable {
    /// What kind of failure it is; stable, for machines.
    public struct Code: Sendable, Hashable, RawRepresentable {
        /// The stable string, such as `netlink.refused`.
        public let rawValue: String
        /// Makes a code of its string.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The kernel answered the request with an error.
        public static let refused = Code(rawValue: "netlink.refused")
        /// A system call on the socket failed.
        public static let socket = Code(rawValue: "netlink.socket")
        /// The kernel did not answer within the deadline.
        public static let timeout = Code(rawValue: "netlink.timeout")
        /// A message could not be understood.
        public static let malformed = Code(rawValue: "netlink.malformed")
        /// The state changed during every one of several dumps.
        public static let interrupted = Code(rawValue: "netlink.interrupted")
    }

    /// What kind of failure it is.
    public var code: Code
    /// What was asked, as a phrase: `set VF 3 of eno49`.
    public var operation: String
    /// The kernel's errno; nil when the failure is not the kernel's.
    public var errno: Errno?
    /// The kernel's own text (extended acknowledgement), or what is wrong with a message.
    public var text: String?

    /// Makes an error of its parts.
    public init(_ code: Code, _ operation: String, errno: Errno? = nil, text: String? = nil) {
        self.code = code
        self.operation = operation
        self.errno = errno
        self.text = text
    }

    /// Whether a driver says that it cannot do what was asked (EOPNOTSUPP).
    public var isUnsupported: Bool { errno?.rawValue == 95 }
}

extension NetlinkError: CustomStringConvertible {
    /// One sentence: what was asked, the errno's meaning, the kernel's text.
    public var description: String {
        var parts = [operation]
        if let errno { parts.append("\(errno) (\(errnoName(errno)))") }
        if let text { parts.append(text) }
        if errno == nil, text == nil { parts.append(code.rawValue) }
        return parts.joined(separator: ": ")
    }
}

/// The symbolic name of the errnos that netlink and sysfs answer with, `errno N` for others.
package func errnoName(_ errno: Errno) -> String {
    switch errno.rawValue {
    case 1: "EPERM"
    case 2: "ENOENT"
    case 5: "EIO"
    case 6: "ENXIO"
    case 11: "EAGAIN"
    case 12: "ENOMEM"
    case 13: "EACCES"
    case 16: "EBUSY"
    case 17: "EEXIST"
    case 19: "ENODEV"
    case 22: "EINVAL"
    case 28: "ENOSPC"
    case 30: "EROFS"
    case 34: "ERANGE"
    case 90: "EMSGSIZE"
    case 95: "EOPNOTSUPP"
    case 99: "EADDRNOTAVAIL"
    case 105: "ENOBUFS"
    case 110: "ETIMEDOUT"
    default: "errno \(errno.rawValue)"
    }
}
