internal import GRPCCore
internal import Glibc
public import Leasing
public import Logging
internal import NIOCore
public import NIOPosix
internal import PCI
public import SRIOV
internal import Synchronization

/// Keeps the kubelet told of the resources that the host's pools are, and leases what it allocates.
///
/// A kubelet that finds plugins by themselves looks into `plugins_registry`; older ones are registered with. Both are waited
/// for, and started anew as often as they like.
public final class DevicePlugin: Sendable {
    private let manager: LeaseManager
    private let folders: KubeletFolders
    private let group: MultiThreadedEventLoopGroup
    private let logger: Logger
    private let allocator: Allocator
    private let firmware: FirmwareFacts
    private let changes: AsyncStream<Void>
    private let wake: @Sendable () -> Void
    private let options: Options
    private let configuration = Mutex(Configuration())
    private let pods: PodResources
    private let servers = Mutex<[ResourceName: ResourceServer]>([:])
    private enum Life { case beginning, running, stopped }
    private let life = Mutex(Life.beginning)
    /// What the files on allocated devices were last kept for.
    private let allocated = Known()
    /// Whether the kubelet has said whose devices are.
    private let hasAnswered = Mutex(false)
    private let questions = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    private let isQuestionDue = Mutex(false)
    /// How many sockets are listened on, and who waits until none is.
    private let serving = Mutex<(count: Int, waiting: [CheckedContinuation<Void, Never>])>((0, []))

    /// Where it finds what.
    public struct Options: Sendable {
        /// The kubelet's folder.
        public var kubelet = "/var/lib/kubelet"
        /// The list of resources of sriov-network-device-plugin; it need not be there. nil for none.
        public var list: String? = "/etc/pcidp/config.json"
        /// The prefix of the list's resources that name none.
        public var prefix = "intel.com"
        /// Whether containers get their nodes by way of the Container Device Interface.
        public var usesCDI = false

        /// The usual ones.
        public init() {}
    }

    /// A plugin that looks at its resources whenever `changes` yields; `wake` makes it do so.
    public init(
        manager: LeaseManager, kernel: any HostKernel, options: Options, group: MultiThreadedEventLoopGroup,
        changes: AsyncStream<Void>, wake: @escaping @Sendable () -> Void, logger: Logger
    ) {
        self.manager = manager
        self.options = options
        folders = KubeletFolders(options.kubelet)
        self.group = group
        self.logger = logger
        self.changes = changes
        self.wake = wake
        allocator = Allocator(manager: manager, kernel: kernel, infoFiles: DeviceInfoFiles(), usesCDI: options.usesCDI)
        firmware = FirmwareFacts(kernel: kernel, files: kernel.files)
        pods = PodResources(
            manager: manager, connection: KubeletConnection(socket: folders.podResources, group: group),
            checkpoint: KubeletCheckpoint(path: folders.checkpoint))
    }

    /// Runs until the changes end or the task is cancelled. Leases stay: the next run goes on with them.
    public func run() async {
        let question = questions.continuation
        watchFolders()
        await withDiscardingTaskGroup { tasks in
            tasks.addTask {
                await self.readConfiguration()
                // Whom pods have devices of before the kubelet hears what is healthy: theirs are.
                await self.ask()
                self.begin()
                for await _ in self.questions.stream where !Task.isCancelled { await self.ask() }
            }
            // A kubelet that does not answer, or a device, must not keep the others from being told of.
            group.next().scheduleTask(in: .seconds(5)) { self.begin() }
            for await _ in changes where !Task.isCancelled && life.withLock({ $0 }) == .running {
                await readConfiguration()
                look(&tasks)
            }
            question.finish()
            tasks.cancelAll()
        }
    }

    private func begin() {
        life.withLock { if $0 == .beginning { $0 = .running } }
        wake()
    }

