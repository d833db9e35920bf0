internal import Glibc
internal import SystemPackage

/// The files of /sys and /proc, of this host or of a recorded one. Absence is nil; failure throws.
///
/// Paths are absolute as on the host itself (`/sys/bus/pci/devices/…`), whatever root they are looked up below.
public protocol FileTree: Sendable {
    /// An attribute's bytes, read with one read(2) of at most 4096; nil when there is no such file, or when the
    /// kernel has no value for it (EINVAL, ENODATA, ENXIO, EOPNOTSUPP, ENODEV: `speed` of a port that is down).
    func bytes(_ path: String) throws(PCIError) -> [UInt8]?
    /// A symbolic link's text, unresolved; nil when there is no such link.
    func link(_ path: String) throws(PCIError) -> String?
    /// The names in a directory, in no particular order; nil when there is no such directory.
    func entries(_ path: String) throws(PCIError) -> [String]?
    /// The bytes of a file that is longer than an attribute, up to a limit.
    func contents(_ path: String, limit: Int) throws(PCIError) -> [UInt8]?
}

extension FileTree {
    /// An attribute as text without its final newline; nil when it is absent. `(null)` is the text of an unset one.
    public func text(_ path: String) throws(PCIError) -> String? {
        guard var bytes = try bytes(path) else { return nil }
        while let last = bytes.last, last == 10 || last == 0 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A decimal number; nil when the attribute is absent or not a number.
    public func number<Value: FixedWidthInteger>(
        _ path: String, as type: Value.Type = Value.self
    ) throws(PCIError) -> Value? {
        // The kernel pads nothing but the end, and that is gone already.
        try text(path).flatMap { Value($0) ?? Value($0.filter { !$0.isWhitespace }) }
    }

    /// A hexadecimal number, with or without `0x`; nil when the attribute is absent or not a number.
    public func hexadecimalNumber(_ path: String) throws(PCIError) -> UInt32? {
        try text(path).flatMap { text in hexadecimal(text.hasPrefix("0x") ? text.dropFirst(2) : text[...]) }
    }

    /// The last component of what a link points to: the driver's name, the group's number.
    public func linkName(_ path: String) throws(PCIError) -> String? {
        try link(path).flatMap { text in
            let end = text.utf8.lastIndex(of: UInt8(ascii: "/")).map { text.utf8.index(after: $0) } ?? text.startIndex
            return end == text.endIndex ? nil : String(text[end...])
        }
    }

    /// The whole of a text file, up to a megabyte.
    package func wholeText(_ path: String) throws(PCIError) -> String? {
        try contents(path, limit: 1 << 20).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// The files of this host, or of a directory that looks like one.
public struct LiveFileTree: FileTree {
    /// What is put before every path; empty for this host.
    public let root: String

    /// Files below a directory; this host's own without one.
    public init(root: String = "") {
        self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
    }

    /// See `FileTree`.
    public func bytes(_ path: String) throws(PCIError) -> [UInt8]? {
        try read(path, capacity: 4096, untilEnd: false)
    }

    /// See `FileTree`.
    public func contents(_ path: String, limit: Int) throws(PCIError) -> [UInt8]? {
        try read(path, capacity: limit, untilEnd: true)
    }

    private func read(_ path: String, capacity: Int, untilEnd: Bool) throws(PCIError) -> [UInt8]? {
        let descriptor = open(root + path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return try absent(path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        // An attribute is a page at most, so one read has nearly every file.
        var size = 4096
        while bytes.count < capacity {
            var failure: Int32 = 0
            let part = [UInt8](unsafeUninitializedCapacity: min(size, capacity - bytes.count)) { buffer, count in
                let got = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                failure = got < 0 ? errno : 0
                count = max(got, 0)
            }
            if failure == EINTR { continue }
            if failure != 0 {
                errno = failure
                return try absent(path)
            }
            bytes = bytes.isEmpty ? part : bytes + part
            if part.isEmpty || !untilEnd { break }
            size = min(size * 4, 1 << 20)
        }
        return bytes
    }

    private func absent<Value>(_ path: String) throws(PCIError) -> Value? {
        let code = errno
        switch code {
        case ENOENT, ENOTDIR, EINVAL, ENODATA, ENXIO, EOPNOTSUPP, ENODEV, ESRCH, EISDIR: return nil
        default: throw PCIError(.read, "read", path: root + path, errno: Errno(rawValue: code))
        }
    }

    /// See `FileTree`.
    public func link(_ path: String) throws(PCIError) -> String? {
        var failure: Int32 = 0
        let text = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer -> String? in
            guard let start = buffer.baseAddress else { return nil }
            let count = readlink(root + path, start.assumingMemoryBound(to: CChar.self), buffer.count)
            guard count >= 0 else {
                failure = errno
                return nil
            }
            return String(decoding: buffer[..<count], as: UTF8.self)
        }
        if failure != 0, ![ENOENT, EINVAL, ENOTDIR, ESRCH].contains(failure) {
            throw PCIError(.read, "read", path: root + path, errno: Errno(rawValue: failure))
        }
        return text
    }

    /// See `FileTree`.
    public func entries(_ path: String) throws(PCIError) -> [String]? {
        guard let directory = opendir(root + path) else { return try absent(path) }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
