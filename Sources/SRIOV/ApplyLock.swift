internal import Glibc

/// The lock that lets one apply run at a time; the kernel gives it back however its holder ends.
public final class ApplyLock: Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Takes the lock. When another apply has it, the closure is told who, and the call waits unless it returns false.
    ///
    /// Throws `apply.locked` when it is not to wait, `state.unusable` when the folder cannot be used.
    public static func take(
        in state: StateDirectory, command: String, onWait: (_ holder: String) -> Bool
    ) throws(SRIOVError) -> ApplyLock {
        try state.make()
        let path = state.file("apply.lock")
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw state.failure("open", path) }
        let lock = ApplyLock(descriptor: descriptor)
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK else { throw state.failure("lock", path) }
            let holder = try state.read("apply.lock").flatMap { $0.split(separator: "\n").first.map(String.init) }
            guard onWait(holder ?? "unknown") else {
                throw SRIOVError(
                    .locked, "another apply runs: \(holder ?? "unknown")",
                    remedy: "wait for it (leave out --no-wait), or end it")
            }
            while flock(descriptor, LOCK_EX) != 0 {
                guard errno == EINTR else { throw state.failure("lock", path) }
            }
        }
        ftruncate(descriptor, 0)
        try state.append("pid \(getpid()): \(command)\n", to: descriptor, path)
        return lock
    }
}
