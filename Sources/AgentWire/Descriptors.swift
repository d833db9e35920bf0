internal import Glibc

/// Reads a descriptor to its end, or to a limit in bytes; what is not UTF-8 is replaced.
package func readAll(_ descriptor: Int32, limit: Int) -> String {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while bytes.count < limit {
        let count = read(descriptor, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        bytes += buffer[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// Writes bytes to a descriptor, all of them; false when it does not take them. Nobody is killed by SIGPIPE who has
/// ignored it, or whose descriptor is a socket.
package func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
        var count = rest.withUnsafeBytes {
            send(descriptor, $0.baseAddress, $0.count, Int32(truncatingIfNeeded: MSG_NOSIGNAL))
        }
        if count < 0, errno == ENOTSOCK { count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        rest = rest.dropFirst(count)
    }
    return true
}
