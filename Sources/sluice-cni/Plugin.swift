internal import AgentWire
internal import Glibc

/// Another CNI plugin, run with the environment of this one.
enum Plugin {
    /// The variable by which a program knows that it was started here.
    static let mark = "SLUICE_CNI_DELEGATED"

    /// Runs a plugin of some folders; what it has printed, and its exit status. 127 is one that is not there.
    static func run(_ name: String, input: String, path: String) -> (output: String, status: Int32) {
        // A name and no path: a configuration must not name any program of the host.
        guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")) else { return ("\(name) is no plugin's name", 127) }
        let programs = path.utf8.split(separator: UInt8(ascii: ":")).map { folder in "\(Substring(folder))/\(name)" }
        let program = programs.first { program in access(program, X_OK) == 0 }
        guard let program else { return ("\(name) is not in CNI_PATH (\(path))", 127) }
        var (toPlugin, fromPlugin): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
        guard pipe(&toPlugin) == 0, pipe(&fromPlugin) == 0 else { return ("no pipe to \(name) can be made", 126) }
        for end in toPlugin + fromPlugin { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, toPlugin[0], 0)
        posix_spawn_file_actions_adddup2(&actions, fromPlugin[1], 1)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // What is ignored here is not to be ignored there.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        setenv(mark, "1", 1)
        defer { unsetenv(mark) }
        var pid = pid_t()
        let arguments: [UnsafeMutablePointer<CChar>?] = [strdup(program), nil]
        defer { free(arguments[0]) }
        let failure = posix_spawn(&pid, program, &actions, &attributes, arguments, environ)
        close(toPlugin[0])
        close(fromPlugin[1])
        guard failure == 0 else {
            close(toPlugin[1])
            close(fromPlugin[0])
            return ("\(program) cannot be run: \(String(cString: strerror(failure)))", 126)
        }
        // A configuration fits into a pipe, or the plugin reads while it is written.
        _ = writeAll(toPlugin[1], Array(input.utf8))
        close(toPlugin[1])
        let output = readAll(fromPlugin[0], limit: 1 << 20)
        close(fromPlugin[0])
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return (output, status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f)
    }
}
