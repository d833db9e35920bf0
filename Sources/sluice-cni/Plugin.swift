internal import AgentWire
internal import CLinux
internal import Glibc

/// Another CNI plugin, run with the environment of this one. It is killed when this one ends, and after some time in any
/// case: a runtime waits for both.
enum Plugin {
    /// The variable by which a program knows that it was started here.
    static let mark = "SLUICE_CNI_DELEGATED"
    /// How long a plugin may take, milliseconds; dhcp tries for about a minute.
    private static let patience: Int64 = 90_000
    /// The status of one that took longer; what it has done by then is not known.
    static let tookTooLong: Int32 = 124
    /// The longest output that is read, bytes.
    private static let outputLimit = 1 << 20

    /// Runs a plugin of some folders; what it has printed, and its exit status. 127 is one that is not there, 126 one that
    /// cannot be run.
    static func run(_ name: String, input: String, path: String) -> (output: String, status: Int32) {
        // A name and no path: a configuration must not name any program of the host.
        guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")) else { return ("\(name) is no plugin's name", 127) }
        let programs = path.utf8.split(separator: UInt8(ascii: ":")).map { folder in "\(Substring(folder))/\(name)" }
        let program = programs.first { program in access(program, X_OK) == 0 }
        guard let program else { return ("\(name) is not in CNI_PATH (\(path))", 127) }
        var (toPlugin, fromPlugin): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
        guard pipe(&toPlugin) == 0, pipe(&fromPlugin) == 0 else { return ("no pipe to \(name) can be made", 126) }
        for end in toPlugin + fromPlugin { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        setenv(mark, "1", 1)
        defer { unsetenv(mark) }
        let arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), nil]
        defer { free(arguments[0]) }
        let pid = sluice_spawn_bound(program, arguments, environ, toPlugin[0], fromPlugin[1])
        close(toPlugin[0])
        close(fromPlugin[1])
        guard pid > 0 else {
            close(toPlugin[1])
            close(fromPlugin[0])
            return ("\(program) cannot be run: \(String(cString: strerror(-pid)))", 126)
        }
        let output = exchange(pid, Array(input.utf8), toPlugin[1], fromPlugin[0])
        // With what it has started.
        if output == nil { kill(-pid, SIGKILL) }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        guard let output else {
            return ("\(name) has not ended within \(patience / 1000) s, and was killed", tookTooLong)
        }
        return (output, status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f)
    }

    /// Writes a plugin's input and reads its output until it has ended, also when somebody whom it has left behind keeps the
    /// output open; nil when that takes too long. Closes both. One that prints more than the limit writes to a closed pipe then,
    /// which ends it.
    private static func exchange(_ pid: Int32, _ input: [UInt8], _ to: Int32, _ from: Int32) -> String? {
        // Before Linux 5.3 there is none: then its output's end has to do.
        let process = sluice_pidfd_open(pid)
        defer { if process >= 0 { close(process) } }
        // A plugin that does not read must not keep its end from being seen, nor one that has left somebody behind.
        for end in [to, from] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        var (rest, output) = (input[...], [UInt8]())
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        /// Reads what there is; whether there may be more later.
        func drain() -> Bool {
            while true {
                let count = read(from, &buffer, buffer.count)
                if count > 0, output.count < outputLimit { output += buffer[..<count] }
                if count == 0 { return false }
                if count < 0, errno != EINTR { return errno == EAGAIN }
                guard output.count < outputLimit else { return false }
            }
        }
        var waits = [to, from, process].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        waits[0].events = Int16(POLLOUT)
        func shut(_ end: Int) {
            guard waits[end].fd >= 0 else { return }
            close(waits[end].fd)
            waits[end].fd = -1
        }
        defer { for end in 0...1 { shut(end) } }
        let end = milliseconds() + patience
        // One that has closed its output may be at work still.
        while waits[1].fd >= 0 || waits[2].fd >= 0 {
            let left = end - milliseconds()
            guard left > 0 else { return nil }
            guard poll(&waits, nfds_t(waits.count), Int32(left)) > 0 else { continue }
            if waits[0].revents != 0 {
                let count = rest.withUnsafeBytes { write(to, $0.baseAddress, $0.count) }
                if count > 0 { rest = rest.dropFirst(count) }
                if rest.isEmpty || count < 0 && errno != EAGAIN && errno != EINTR {
                    shut(0)
                }
            }
            // All that it has printed was there when it ended.
            let hasEnded = waits[2].revents != 0
            if waits[1].fd >= 0, waits[1].revents != 0 || hasEnded, !drain() { shut(1) }
            if hasEnded { break }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// Time that only goes forward.
    private static func milliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
