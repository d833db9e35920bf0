internal import CLinux
internal import Glibc
internal import Leasing
internal import Netlink
internal import SRIOV

/// A container's network namespace, kept open.
final class PodNamespace: Sendable {
    let path: String
    let descriptor: Int32
    /// What tells it from a later one at the same path.
    let inode: UInt64

    /// Opens a namespace; nil where there is none, or something else is at the path.
    init?(_ path: String) {
        guard ConsumerProbe.mayBeNamespace(path), !path.contains("/../") else { return nil }
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        var (status, system) = (stat(), statfs())
        // NSFS_MAGIC; once a namespace is gone, what it was mounted on remains.
        guard fstat(descriptor, &status) == 0, fstatfs(descriptor, &system) == 0, system.f_type == 0x6e73_6673 else {
            close(descriptor)
            return nil
        }
        self.path = path
        self.descriptor = descriptor
        inode = UInt64(status.st_ino)
    }

    deinit { close(descriptor) }

    /// Runs a body on a thread of its own within the namespace, with connections to the agent's own and to this one. What
    /// is prepared is prepared before, in the agent's.
    func run<Prepared, Value: Sendable>(
        preparing prepare: @escaping @Sendable () throws -> Prepared,
        _ body: @escaping @Sendable (Prepared, _ host: inout RouteNetlink, _ pod: inout RouteNetlink) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let isStarted = startThread {
                continuation.resume(
                    with: Result {
                        let prepared = try prepare()
                        var host = try RouteNetlink.open()
                        // For good: the thread ends with the body.
                        guard sluice_setns(self.descriptor, 0x4000_0000) == 0 else {  // CLONE_NEWNET
                            let reason = String(cString: strerror(errno))
                            throw CNIError(
                                .inputOutput, "the network namespace \(self.path) cannot be entered: \(reason)")
                        }
                        var pod = try RouteNetlink.open()
                        return try body(prepared, &host, &pod)
                    })
            }
            if !isStarted {
                continuation.resume(
                    throwing: CNIError(.tryAgainLater, "the agent is at its limit of threads", remedy: "try again"))
            }
        }
    }

    /// Runs a body on a thread of its own within the namespace.
    func run<Value: Sendable>(
        _ body: @escaping @Sendable (_ pod: inout RouteNetlink) throws -> Value
    ) async throws -> Value {
        try await run(preparing: {}) { _, _, pod in try body(&pod) }
    }
}
