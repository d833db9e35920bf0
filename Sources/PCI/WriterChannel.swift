internal import CLinux
internal import Glibc
public import SystemPackage

/// Writes through a writer process or a writer thread (CLinux.h), which is left behind when the kernel does not return.
///
/// A write to `sriov_numvfs`, `bind`, `unbind` or `reset` can block for ever: vfio-pci holds up the removal of a VF until
/// its user closes it, and drivers wait for their firmware.
public final class WriterChannel: DeviceWriter {
    private let core: Core

    /// A socket to a writer process, to be made by `startProcess` before anything else.
    public struct Process: Sendable {
        fileprivate let socket: Int32
    }

    /// Starts the writer process. The process must still have one thread: this is the first line of `main`.
    public static func startProcess() -> Result<Process, Errno> {
        let socket = sluice_start_writer_process()
        return socket >= 0 ? .success(Process(socket: socket)) : .failure(Errno(rawValue: errno))
    }

    /// Writes through a process that can be left behind when this one ends.
    ///
    /// The closure is called, on a thread of its own, when that process ends before this channel does: nothing can be
    /// written any more then.
    public init(process: Process, onEnd: (@Sendable () -> Void)? = nil) {
        core = Core(socket: process.socket, onEnd: onEnd)
    }

    /// Writes on threads of this process. One that hangs keeps the process from ending, but nothing else.
    public init() throws(Errno) {
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
            throw Errno(rawValue: errno)
        }
        var thread = pthread_t()
        let theirs = UnsafeMutableRawPointer(bitPattern: Int(pair[1]))
        pthread_create(
            &thread, nil,
            { argument in
                let socket = Int32(Int(bitPattern: argument))
                sluice_writer_loop(socket)
                close(socket)
                return nil
            }, theirs)
        pthread_detach(thread)
        core = Core(socket: pair[0], onEnd: nil)
    }

    deinit { core.end() }

    /// See `DeviceWriter`.
    public func keepOpen(_ descriptor: Int32, as name: String) { core.keepOpen(descriptor, as: name) }

    /// See `DeviceWriter`.
    public func letGo(of name: String) { core.letGo(of: name) }

    /// See `DeviceWriter`.
    public func letGoWhenReturned(of name: String) { core.letGoWhenReturned(of: name) }

    /// See `DeviceWriter`.
    public func write(_ requests: [WriteRequest], deadline: Duration) -> [PCIError?] {
        core.write(requests, deadline: deadline)
    }
}

/// What a channel shares with the thread that reads its replies: the thread lives as long as it, and so does the socket.
private final class Core: @unchecked Sendable {
    // The lock guards everything below it; a condition variable is needed because callers wait with a deadline, which
    // Synchronization.Mutex cannot.
    private let socket: Int32
    private let onEnd: (@Sendable () -> Void)?
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var pending: [UInt64: Progress] = [:]
    private var nextIdentifier: UInt64 = 1
    /// Writes that have not returned, whether anybody waits for them or not.
    private var unreturned: Set<UInt64> = []
    /// Files that are kept until some of those have.
    private var kept: [String: Set<UInt64>] = [:]
    private var isClosed = false
    private var isEnding = false

    private enum Progress {
        case sent
        case running(thread: Int32)
        case done(errno: Int32)
    }

