internal import CLibvirt
internal import Glibc
internal import SRIOV
internal import Synchronization

/// A connection to a libvirt daemon.
///
/// Calls block a thread of the connection's own, never the caller's, and have deadlines: a daemon that hangs is left
/// behind. When the connection ends, `events` says so and ends; whoever wants to go on makes another one.
public final class Connection: Sendable {
    /// Which daemon: `qemu:///system`.
    public let uri: String
    /// What the daemon tells, in its order.
    public let events: AsyncStream<LibvirtEvent>

    private let functions: sluice_libvirt
    private let handle: Handle
    private let continuation: AsyncStream<LibvirtEvent>.Continuation
    private let queues = Mutex<[Subject: SerialQueue]>([:])
    private let callbacks = Mutex(Callbacks())

    /// How long a call may take, when nothing else is said.
    public static let patience = Duration.seconds(60)
    /// A daemon that has not answered so many keepalives is gone. Only a daemon that hangs is found that way; the end of
    /// one is told by its socket.
    private static let keepalive: (interval: Int32, count: UInt32) = (30, 3)

    /// libvirt's object, which its own locks guard.
    private struct Handle: @unchecked Sendable {
        let pointer: virConnectPtr
    }

    private init(uri: String, functions: sluice_libvirt, pointer: virConnectPtr) {
        self.uri = uri
        self.functions = functions
        handle = Handle(pointer: pointer)
        (events, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(4096))
    }

    deinit {
        let (functions, handle) = (functions, handle)
        let callbacks = callbacks.withLock { $0 }
        // Closing asks the daemon. Each callback keeps the connection open until it is taken back.
        startThread {
            for number in callbacks.domain {
                _ = functions.virConnectDomainEventDeregisterAny(handle.pointer, number)
            }
            for number in callbacks.network {
                _ = functions.virConnectNetworkEventDeregisterAny(handle.pointer, number)
            }
            if callbacks.hasClose {
                _ = functions.virConnectUnregisterCloseCallback(handle.pointer, Self.closeCallback)
            }
            _ = functions.virConnectClose(handle.pointer)
        }
    }

    /// What a call is about. A domain that starts is locked until its hooks have been answered, so whoever asks for it
    /// waits; what the answer needs of the networks must not wait behind that.
    enum Subject: Sendable {
        case domains, networks
    }

    /// What libvirt is to call, to be taken back at the end.
    private struct Callbacks {
        var domain: [Int32] = []
        var network: [Int32] = []
        var hasClose = false
    }

    private static let closeCallback: @convention(c) (virConnectPtr?, Int32, UnsafeMutableRawPointer?) -> Void = {
        _, _, opaque in EventSink.yield(.closed, opaque)
    }

    /// Connects to a daemon, and follows its events from now on.
    ///
    /// Throws `libvirt.missing` on a host without libvirt's library, `libvirt.unreachable` when the daemon does not run.
    public static func open(_ uri: String, patience: Duration = patience) async throws(LibvirtError) -> Connection {
        let functions = try Library.functions()
        try EventLoop.start()
        let opened = await answer(SerialQueue(), "connect to \(uri)", patience) {
            () throws(LibvirtError) -> Connection in
            guard let pointer = functions.virConnectOpen(uri) else {
                var error = Library.lastError(functions, "connect to \(uri)")
                error.code = .unreachable
                error.remedy = "systemctl status libvirtd virtqemud tells whether it runs"
                throw error
            }
            let connection = Connection(uri: uri, functions: functions, pointer: pointer)
            try connection.follow()
            return connection
        }
        return try opened.get()
    }

    // MARK: Calls

    /// Runs a call on the connection's thread for its subject. What takes longer than its deadline is left behind.
    func call<Value: Sendable>(
        _ what: String, of subject: Subject = .domains, patience: Duration = Connection.patience,
        _ body: @escaping @Sendable (sluice_libvirt, virConnectPtr) throws(LibvirtError) -> Value
    ) async throws(LibvirtError) -> Value {
        let queue = queues.withLock { queues in
            let queue = queues[subject] ?? SerialQueue()
            queues[subject] = queue
            return queue
        }
        // A call that is left behind keeps the connection: its thread may still use it.
        let result = await Self.answer(queue, what, patience) { () throws(LibvirtError) -> Value in
            try body(self.functions, self.handle.pointer)
        }
        if case .failure(let error) = result, error.code == .timeout {
            // What hangs keeps its thread; those that come go on with another one.
            self.queues.withLock { queues in if queues[subject] === queue { queues[subject] = nil } }
        }
        return try result.get()
    }

