internal import CLibvirt
internal import Glibc
internal import SRIOV
internal import Synchronization

/// libvirt's event loop, on a thread of its own: it carries events and keepalives, and the deadlines of calls.
enum EventLoop {
    private static let isRunning: Bool = {
        guard let functions = try? Library.functions() else { return false }
        return startThread {
            while functions.virEventRunDefaultImpl() >= 0 {}
        }
    }()

    /// Starts it once. Without connections it sleeps.
    static func start() throws(LibvirtError) {
        guard isRunning else { throw LibvirtError(.missing, "there is no thread for libvirt's event loop") }
    }

    /// Runs a closure after a time; the number cancels it.
    static func after(_ duration: Duration, _ body: @escaping @Sendable () -> Void) -> Int32? {
        guard let functions = try? Library.functions() else { return nil }
        let milliseconds = Int32(clamping: duration.components.seconds * 1000)
        let box = Unmanaged.passRetained(Box(body))
        let number = functions.virEventAddTimeout(
            milliseconds,
            { number, opaque in
                guard let opaque, let functions = try? Library.functions() else { return }
                _ = functions.virEventRemoveTimeout(number)
                Unmanaged<Box>.fromOpaque(opaque).takeUnretainedValue().body()
            }, box.toOpaque(), { opaque in if let opaque { Unmanaged<Box>.fromOpaque(opaque).release() } })
        guard number >= 0 else {
            box.release()
            return nil
        }
        return number
    }

    /// Takes back what `after` has promised.
    static func cancel(_ number: Int32) {
        guard let functions = try? Library.functions() else { return }
        _ = functions.virEventRemoveTimeout(number)
    }

    private final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}

/// A continuation that is resumed once, by whoever comes first.
final class Answer<Value: Sendable>: Sendable {
    private let continuation: Mutex<CheckedContinuation<Result<Value, LibvirtError>, Never>?>

    init(_ continuation: CheckedContinuation<Result<Value, LibvirtError>, Never>) {
        self.continuation = Mutex(continuation)
    }

    /// Resumes it; false when somebody else has.
    @discardableResult
    func finish(_ result: Result<Value, LibvirtError>) -> Bool {
        let continuation = continuation.withLock { continuation in
            defer { continuation = nil }
            return continuation
        }
        continuation?.resume(returning: result)
        return continuation != nil
    }
}