    /// The kubelet's record of its allocations is among what is watched: when it is written, some may have ended.
    private func watchFolders() {
        let list = options.list.map { ["/" + $0.split(separator: "/").dropLast().joined(separator: "/")] } ?? []
        let (folders, wake, question, logger, group) = (folders, wake, questions.continuation, logger, group)
        let allocated = allocated
        let each: @Sendable () -> Void = {
            // Files on devices may have been removed by others.
            allocated.forget()
            wake()
            question.yield()
        }
        let hasStarted = startThread {
            FolderWatch.run([folders.registry, folders.devicePlugins] + list, each)
            logger.error(
                "the kubelet's folders cannot be watched, and are looked at every 5 s: raise fs.inotify.max_user_instances"
            )
            group.next().scheduleRepeatedTask(initialDelay: .seconds(5), delay: .seconds(5)) { _ in each() }
        }
        if !hasStarted { logger.error("the kubelet's folders cannot be watched: there is no thread") }
    }

    /// Stops listening, and waits until nobody is connected any more. The sockets go: a kubelet that finds one which nobody
    /// listens on, as after a reboot, waits ever longer before it tries again. To be called before `run` is cancelled: whoever
    /// connects while a server's task is cancelled makes gRPC's transport trap.
    public func stop() async {
        life.withLock { $0 = .stopped }
        for server in servers.withLock({ $0.values }) { server.stop(removingSocket: true) }
        await withCheckedContinuation { continuation in
            let isOver = serving.withLock { serving in
                if serving.count > 0 { serving.waiting.append(continuation) }
                return serving.count == 0
            }
            if isOver { continuation.resume() }
        }
    }