    init(socket: Int32, onEnd: (@Sendable () -> Void)?) {
        self.socket = socket
        self.onEnd = onEnd
        pthread_mutex_init(lock, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        var reader = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let failed = pthread_create(
            &reader, nil,
            { argument in
                if let argument { Unmanaged<Core>.fromOpaque(argument).takeRetainedValue().readReplies() }
                return nil
            }, argument.toOpaque())
        guard failed == 0 else {
            // Without it no answer is ever read: every write says so.
            argument.release()
            isClosed = true
            return
        }
        pthread_detach(reader)
    }

    /// Ends the writer, and with it the thread that reads its replies.
    func end() {
        pthread_mutex_lock(lock)
        isEnding = true
        pthread_mutex_unlock(lock)
        shutdown(socket, Int32(SHUT_RDWR))
    }

    deinit {
        close(socket)
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(lock)
        changed.deallocate()
        lock.deallocate()
    }

    private func readReplies() {
        while true {
            var reply = sluice_write_reply()
            let size = MemoryLayout<sluice_write_reply>.size
            let got = withUnsafeMutableBytes(of: &reply) { recv(socket, $0.baseAddress, size, 0) }
            if got < 0, errno == EINTR { continue }
            pthread_mutex_lock(lock)
            if got == size {
                if reply.started == 0 { returned(reply.id) }
                // A reply to a write that nobody waits for any more is of no use.
                if pending[reply.id] != nil {
                    pending[reply.id] = reply.started == 1 ? .running(thread: reply.thread) : .done(errno: reply.error)
                }
            } else {
                isClosed = true
            }
            pthread_cond_broadcast(changed)
            let hasEnded = got != size && !isEnding
            pthread_mutex_unlock(lock)
            if hasEnded { onEnd?() }
            if got != size { return }
        }
    }

    func keepOpen(_ descriptor: Int32, as name: String) {
        // A writer that is gone keeps nothing, and the next write says so.
        _ = sluice_writer_keep(socket, name, descriptor)
    }

    func letGo(of name: String) { _ = sluice_writer_keep(socket, name, -1) }

    func letGoWhenReturned(of name: String) {
        pthread_mutex_lock(lock)
        let isDone = unreturned.isEmpty
        if !isDone { kept[name] = unreturned }
        pthread_mutex_unlock(lock)
        if isDone { letGo(of: name) }
    }

    /// Takes note of a write's end; the lock is held.
    private func returned(_ identifier: UInt64) {
        unreturned.remove(identifier)
        for name in kept.keys {
            kept[name]?.remove(identifier)
            guard kept[name]?.isEmpty ?? false else { continue }
            kept[name] = nil
            letGo(of: name)
        }
    }

    func write(_ requests: [WriteRequest], deadline: Duration) -> [PCIError?] {
        let identifiers = requests.map { send($0) }
        var limit = timespec()
        clock_gettime(CLOCK_MONOTONIC, &limit)
        let (seconds, attoseconds) = deadline.components
        limit.tv_nsec += Int(attoseconds / 1_000_000_000)
        limit.tv_sec += Int(clamping: seconds) + limit.tv_nsec / 1_000_000_000
        limit.tv_nsec %= 1_000_000_000
        return zip(requests, identifiers).map { wait(for: $1, $0, until: limit, deadline: deadline) }
    }

    /// Sends a request; the failure to do so is kept as its result.
    private func send(_ request: WriteRequest) -> UInt64 {
        pthread_mutex_lock(lock)
        let identifier = nextIdentifier
        nextIdentifier += 1
        pending[identifier] = .sent
        unreturned.insert(identifier)
        pthread_mutex_unlock(lock)
        var message = sluice_write_request()
        message.id = identifier
        let path = Array(request.path.utf8)
        let value = Array(request.value.utf8)
        var failure: Int32 = 0
        // Both are fixed fields of the message, the path with its NUL.
        if path.count < MemoryLayout.size(ofValue: message.path),
            value.count <= MemoryLayout.size(ofValue: message.value)
        {
            message.value_length = UInt32(value.count)
            withUnsafeMutableBytes(of: &message.path) { $0.copyBytes(from: path) }
            withUnsafeMutableBytes(of: &message.value) { $0.copyBytes(from: value) }
            let size = MemoryLayout<sluice_write_request>.size
            while withUnsafeBytes(
                of: &message, { Glibc.send(socket, $0.baseAddress, size, Int32(truncatingIfNeeded: MSG_NOSIGNAL)) }) < 0
            {
                if errno == EINTR { continue }
                failure = errno
                break
            }
        } else {
            failure = ENAMETOOLONG
        }
        if failure != 0 {
            pthread_mutex_lock(lock)
            pending[identifier] = .done(errno: failure)
            returned(identifier)
            pthread_mutex_unlock(lock)
        }
        return identifier
    }

    private func wait(
        for identifier: UInt64, _ request: WriteRequest, until limit: timespec, deadline: Duration
    ) -> PCIError? {
        pthread_mutex_lock(lock)
        var limit = limit
        var isOver = false
        while true {
            if case .done = pending[identifier] { break }
            if isOver || isClosed { break }
            isOver = pthread_cond_timedwait(changed, lock, &limit) == ETIMEDOUT
        }
        let progress = pending.removeValue(forKey: identifier)
        pthread_mutex_unlock(lock)
        switch progress {
        case .done(errno: 0): return nil
        case .done(let code):
            return PCIError(.write, request.operation, path: request.path, errno: Errno(rawValue: code))
        case .running(let thread):
            return PCIError(
                .hung, request.operation, path: request.path,
                detail: Self.hangReport(thread: thread, deadline: deadline))
        case .sent, nil:
            return PCIError(
                .hung, request.operation, path: request.path, detail: "the writer ended before it took the request")
        }
    }

    /// Where in the kernel a thread is stuck, as far as this process may read it.
    private static func hangReport(thread: Int32, deadline: Duration) -> String {
        var text = "the kernel has not returned within \(deadline.components.seconds) s"
        let files = LiveFileTree()
        if let stack = try? files.contents("/proc/\(thread)/stack", limit: 4096), !stack.isEmpty {
            let frames = String(decoding: stack, as: UTF8.self).split(separator: "\n").prefix(4).map { line in
                // "[<0>] vfio_unregister_group_dev+0x… [vfio]": the name says enough.
                line.split(separator: " ").dropFirst().first.map { String($0.split(separator: "+").first ?? $0) } ?? ""
            }
            text += "; it is in \(frames.joined(separator: " < "))"
        }
        if let line = KernelLog.lastLine() { text += "; its last message: \(line)" }
        return text
    }
}
