public import SystemPackage

/// Why a file of sysfs or procfs could not be read or written.
public struct PCIError: Error, Sendable, Hashable {
    /// What kind of failure it is; stable, for machines.
    public struct Code: Sendable, Hashable, RawRepresentable {
        /// The stable string, such as `sysfs.write`.
        public let rawValue: String
        /// Makes a code of its string.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// A file could not be read.
        public static let read = Code(rawValue: "sysfs.read")
        /// The kernel or its driver refused a write.
        public static let write = Code(rawValue: "sysfs.write")
        /// A write did not come back within its deadline.
        public static let hung = Code(rawValue: "sysfs.hung")
        /// What was read after a write is not what was written.
        public static let unverified = Code(rawValue: "driver.unverified")
        /// A recorded host cannot be changed.
        public static let recorded = Code(rawValue: "host.recorded")
    }

    /// What kind of failure it is.
    public var code: Code
    /// What was tried, as a phrase: `bind 0000:04:10.0 to vfio-pci`.
    public var operation: String
    /// The file it is about.
    public var path: String
    /// The kernel's errno, when it gave one.
    public var errno: Errno?
    /// More of what is known: what blocks a write, the kernel log's last line.
    public var detail: String?

    /// Makes an error of its parts.
    public init(_ code: Code, _ operation: String, path: String, errno: Errno? = nil, detail: String? = nil) {
        self.code = code
        self.operation = operation
        self.path = path
        self.errno = errno
        self.detail = detail
    }
}

extension PCIError: CustomStringConvertible {
    /// One sentence: what was tried, the file, the errno's meaning, and what else is known.
    public var description: String {
        var text = "\(operation): \(path)"
        if let errno { text += ": \(errno)" }
        if let detail { text += ": \(detail)" }
        return text
    }
}
