internal import GRPCCore
internal import GRPCNIOTransportHTTP2Posix
internal import Glibc
package import KubeletAPI
internal import PCI
internal import SwiftProtobuf
internal import Synchronization

/// The kubelet as device plugins know it, in a folder of its own: it finds plugins or is registered with, keeps their lists,
/// and asks them for devices. What it does is what pkg/kubelet/cm/devicemanager and pluginmanager do.
package final class FakeKubelet: Sendable {
    /// How plugins come to it.
    package enum Discovery: Sendable {
        /// It looks for sockets in plugins_registry.
        case registry
        /// They call Register on kubelet.sock.
        case register
    }

    /// What is known of a resource.
    package struct Resource: Sendable {
        /// The plugin's socket.
        package var socket: String
        /// The devices as they were last listed: health and NUMA node by identifier.
        package var devices: [String: Device] = [:]
        /// How many lists have come over this connection.
        package var lists = 0
        /// Whether the plugin is there.
        package var isConnected = true
    }

    /// A device as it was listed.
    package struct Device: Sendable, Hashable {
        package var isHealthy: Bool
        package var node: Int?
    }

    package let folder: String
    private let discovery: Discovery
    private let state = Mutex<[String: Resource]>([:])
    private let registrations = Mutex<Int>(0)
    private let pods = Mutex<V1_ListPodResourcesResponse>(.init())
    private let changes = Mutex<[UInt64: AsyncStream<Void>.Continuation]>([:])
    private let refusal = Mutex<String?>(nil)
    private let nextRecord = Mutex<[(resource: String, ids: [String])]?>(nil)

    /// A kubelet in a folder, which is made.
    package init(in folder: String, _ discovery: Discovery) {
        self.folder = folder
        self.discovery = discovery
        for name in ["", "/device-plugins", "/pod-resources"] { mkdir(folder + name, 0o755) }
        if discovery == .registry { mkdir("\(folder)/plugins_registry", 0o755) }
    }

    /// What the plugins have told.
    package var resources: [String: Resource] { state.withLock { $0 } }
    /// How often a plugin was taken.
    package var registrationCount: Int { registrations.withLock { $0 } }

    /// Refuses whoever registers from now on, with an error; nil takes everybody.
    package func refuse(_ error: String?) { refusal.withLock { $0 = error } }

    /// Says which devices pods have.
    package func setPods(
        _ list: [(namespace: String, name: String, container: String, resource: String, ids: [String])]
    ) {
        pods.withLock {
            $0.podResources = list.map { entry in
                .with { pod in
                    (pod.namespace, pod.name) = (entry.namespace, entry.name)
                    pod.containers = [
                        .with { container in
                            container.name = entry.container
                            container.devices = [
                                .with { ($0.resourceName, $0.deviceIds) = (entry.resource, entry.ids) }
                            ]
                        }
                    ]
                }
            }
        }
    }

    /// What it will have down as allocated, when it next writes its record: with the next list that it is told.
    package func recordNext(_ devices: [(resource: String, ids: [String])]) { nextRecord.withLock { $0 = devices } }

    /// Writes its record of allocations anew, as the kubelet does with every one.
    package func writeCheckpoint(_ devices: [(resource: String, ids: [String])] = []) {
        let entries = devices.map { entry in
            let ids = entry.ids.map { "\"\($0)\"" }.joined(separator: ",")
            return """
                {"PodUID":"1","ContainerName":"app","ResourceName":"\(entry.resource)","DeviceIDs":{"0":[\(ids)]},"AllocResp":""}
                """
        }
        let text =
            "{\"Data\":{\"PodDeviceEntries\":[\(entries.joined(separator: ","))],\"RegisteredDevices\":{}},\"Checksum\":1}"
        let path = "\(folder)/device-plugins/kubelet_internal_checkpoint"
        let descriptor = open(path + ".tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        write(descriptor, text, text.utf8.count)
        close(descriptor)
        rename(path + ".tmp", path)
    }

    /// Runs during a body: a kubelet that starts, and ends with it.
    package func run<Value>(_ body: (FakeKubelet) async throws -> Value) async throws -> Value {
        // It removes the sockets of those that registered with the one before (devicemanager's Start).
        if discovery == .register { removeSockets("\(folder)/device-plugins") }
        let (found, finder) = AsyncStream.makeStream(of: String.self)
        let services: [any RegistrableRPCService] = [
            Registration(kubelet: self, finder: finder), PodResources(kubelet: self),
        ]
        let servers = ["device-plugins", "pod-resources"].map { name in
            GRPCServer(
                transport: .http2NIOPosix(
                    address: .unixDomainSocket(path: "\(folder)/\(name)/kubelet.sock"), transportSecurity: .plaintext),
                services: services)
        }
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            // Whoever connects while a server's task is cancelled makes gRPC's transport trap, so they are asked to end.
            defer {
                for server in servers { server.beginGracefulShutdown() }
                state.withLock { $0 = [:] }
            }
            for server in servers { tasks.addTask { try await server.serve() } }
            return try await withThrowingTaskGroup(of: Void.self) { plugins in
                defer { plugins.cancelAll() }
                if discovery == .registry { plugins.addTask { await self.findPlugins(finder) } }
                plugins.addTask { await self.followPlugins(found) }
                return try await body(self)
            }
        }
    }

    private func removeSockets(_ path: String) { for socket in sockets(in: path).keys { unlink(socket) } }

    // MARK: Plugins

    /// Looks for new sockets, as fsnotify tells the kubelet; here every 20 ms.
    private func findPlugins(_ finder: AsyncStream<String>.Continuation) async {
        var known: [String: UInt64] = [:]
        while !Task.isCancelled {
            let sockets = sockets(in: "\(folder)/plugins_registry")
            for (path, inode) in sockets where known[path] != inode { finder.yield(path) }
            known = sockets
            try? await Task.sleep(for: .milliseconds(20))
        }
    }

    /// The sockets of a folder that are not hidden, with their inodes.
    private func sockets(in path: String) -> [String: UInt64] {
        var sockets: [String: UInt64] = [:]
        for name in ((try? LiveFileTree().entries(path)) ?? nil) ?? [] {
            var status = stat()
            guard name.hasSuffix(".sock"), !name.hasPrefix("."), stat("\(path)/\(name)", &status) == 0 else { continue }
            sockets["\(path)/\(name)"] = UInt64(status.st_ino)
        }
        return sockets
    }

    private func followPlugins(_ found: AsyncStream<String>) async {
        await withDiscardingTaskGroup { tasks in
            for await socket in found {
                tasks.addTask { try? await self.follow(socket) }
            }
        }
    }

    /// Asks a plugin who it is, and follows its list as long as it is there.
    private func follow(_ socket: String) async throws {
        try await Self.connecting(to: socket) { client in
            let name: String
            if socket.contains("/plugins_registry/") {
                let registration = Pluginregistration_Registration.Client(wrapping: client)
                let info = try await registration.getInfo(.init())
                let refusal = self.refusal.withLock { $0 }
                _ = try await registration.notifyRegistrationStatus(
                    .with {
                        $0.pluginRegistered = refusal == nil
                        $0.error = refusal ?? ""
                    })
                guard refusal == nil, info.type == "DevicePlugin", info.supportedVersions.contains("v1beta1") else {
                    return
                }
                name = info.name
            } else {
                name = self.state.withLock { state in state.first { $0.value.socket == socket }?.key ?? "" }
            }
            let plugin = V1beta1_DevicePlugin.Client(wrapping: client)
            // A kubelet does not ask for what is not offered, and its user never hears of it.
            guard try await plugin.getDevicePluginOptions(.init()).getPreferredAllocationAvailable else { return }
            self.registrations.withLock { $0 += 1 }
            self.change { $0[name] = Resource(socket: socket) }
            defer { self.change { if $0[name]?.socket == socket { $0[name]?.isConnected = false } } }
            try await plugin.listAndWatch(.init()) { response in
                for try await list in response.messages {
                    if let record = self.nextRecord.withLock({ $0 }) { self.writeCheckpoint(record) }
                    self.change { state in
                        state[name]?.lists += 1
                        state[name]?.devices = Dictionary(
                            list.devices.map { device in
                                (
                                    device.id,
                                    Device(
                                        isHealthy: device.health == "Healthy",
                                        node: device.topology.nodes.first.map { Int($0.id) })
                                )
                            }, uniquingKeysWith: { first, _ in first })
                    }
                }
            }
        }
    }

    private static func connecting<Value: Sendable>(
        to socket: String, _ body: @Sendable (GRPCClient<HTTP2ClientTransport.Posix>) async throws -> Value
    ) async throws -> Value {
        try await withGRPCClient(
            transport: try HTTP2ClientTransport.Posix(
                target: .unixDomainSocket(path: socket, authority: "localhost"), transportSecurity: .plaintext)
        ) { client in try await body(client) }
    }

    private func change(_ body: (inout [String: Resource]) -> Void) {
        state.withLock { body(&$0) }
        for waiting in changes.withLock({ Array($0.values) }) { waiting.yield() }
    }

    /// Waits until what the plugins have told is so; false after a time.
    package func wait(
        for seconds: Int = 20, until isSo: @escaping @Sendable ([String: Resource]) -> Bool
    ) async -> Bool {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let number = UInt64.random(in: 0 ... .max)
        changes.withLock { $0[number] = continuation }
        defer { changes.withLock { _ = $0.removeValue(forKey: number) } }
        continuation.yield()
        let timer = Task {
            try await Task.sleep(for: .seconds(seconds))
            continuation.finish()
        }
        defer { timer.cancel() }
        for await _ in stream where isSo(resources) { return true }
        return isSo(resources)
    }

    // MARK: Asking

    /// Asks for devices. Throws `RPCError` as the plugin answers.
    package func allocate(_ ids: [String], of resource: String) async throws -> V1beta1_ContainerAllocateResponse {
        let response = try await Self.connecting(to: resources[resource]?.socket ?? "") { client in
            try await V1beta1_DevicePlugin.Client(wrapping: client).allocate(
                .with { $0.containerRequests = [.with { $0.devicesIds = ids }] })
        }
        return response.containerResponses.first ?? .init()
    }

    /// Asks which devices the plugin would take.
    package func preferred(
        _ count: Int, of available: [String], with required: [String] = [], _ resource: String
    ) async throws -> [String] {
        let response = try await Self.connecting(to: resources[resource]?.socket ?? "") { client in
            try await V1beta1_DevicePlugin.Client(wrapping: client).getPreferredAllocation(
                .with {
                    $0.containerRequests = [
                        .with { request in
                            (request.availableDeviceIds, request.mustIncludeDeviceIds) = (available, required)
                            request.allocationSize = Int32(count)
                        }
                    ]
                })
        }
        return response.containerResponses.first?.deviceIds ?? []
    }

    // MARK: What it answers

    private struct Registration: V1beta1_Registration.SimpleServiceProtocol {
        let kubelet: FakeKubelet
        let finder: AsyncStream<String>.Continuation

        func register(request: V1beta1_RegisterRequest, context: ServerContext) async throws -> V1beta1_Empty {
            if let refusal = kubelet.refusal.withLock({ $0 }) { throw RPCError(code: .unknown, message: refusal) }
            guard request.version == "v1beta1" else {
                throw RPCError(code: .unknown, message: "unsupported API version \(request.version)")
            }
            guard request.options.getPreferredAllocationAvailable else {
                throw RPCError(code: .unknown, message: "the plugin offers no preferred allocation")
            }
            let socket = "\(kubelet.folder)/device-plugins/\(request.endpoint)"
            kubelet.change { $0[request.resourceName] = Resource(socket: socket) }
            finder.yield(socket)
            return .init()
        }
    }

    private struct PodResources: V1_PodResourcesLister.SimpleServiceProtocol {
        let kubelet: FakeKubelet

        func list(
            request: V1_ListPodResourcesRequest, context: ServerContext
        ) async throws -> V1_ListPodResourcesResponse { kubelet.pods.withLock { $0 } }
    }
}
