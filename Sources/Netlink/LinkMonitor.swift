internal import CLinux
internal import Glibc
internal import SystemPackage

/// What happened to the links of a namespace.
public enum LinkEvent: Sendable, Hashable {
    /// A link is new or has changed.
    case changed(Link)
    /// A link is gone from the namespace: deleted, or moved away.
    case removed(index: Int32, name: String)
    /// An IP address of a link has come or gone.
    case addressed(index: Int32)
    /// Events were lost (ENOBUFS, or the reader was too slow): whoever keeps a picture of the links reads them anew.
    case resync
}

extension RouteNetlink {
    /// Waits until a device has a link in the calling thread's namespace: some drivers make it a while after they are
    /// bound.
    public static func wait(
        forLinkOf device: Link.ParentDevice, deadline: Duration
    ) throws(NetlinkError) -> Link {
        try wait(deadline: deadline) { connection throws(NetlinkError) in
            if let link = try connection.links().first(where: { $0.device == device }) { return .met(link) }
            return .awaited("wait for a netdev of \(device.name)", "there is none within \(deadline)")
        }
    }

    /// Waits until a link meets a condition. The kernel's notifications are waited for; nothing is polled.
    public static func wait(
        forLink index: Int32, toBe what: String, deadline: Duration, until condition: (Link) -> Bool
    ) throws(NetlinkError) {
        try wait(deadline: deadline) { connection throws(NetlinkError) in
            let link = try connection.link(index: index)
            if condition(link) { return .met(()) }
            return .awaited("wait for \(link.name) to be \(what)", "it is not within \(deadline)")
        }
    }

    /// What a look at the links has found: what was waited for, or what to say when it does not come.
    private enum Look<Value> {
        case met(Value)
        case awaited(String, String)
    }

    /// Looks at the links, and again after each of the kernel's notifications.
    private static func wait<Value>(
        deadline: Duration, _ look: (inout RouteNetlink) throws(NetlinkError) -> Look<Value>
    ) throws(NetlinkError) -> Value {
        let clock = ContinuousClock()
        let end = clock.now + deadline
        // Subscribed before the state is read, so that no change falls between the two.
        let socket = try NetlinkSocket.open(NETLINK_ROUTE, groups: 1, timeoutSeconds: -1)  // RTMGRP_LINK
        var connection = try RouteNetlink.open()
        while true {
            switch try look(&connection) {
            case .met(let value): return value
            case .awaited(let operation, let text):
                let rest = end - clock.now
                guard rest > .zero, try socket.isReadable(within: rest) else {
                    throw NetlinkError(.timeout, operation, text: text)
                }
            }
            do throws(NetlinkError) {
                _ = try socket.receive("read link events")
            } catch {
                // Lost notifications (ENOBUFS) are made good by the next look.
                guard error.errno?.rawValue == ENOBUFS else { throw error }
            }
        }
    }
}

/// Reports changes of links as they happen.
public enum LinkMonitor {
    /// Calls the closure with the stream of events of the calling thread's network namespace; it ends with the closure.
    ///
    /// The stream holds at most `capacity` events; when the reader falls behind, the oldest are dropped and a `resync`
    /// follows the newest. The first event is a `resync`, sent once the subscription stands: a dump made after it
    /// misses nothing.
    public static func withEvents<Result>(
        capacity: Int = 1024, addresses: Bool = false, _ body: (AsyncStream<LinkEvent>) async throws -> Result
    ) async throws -> Result {
        // RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
        let groups: UInt32 = addresses ? 0x1 | 0x10 | 0x100 : 0x1
        let socket = try NetlinkSocket.open(NETLINK_ROUTE, groups: groups, timeoutSeconds: -1)
        var pair: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
            throw NetlinkError(.socket, "open a socket pair", errno: Errno(rawValue: errno))
        }
        let (readEnd, writeEnd) = (pair[0], pair[1])
        let (stream, continuation) = AsyncStream.makeStream(
            of: LinkEvent.self, bufferingPolicy: .bufferingNewest(capacity))
        continuation.yield(.resync)
        // The socket blocks, so it is read on a thread of its own; closing the pair ends it.
        let reader = Thread(socket: socket, stop: readEnd, continuation: continuation)
        defer {
            close(writeEnd)
            reader.join()
            close(readEnd)
        }
        return try await body(stream)
    }

    /// Events of one datagram.
    package static func events(in datagram: [UInt8]) -> [LinkEvent] {
        Message.all(in: datagram).compactMap { message in
            if [Int(RTM_NEWADDR), Int(RTM_DELADDR)].contains(Int(message.type)) {
                return LinkAddress(message.payload).map { .addressed(index: $0.link) }
            }
            guard let link = Link(message.payload) else { return nil }
            switch Int(message.type) {
            case Int(RTM_NEWLINK): return .changed(link)
            case Int(RTM_DELLINK): return .removed(index: link.index, name: link.name)
            default: return nil
            }
        }
    }

    /// The thread that reads the socket.
    private final class Thread: Sendable {
        private let identifier: pthread_t

        private final class State {
            let socket: NetlinkSocket
            let stop: Int32
            let continuation: AsyncStream<LinkEvent>.Continuation

            init(socket: consuming NetlinkSocket, stop: Int32, continuation: AsyncStream<LinkEvent>.Continuation) {
                self.socket = socket
                self.stop = stop
                self.continuation = continuation
            }

            func run() {
                while true {
                    var entries = socket.withDescriptor {
                        [pollfd(fd: $0, events: Int16(POLLIN), revents: 0), pollfd(fd: stop, events: 0, revents: 0)]
                    }
                    if poll(&entries, 2, -1) < 0, errno != EINTR { break }
                    if entries[1].revents != 0 { break }
                    guard entries[0].revents != 0 else { continue }
                    do throws(NetlinkError) {
                        for event in LinkMonitor.events(in: try socket.receive("read link events")) {
                            yield(event)
                        }
                    } catch  where error.errno?.rawValue == ENOBUFS {
                        yield(.resync)
                    } catch {
                        break
                    }
                }
                continuation.finish()
            }

            /// What was dropped may have been the last word on a link, so a `resync` follows at once.
            private func yield(_ event: LinkEvent) {
                if case .dropped = continuation.yield(event) { continuation.yield(.resync) }
            }
        }

        init(socket: consuming NetlinkSocket, stop: Int32, continuation: AsyncStream<LinkEvent>.Continuation) {
            let state = State(socket: socket, stop: stop, continuation: continuation)
            var identifier = pthread_t()
            let argument = Unmanaged.passRetained(state).toOpaque()
            pthread_create(
                &identifier, nil,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<State>.fromOpaque(argument).takeRetainedValue().run()
                    return nil
                }, argument)
            self.identifier = identifier
        }

        func join() { pthread_join(identifier, nil) }
    }
}
