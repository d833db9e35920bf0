internal import Glibc

/// The kernel's log, /dev/kmsg.
public enum KernelLog {
    /// The newest messages, oldest first; empty where they cannot be read (not root, or dmesg_restrict).
    public static func lines(last count: Int) -> [String] {
        let descriptor = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var lines: [String] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        while true {
            let got = Glibc.read(descriptor, &buffer, buffer.count)
            if got < 0, errno == EPIPE || errno == EINTR { continue }  // EPIPE: overwritten while we read
            guard got > 0 else { break }
            lines.append(message(in: buffer[..<got]))
            if lines.count > 2 * count { lines.removeFirst(count) }
        }
        return Array(lines.suffix(count))
    }

    /// The newest message.
    public static func lastLine() -> String? { lines(last: 1).last }

    /// A record is `PRIORITY,SEQUENCE,TIME,FLAGS;TEXT`, then lines of `KEY=VALUE`.
    static func message(in record: ArraySlice<UInt8>) -> String {
        let text = record.drop { $0 != UInt8(ascii: ";") }.dropFirst().prefix { $0 != 10 }
        return String(decoding: text, as: UTF8.self)
    }
}
