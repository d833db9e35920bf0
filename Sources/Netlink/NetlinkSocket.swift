internal import CLinux
internal import Glibc
internal import SystemPackage

/// A netlink socket that sends one request at a time and waits for its answer.
///
/// The port number is left to the kernel (0): a second socket of the process would otherwise be refused. Requests are
/// matched by sequence number, extended acknowledgements are on, and every datagram is read at its full size.
package struct NetlinkSocket: ~Copyable, Sendable {
    private let descriptor: Int32
    private var sequence: UInt32
    /// Seconds without an answer after which a request fails; the kernel answers at once unless a driver hangs.
    private let timeout: Int

    private init(descriptor: Int32, timeout: Int) {
        self.descriptor = descriptor
        self.timeout = timeout
        sequence = UInt32.random(in: 1...0x7fff_ffff)
    }

    deinit { Glibc.close(descriptor) }

    /// Opens a socket of a netlink protocol, joined to multicast groups (a bit set, as `nl_groups`).
    package static func open(
        _ netlinkProtocol: Int32, groups: UInt32 = 0, timeoutSeconds: Int = 60
    ) throws(NetlinkError) -> NetlinkSocket {
        let descriptor = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue | SOCK_CLOEXEC.rawValue), netlinkProtocol)
        guard descriptor >= 0 else { throw failure("open a netlink socket") }
        let result = NetlinkSocket(descriptor: descriptor, timeout: timeoutSeconds)
        // NETLINK_EXT_ACK asks for the kernel's text, NETLINK_CAP_ACK keeps it from repeating the whole request, and
        // strict checking makes it honour the filters of a dump. Older kernels lack the last, which does no harm.
        for option in [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK] {
            var on: Int32 = 1
            setsockopt(descriptor, SOL_NETLINK, option, &on, 4)
        }
        var buffer: Int32 = 4 << 20
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &buffer, 4)
        var address = sockaddr_nl()
        address.nl_family = UInt16(AF_NETLINK)
        address.nl_groups = groups
        let bound = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_nl>.size))
            }
        }
        guard bound == 0 else { throw failure("bind a netlink socket") }
        return result
    }

    /// Sends a request and waits for its acknowledgement. Returns the kernel's warning, if it gave one.
    @discardableResult
    package mutating func request(_ builder: MessageBuilder, _ operation: String) throws(NetlinkError) -> String? {
        try exchange(builder, operation) { _ in }
    }

    /// Sends a request whose answers are messages: one for a get, many for a dump. A dump that the kernel reports as
    /// interrupted by a change is made again, a few times at most, so that what is returned is one consistent state.
    package mutating func query(_ builder: MessageBuilder, _ operation: String) throws(NetlinkError) -> [Message] {
        for _ in 0..<8 {
            var messages: [Message] = []
            var isInterrupted = false
            try exchange(builder, operation) { message in
                isInterrupted = isInterrupted || message.isInterrupted
                messages.append(message)
            }
            if !isInterrupted { return messages }
        }
        throw NetlinkError(.interrupted, operation, text: "the state kept changing while it was read")
    }

    @discardableResult
    private mutating func exchange(
        _ builder: MessageBuilder, _ operation: String, each: (Message) -> Void
    ) throws(NetlinkError) -> String? {
        sequence = sequence == 0x7fff_ffff ? 1 : sequence + 1
        let message = builder.finished(sequence: sequence)
        try send(message, operation)
        while true {
            for answer in Message.all(in: try receive(operation)) where answer.sequence == sequence {
                if let acknowledgement = answer.acknowledgement {
                    if answer.isInterrupted { each(answer) }
                    guard let errno = acknowledgement.errno else { return acknowledgement.text }
                    throw NetlinkError(.refused, operation, errno: errno, text: acknowledgement.text)
                }
                each(answer)
            }
        }
    }

    private func send(_ message: [UInt8], _ operation: String) throws(NetlinkError) {
        // A message larger than the default send buffer (208 KiB) needs a larger one.
        if message.count > 128 << 10 {
            var size = Int32(clamping: 2 * message.count)
            setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &size, 4)
        }
        while Glibc.send(descriptor, message, message.count, 0) < 0 {
            if errno != EINTR { throw Self.failure(operation) }
        }
    }

    /// The next datagram, whole: its size is asked for first.
    package func receive(_ operation: String) throws(NetlinkError) -> [UInt8] {
        try waitUntilReadable(operation)
        let size = try retrying(operation) {
            recv(descriptor, nil, 0, Int32(truncatingIfNeeded: Int(MSG_PEEK) | Int(MSG_TRUNC)))
        }
        var received = 0
        var failed: NetlinkError?
        let datagram = [UInt8](unsafeUninitializedCapacity: max(size, 16)) { buffer, count in
            do throws(NetlinkError) {
                received = try retrying(operation) { recv(descriptor, buffer.baseAddress, buffer.count, 0) }
            } catch {
                failed = error
            }
            count = min(max(received, 0), buffer.count)
        }
        if let failed { throw failed }
        return datagram
    }

    /// Waits for a datagram, at most for a time; false when none has come.
    package func isReadable(within time: Duration) throws(NetlinkError) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let milliseconds = time.components.seconds * 1000 + time.components.attoseconds / 1_000_000_000_000_000 + 1
        while true {
            let ready = poll(&entry, 1, Int32(clamping: milliseconds))
            if ready >= 0 { return ready > 0 }
            if errno != EINTR { throw Self.failure("wait for a netlink message") }
        }
    }

    private func waitUntilReadable(_ operation: String) throws(NetlinkError) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while true {
            let ready = poll(&entry, 1, timeout < 0 ? -1 : Int32(clamping: timeout * 1000))
            if ready > 0 { return }
            if ready == 0 {
                throw NetlinkError(.timeout, operation, text: "the kernel did not answer within \(timeout) s")
            }
            if errno != EINTR { throw Self.failure(operation) }
        }
    }

    private func retrying(_ operation: String, _ call: () -> Int) throws(NetlinkError) -> Int {
        while true {
            let result = call()
            if result >= 0 { return result }
            if errno != EINTR { throw Self.failure(operation) }
        }
    }

    private static func failure(_ operation: String) -> NetlinkError {
        NetlinkError(.socket, operation, errno: Errno(rawValue: errno))
    }

    /// The descriptor, for waiting on it together with others.
    package borrowing func withDescriptor<Result>(_ body: (Int32) -> Result) -> Result { body(descriptor) }
}