    private func served(_ change: Int) {
        let waiting = serving.withLock { serving in
            serving.count += change
            defer { if serving.count == 0 { serving.waiting = [] } }
            return serving.count == 0 ? serving.waiting : []
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Brings the sockets and the lists in line with the pools and the kubelet.
    private func look(_ tasks: inout DiscardingTaskGroup) {
        let occupied = manager.occupiedOrPromised
        let resources = resources
        let folder = pluginFolder
        followLeases(resources)
        let questions = configuration.withLock { $0.list.firmwareQuestions }
        if !questions.isEmpty {
            let (firmware, members, wake) = (firmware, manager.pools.others, wake)
            tasks.addTask { if await firmware.readUnlessReading(questions, of: members) { wake() } }
        }
        let names = Set(resources.map(\.name))
        let gone = servers.withLock { servers in
            let gone = servers.values.filter { server in
                !names.contains(server.name) || folder.map { server.socket != path(of: server.name, in: $0) } ?? false
            }
            for server in gone { servers[server.name] = nil }
            return gone
        }
        for server in gone {
            logger.notice("\(server.name) is no resource any more", metadata: ["socket": "\(server.socket)"])
            server.stop(removingSocket: true)
        }
        guard let folder else { return }
        for resource in resources {
            let server = update(resource, resource.devices(occupied), in: folder)
            if !server.isServing { serve(server, &tasks) }
            if folder == folders.devicePlugins { register(server, &tasks) }
        }
    }

    /// The resources as they are now; what is wrong with their list is told once.
    private var resources: [NodeResource] {
        let (list, told) = configuration.withLock { ($0.list, $0.told) }
        let (resources, findings) = NodeResources.all(
            of: manager.pools, and: list, leases: manager.leases,
            on: NodeFacts(of: manager.observedHost, for: list, files: allocator.kernel.files, firmware: firmware))
        for finding in findings where !told.contains(finding) { logger.warning("\(finding)") }
        configuration.withLock { $0.told = Set(findings) }
        let servers = servers.withLock(\.self)
        return resources.map { resource in servers[resource.name].map { resource.following($0.resource) } ?? resource }
    }

    // MARK: Configuration

    private struct Configuration {
        var list = ResourceList()
        /// The file that it was read from.
        var file: FileIdentity?
        var told: Set<String> = []
    }

    /// Reads the list of resources again when it is another file. One that cannot be used changes nothing.
    private func readConfiguration() async {
        guard let path = options.list else { return }
        let file = FileIdentity(path)
        let isNew = configuration.withLock { configuration in
            defer { configuration.file = file }
            return configuration.file != file
        }
        guard isNew else { return }
        do {
            let prefix = options.prefix
            let list = try await allocator.offLoop.run {
                let bytes = try LiveFileTree().contents(path, limit: ResourceList.maximumBytes + 1)
                guard let bytes else { return ResourceList() }
                guard bytes.count <= ResourceList.maximumBytes else {
                    throw ResourceListError(message: "it is longer than 1 MiB")
                }
                return try ResourceList(String(decoding: bytes, as: UTF8.self), prefix: prefix)
            }
            await takeOver(list)
            for finding in list.findings { logger.warning("\(path): \(finding)") }
            logger.notice("\(path): \(list.resources.count) resources")
        } catch {
            let reason = (error as? ResourceListError)?.message ?? "\(error)"
            logger.error("\(path) is not taken over: \(reason); the resources stay as they are")
        }
    }

    // MARK: Pods

    /// Asks the kubelet which pods have which devices, for somebody who has to know it now.
    /// Returns whether the kubelet has answered.
    public func learnPods() async -> Bool { (try? await pods.learn(resources)) ?? nil != nil }

    /// Asks the kubelet which pods have which devices, and ends what none has.
    private func ask() async {
        do {
            let outcome = await pods.endOthers(try await pods.learn(resources))
            if outcome.isOpen { askLater(in: PodResources.patience + .seconds(1)) }
            // The kubelet writes the whole of its record, whichever list makes it do so: the resource itself may be none any more.
            if outcome.isStale { for server in servers.withLock({ $0.values }) { server.tellAgain() } }
            if outcome.isAnswer,
                !hasAnswered.withLock({ hasAnswered in
                    defer { hasAnswered = true }
                    return hasAnswered
                })
            {
                allocated.forget()
            }
            // What is healthy, and what files there are, may be something else now.
            wake()
        } catch {
            guard !Task.isCancelled else { return }
            logger.warning("the kubelet does not say which pods have which devices: \(error)")
            askLater(in: PodResources.patience)
        }
    }

    private func askLater(in time: Duration) {
        guard
            isQuestionDue.withLock({ isDue in
                defer { isDue = true }
                return !isDue
            })
        else { return }
        group.next().scheduleTask(in: TimeAmount(time)) { [self] in
            isQuestionDue.withLock { $0 = false }
            questions.continuation.yield()
        }
    }

    /// When allocations come, or may end soon, their files are brought up to date, and the kubelet is asked whose they are.
    private func followLeases(_ resources: [NodeResource]) {
        let members = Dictionary(
            resources.flatMap(\.members).map { ($0.identity, $0) }, uniquingKeysWith: { first, _ in first })
        var now = Set(resources.map { "\($0.name)" })
        for lease in manager.leases {
            guard let allocation = lease.allocation else { continue }
            // A program that lets go of its device may be a pod's that ends; and a device that was away may be there again.
            let member = members[lease.function]
            now.insert(
                "\(allocation) \(lease.id) \(lease.address) \(member?.function.holders.isEmpty ?? true) \(member == nil)"
            )
        }
        guard allocated.isOther(now) else { return }
        allocator.keepInfoFiles(of: resources, mayRemove: hasAnswered.withLock { $0 })
        if now.count > resources.count { askLater(in: .seconds(5)) }
    }

    /// A list that selects by what firmware tells is taken over when that is known, or its functions would be another
    /// resource's for a moment. A card that does not answer does not keep the others from being told of.
    private func takeOver(_ list: ResourceList) async {
        guard !list.firmwareQuestions.isEmpty else { return configuration.withLock { $0.list = list } }
        let file = configuration.withLock { $0.file }
        let read: @Sendable () async -> Void = { [self] in
            _ = await firmware.read(list.firmwareQuestions, of: manager.pools.others)
            // By now there may be a newer one.
            configuration.withLock { if $0.file == file { $0.list = list } }
            wake()
        }
        if life.withLock({ $0 }) == .beginning { await read() } else { Task { await read() } }
    }

    // MARK: Sockets

    /// Where plugins' sockets are; nil while there is no kubelet.
    private var pluginFolder: String? {
        [folders.registry, folders.devicePlugins].first { FileIdentity($0) != nil }
    }

    private func path(of name: ResourceName, in folder: String) -> String {
        "\(folder)/\(name.socketName(in: folder))"
    }

    private func update(_ resource: NodeResource, _ devices: [PluginDevice], in folder: String) -> ResourceServer {
        let (server, isNew) = servers.withLock { servers in
            if let server = servers[resource.name] { return (server, false) }
            let server = ResourceServer(resource, devices: devices, socket: path(of: resource.name, in: folder))
            servers[resource.name] = server
            return (server, true)
        }
        let before = server.devices
        if server.update(resource, devices) || isNew { tell(resource.name, isNew ? [] : before, devices) }
        return server
    }

    private func tell(_ name: ResourceName, _ before: [PluginDevice], _ devices: [PluginDevice]) {
        let healthy = devices.count { $0.problem == nil }
        logger.notice("\(name): \(devices.count) devices, \(healthy) of them healthy")
        let known = Dictionary(before.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        for device in devices {
            guard let problem = device.problem, known[device.id]?.problem != problem else { continue }
            logger.notice("\(name): \(device.id) is unhealthy: \(problem)")
        }
    }

    private func serve(_ server: ResourceServer, _ tasks: inout DiscardingTaskGroup) {
        let registration = PluginRegistrationService(resource: server.name) { [logger] name, failure in
            if let failure {
                logger.error("the kubelet does not take \(name): \(failure)")
            } else {
                logger.notice("the kubelet has taken \(name)")
            }
        }
        // Once it is stopping nobody would stop another one.
        let listener = life.withLock { life -> ResourceServer.Server? in
            guard life == .running else { return nil }
            served(1)
            return server.prepare(
                [registration, DevicePluginService(server: server, allocator: allocator)], on: group)
        }
        guard let listener else { return }
        let logger = logger
        tasks.addTask { [self] in
            defer { served(-1) }
            do {
                try await server.serve(listener)
            } catch {
                guard !Task.isCancelled else { return }
                let folder = server.socket.split(separator: "/").dropLast().joined(separator: "/")
                // Of what came after the agent was started its unit knows nothing.
                let isReadOnly = access("/\(folder)", W_OK) != 0 && errno == EROFS
                let remedy = isReadOnly ? "; /\(folder) came after the agent: systemctl restart sluiced" : ""
                logger.error("\(server.socket) cannot be listened on: \(error)\(remedy)")
                again()
            }
        }
    }

    private func register(_ server: ResourceServer, _ tasks: inout DiscardingTaskGroup) {
        guard let kubelet = FileIdentity(folders.socket), server.isNew(kubelet) else { return }
        let (connection, logger) = (KubeletConnection(socket: folders.socket, group: group), logger)
        tasks.addTask { [self] in
            do {
                try await server.register(with: connection)
                logger.notice("the kubelet has taken \(server.name)")
            } catch {
                guard !Task.isCancelled else { return }
                logger.error("the kubelet does not take \(server.name): \(error)")
                server.forgetKubelet()
                again()
            }
        }
    }

    /// Looks again after a while: what has failed may be possible then.
    private func again() {
        let wake = wake
        group.next().scheduleTask(in: .seconds(5)) { wake() }
    }
}

/// What was last found, so that only something else is acted upon.
private final class Known: Sendable {
    private let last = Mutex<Set<String>?>(nil)

    func forget() { last.withLock { $0 = nil } }

    func isOther(_ now: Set<String>) -> Bool {
        last.withLock { last in
            defer { last = now }
            return last != now
        }
    }
}
