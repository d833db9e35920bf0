internal import Glibc
internal import HummingbirdCore
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// Accepts connections on one socket, and hands each to the HTTP server.
struct Listener: Sendable {
    let descriptor: Int32
    /// The TLS settings of new connections; nil for a Unix socket.
    let tls: TLSSettings?
    let logger: Logger

    /// Answers requests until the task is cancelled.
    func run(
        on group: any EventLoopGroup, _ responder: @escaping @Sendable (Request, Peer?) async -> Response
    ) async throws {
        let (tls, logger) = (tls, logger)
        let http = HTTP1Channel(
            responder: { request, writer, channel in
                // TLS asked for the certificate, and has let nobody in without.
                let peer: Peer? = tls == nil ? await Peer.onUnixSocket(channel) : .certificate
                let response = await responder(request, peer)
                try await writer.write(response: response.head, body: response.body)
            }, configuration: .init(idleTimeout: .seconds(60)))
        let count = ConnectionCount()
        let server = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .bind(descriptor, serverBackPressureStrategy: nil) { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let tls else { return }
                    let handler = NIOSSLServerHandler(context: tls.context)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }.flatMap { http.setup(channel: channel, logger: logger) }
            }
        // Cancelling ends the connections too: a client that listens to events would never leave.
        try await withTaskCancellationHandler {
            try await server.executeThenClose { connections in
                try await withThrowingDiscardingTaskGroup { group in
                    for try await connection in connections {
                        // Beyond that it is no use that is meant, and the descriptors are needed for devices.
                        group.addTask {
                            guard count.enter() else {
                                try? await connection.executeThenClose { _, _ in }
                                return
                            }
                            await http.handle(value: connection, logger: logger)
                            count.leave()
                        }
                    }
                }
            }
        } onCancel: {
            server.channel.close(promise: nil)
        }
    }

    // MARK: Sockets

    /// A listening Unix socket with mode 0660 and a group; one that systemd has opened is taken as it is.
    static func unix(_ path: String, group: String?, logger: Logger) throws(ListenError) -> Int32 {
        if let descriptor = Systemd.activatedSocket {
            var domain: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            // On another socket nobody could say who is at its other end.
            guard getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0, domain == AF_UNIX else {
                throw ListenError("the socket unit must have a path in ListenStream=; TCP is for --listen, with TLS")
            }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            return descriptor
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        guard path.utf8.count < 108 else { throw ListenError("the path \(path) is longer than 107 bytes") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let folder = path.split(separator: "/").dropLast().map { "/" + $0 }.joined()
        if !folder.isEmpty { mkdir(folder, 0o755) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ListenError("socket: \(reason())") }
        unlink(path)
        // The mode is right from the beginning: nobody gets in between bind and chmod.
        let mask = umask(0o117)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        let failure = reason()
        umask(mask)
        guard bound == 0 else { throw ListenError("\(path): \(failure)") }
        if let group {
            if let entry = getgrnam(group) {
                if chown(path, uid_t.max, entry.pointee.gr_gid) != 0 { throw ListenError("\(path): \(reason())") }
            } else {
                logger.warning("there is no group \(group); only root can use \(path) (groupadd --system \(group))")
            }
        }
        return descriptor
    }

    /// A bound TCP socket.
    static func tcp(_ host: String, _ port: Int) throws(ListenError) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, "\(port)", &hints, &found) == 0, let entry = found else {
            throw ListenError("\(host) is not an IP address")
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(entry.pointee.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
        guard descriptor >= 0, bind(descriptor, entry.pointee.ai_addr, entry.pointee.ai_addrlen) == 0 else {
            throw ListenError("\(host) port \(port): \(reason())")
        }
        return descriptor
    }

    private static func reason() -> String { String(cString: strerror(errno)) }
}

/// A socket that cannot be listened on.
struct ListenError: Error, CustomStringConvertible {
    let description: String
    init(_ text: String) { description = "cannot listen: \(text)" }
}

/// What TLS needs, read anew on SIGHUP: connections that stand keep what they had.
final class TLSSettings: Sendable {
    private let options: AgentOptions.TCPOptions
    private let current: Mutex<NIOSSLContext>

    init(_ options: AgentOptions.TCPOptions) throws {
        self.options = options
        current = Mutex(try Self.read(options))
    }

    var context: NIOSSLContext { current.withLock { $0 } }

    /// Reads the files again; what cannot be read leaves everything as it is.
    func reload() throws {
        let context = try Self.read(options)
        current.withLock { $0 = context }
    }

    private static func read(_ options: AgentOptions.TCPOptions) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(options.certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: options.key, format: .pem)))
        configuration.minimumTLSVersion = .tlsv12
        configuration.certificateVerification = .noHostnameVerification
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(options.clientAuthorities))
        return try NIOSSLContext(configuration: configuration)
    }
}

/// How many connections a socket has.
private final class ConnectionCount: Sendable {
    private static let limit = 1024
    private let count = Mutex(0)

    /// Counts a connection; false when there are enough.
    func enter() -> Bool {
        count.withLock { count in
            guard count < Self.limit else { return false }
            count += 1
            return true
        }
    }

    func leave() { count.withLock { $0 -= 1 } }
}