    private static func answer<Value: Sendable>(
        _ queue: SerialQueue, _ what: String, _ patience: Duration,
        _ body: @escaping @Sendable () throws(LibvirtError) -> Value
    ) async -> Result<Value, LibvirtError> {
        await withCheckedContinuation { continuation in
            let answer = Answer(continuation)
            let timer = EventLoop.after(patience) {
                answer.finish(
                    .failure(
                        LibvirtError(
                            .timeout, "\(what): libvirt has not answered within \(patience.components.seconds) s",
                            remedy: "is it busy or stuck? virsh list tells whether it answers others")))
            }
            queue.add {
                let result = Result { () throws(LibvirtError) in try body() }
                if let timer { EventLoop.cancel(timer) }
                answer.finish(result)
            }
        }
    }

    /// Throws the error of a call that has failed on this thread.
    static func check(_ succeeded: Bool, _ functions: sluice_libvirt, _ what: String) throws(LibvirtError) {
        guard succeeded else { throw Library.lastError(functions, what) }
    }

    /// Whether something is so. A call that has failed answers -1, which is neither.
    static func isTrue(_ answer: Int32, _ functions: sluice_libvirt, _ what: String) throws(LibvirtError) -> Bool {
        try check(answer >= 0, functions, what)
        return answer != 0
    }

    // MARK: Events

    private func follow() throws(LibvirtError) {
        let connection = handle.pointer
        // A daemon that is too old for keepalives does without.
        _ = functions.virConnectSetKeepAlive(connection, Self.keepalive.interval, Self.keepalive.count)
        let end = sink()
        let closed = functions.virConnectRegisterCloseCallback(
            connection, Self.closeCallback, end, EventSink.release)
        if closed == 0 { callbacks.withLock { $0.hasClose = true } } else { EventSink.release(end) }
        try Self.check(closed == 0, functions, "follow the connection's end")
        let lifeCycle: @convention(c) (virConnectPtr?, virDomainPtr?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32 =
            { _, domain, event, _, opaque in
                guard let (name, uuid) = EventSink.identity(of: domain),
                    let change = LibvirtEvent.DomainChange(rawValue: event)
                else { return 0 }
                EventSink.yield(.domain(name: name, uuid: uuid, change: change), opaque)
                return 0
            }
        try register(VIR_DOMAIN_EVENT_ID_LIFECYCLE, unsafeBitCast(lifeCycle, to: GenericCallback.self))
        let added: DeviceCallback = { _, domain, alias, opaque in
            EventSink.yield(domain, alias, opaque) { .deviceAdded(uuid: $0, alias: $1) }
        }
        let removed: DeviceCallback = { _, domain, alias, opaque in
            EventSink.yield(domain, alias, opaque) { .deviceRemoved(uuid: $0, alias: $1) }
        }
        let kept: DeviceCallback = { _, domain, alias, opaque in
            EventSink.yield(domain, alias, opaque) { .deviceRemovalFailed(uuid: $0, alias: $1) }
        }
        try register(VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, unsafeBitCast(added, to: GenericCallback.self))
        try register(VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, unsafeBitCast(removed, to: GenericCallback.self))
        try register(VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, unsafeBitCast(kept, to: GenericCallback.self))
        let network: @convention(c) (virConnectPtr?, virNetworkPtr?, Int32, Int32, UnsafeMutableRawPointer?) -> Void =
            { _, network, _, _, opaque in
                guard let functions = try? Library.functions(), let name = functions.virNetworkGetName(network) else {
                    return
                }
                EventSink.yield(.network(name: String(cString: name)), opaque)
            }
        let networks = sink()
        let number = functions.virConnectNetworkEventRegisterAny(
            connection, nil, Int32(VIR_NETWORK_EVENT_ID_LIFECYCLE.rawValue),
            unsafeBitCast(network, to: virConnectNetworkEventGenericCallback.self), networks, EventSink.release)
        if number >= 0 { callbacks.withLock { $0.network.append(number) } } else { EventSink.release(networks) }
        try Self.check(number >= 0, functions, "follow the networks")
    }

    private typealias GenericCallback = @convention(c) (virConnectPtr?, virDomainPtr?, UnsafeMutableRawPointer?) -> Void
    private typealias DeviceCallback =
        @convention(c) (virConnectPtr?, virDomainPtr?, UnsafePointer<CChar>?, UnsafeMutableRawPointer?) -> Void

    private func register(_ event: virDomainEventID, _ callback: GenericCallback) throws(LibvirtError) {
        let domains = sink()
        let number = functions.virConnectDomainEventRegisterAny(
            handle.pointer, nil, Int32(event.rawValue), callback, domains, EventSink.release)
        if number >= 0 { callbacks.withLock { $0.domain.append(number) } } else { EventSink.release(domains) }
        try Self.check(number >= 0, functions, "follow the domains")
    }

    private func sink() -> UnsafeMutableRawPointer {
        Unmanaged.passRetained(EventSink(continuation)).toOpaque()
    }
}
