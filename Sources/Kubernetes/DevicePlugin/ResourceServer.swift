internal import CLinux
internal import GRPCCore
internal import GRPCNIOTransportHTTP2Posix
internal import Glibc
internal import KubeletAPI
internal import NIOPosix
internal import SRIOV
internal import SwiftProtobuf
internal import Synchronization

/// A resource's plugin: its socket, what it has, and who is told of changes.
final class ResourceServer: Sendable {
    let name: ResourceName
    let socket: String

    typealias Server = GRPCServer<HTTP2ServerTransport.Posix>

    private struct State {
        var resource: NodeResource
        var devices: [PluginDevice]
        var watchers: [UInt64: AsyncStream<[PluginDevice]>.Continuation] = [:]
        var lastWatcher: UInt64 = 0
        var server: Server?
        /// Whether the socket was there: from then on it being away means that somebody has removed it.
        var isBound = false
        var began = ContinuousClock.now
        /// The kubelet that it has registered with, by its socket.
        var kubelet: FileIdentity?
    }

    private let state: Mutex<State>

    init(_ resource: NodeResource, devices: [PluginDevice], socket: String) {
        name = resource.name
        self.socket = socket
        state = Mutex(State(resource: resource, devices: devices))
    }

    var resource: NodeResource { state.withLock { $0.resource } }
    var devices: [PluginDevice] { state.withLock { $0.devices } }
    var isServing: Bool {
        let isThere = FileIdentity(socket) != nil
        return state.withLock { state in
            guard state.server != nil else { return false }
            defer { state.isBound = state.isBound || isThere }
            // One that was removed before anybody saw it is not waited for.
            return isThere || !state.isBound && state.began.duration(to: .now) < .seconds(2)
        }
    }

    /// Takes over what the resource has now, and tells the kubelet when that is something else. Returns whether it is.
    func update(_ resource: NodeResource, _ devices: [PluginDevice]) -> Bool {
        state.withLock { state in
            state.resource = resource
            guard state.devices != devices else { return false }
            state.devices = devices
            Self.tell(state)
            return true
        }
    }

    /// What the resource has, now and whenever it changes.
    func watch() -> (devices: AsyncStream<[PluginDevice]>, end: @Sendable () -> Void) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: [PluginDevice].self, bufferingPolicy: .bufferingNewest(1))
        let number = state.withLock { state in
            state.lastWatcher += 1
            state.watchers[state.lastWatcher] = continuation
            continuation.yield(state.devices)
            return state.lastWatcher
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.watchers.removeValue(forKey: number) }
        }
        return (stream, { continuation.finish() })
    }

    /// Tells the kubelet its list once more, so that it writes down what is allocated.
    func tellAgain() {
        state.withLock { Self.tell($0) }
    }

    /// To be called with the lock held: of two lists the older one must not be the last that the kubelet gets.
    private static func tell(_ state: borrowing State) {
        for watcher in state.watchers.values { watcher.yield(state.devices) }
    }

    // MARK: The socket

    /// Begins to listen; to be followed by `serve`. One that listened before gives way.
    func prepare(_ services: [any RegistrableRPCService], on group: MultiThreadedEventLoopGroup) -> Server {
        let server = Server(
            transport: .http2NIOPosix(
                address: .unixDomainSocket(path: socket), transportSecurity: .plaintext, eventLoopGroup: group),
            services: services)
        let (other, watchers) = state.withLock { state in
            defer {
                (state.server, state.isBound, state.watchers, state.kubelet) = (server, false, [:], nil)
                state.began = .now
            }
            return (state.server, Array(state.watchers.values))
        }
        for watcher in watchers { watcher.finish() }
        other?.beginGracefulShutdown()
        return server
    }

    /// Listens until it is stopped.
    ///
    /// Throws when the socket cannot be made.
    func serve(_ server: Server) async throws {
        defer { state.withLock { if $0.server === server { $0.server = nil } } }
        try await server.serve()
    }

    /// Stops listening. The socket stays for the next one, unless the resource is none any more.
    func stop(removingSocket: Bool) {
        let (server, watchers) = state.withLock { state in
            defer { (state.server, state.watchers) = (nil, [:]) }
            return (state.server, Array(state.watchers.values))
        }
        for watcher in watchers { watcher.finish() }
        server?.beginGracefulShutdown()
        if removingSocket { unlink(socket) }
    }

    // MARK: Registering

    /// Whether a kubelet is another than the one that it has registered with; it is taken for that one from here on.
    func isNew(_ kubelet: FileIdentity) -> Bool {
        state.withLock { state in
            defer { state.kubelet = kubelet }
            return state.kubelet != kubelet
        }
    }

    /// Forgets the kubelet that it could not register with.
    func forgetKubelet() { state.withLock { $0.kubelet = nil } }

    /// Tells a kubelet of the socket.
    ///
    /// Throws what the kubelet answers: another plugin has the resource, or its version is not spoken.
    func register(with kubelet: KubeletConnection) async throws {
        let request = V1beta1_RegisterRequest.with {
            $0.version = "v1beta1"
            $0.endpoint = String(socket.split(separator: "/").last ?? "")
            $0.resourceName = "\(name)"
            $0.options = .with { $0.getPreferredAllocationAvailable = true }
        }
        try await kubelet.call { client, options in
            _ = try await V1beta1_Registration.Client(wrapping: client).register(request, options: options)
        }
    }
}

/// Which file a path leads to: another one of the same name is told from it.
struct FileIdentity: Hashable {
    private var device: UInt64
    private var inode: UInt64
    private var seconds: Int
    private var nanoseconds: Int

    /// nil when there is no file.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        (seconds, nanoseconds) = (status.st_ctim.tv_sec, status.st_ctim.tv_nsec)
    }
}
