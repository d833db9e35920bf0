internal import Glibc

/// What systemd tells its services, and is told by them; nothing without it.
enum Systemd {
    /// Sends a state to systemd (sd_notify(3)): one datagram to the socket of NOTIFY_SOCKET.
    static func notify(_ state: String) {
        guard let path = variable("NOTIFY_SOCKET"), path.utf8.count < 108 else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var bytes = Array(path.utf8)
        // An abstract socket begins with a zero byte, written as @.
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let text = Array(state.utf8)
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, text, text.count, Int32(truncatingIfNeeded: MSG_NOSIGNAL), $0, length)
            }
        }
    }

    /// How often systemd wants to hear that the service is well; nil when it does not watch.
    static var watchdogInterval: Duration? {
        guard let text = variable("WATCHDOG_USEC"), let microseconds = Int64(text), microseconds > 0,
            variable("WATCHDOG_PID").map({ $0 == "\(getpid())" }) ?? true
        else { return nil }
        return .microseconds(microseconds / 2)
    }

    /// The socket that systemd has opened for the service (sd_listen_fds(3)); nil when there is none.
    static var activatedSocket: Int32? {
        guard variable("LISTEN_PID") == "\(getpid())", let count = variable("LISTEN_FDS").flatMap({ Int($0) }),
            count > 0
        else { return nil }
        return 3
    }

    /// Whether standard error goes to the journal.
    static var isJournal: Bool { variable("JOURNAL_STREAM") != nil }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// Microseconds of CLOCK_MONOTONIC, as systemd wants them with RELOADING=1.
func monotonicMicroseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
}
