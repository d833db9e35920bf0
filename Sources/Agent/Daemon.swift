internal import AgentAPI
internal import CLinux
internal import Glibc
internal import HostFile
internal import Kubernetes
internal import Leasing
public import Logging
internal import NIOCore
internal import NIOPosix
internal import PCI
public import SRIOV
internal import Synchronization

/// The agent: composed of the host's keeper, the API, and what they listen to.
public struct Daemon: Sendable {
    private let options: AgentOptions
    private let kernel: any HostKernel
    private let logger: Logger

    /// An agent of a kernel's host.
    public init(options: AgentOptions, kernel: any HostKernel, logger: Logger) {
        self.options = options
        self.kernel = kernel
        self.logger = logger
    }

    /// Runs until SIGTERM or SIGINT.
    ///
    /// Throws when it cannot start: the ledger, the host file or the socket cannot be used; nothing has been changed
    /// then. And when it cannot go on: the kernel's events end.
    ///
    /// It blocks the calling thread. All tasks are on one event loop, with the connections: nothing in them blocks, since
    /// device work and the disk have threads of their own, and a program at rest has nothing that would wake it.
    public func run() throws {
        allowManyDescriptors()
        // Every thread that allocates may get an arena of its own, and few of them ever give back what a burst took.
        mallopt(M_ARENA_MAX, 2)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let isServing = Flag()
        let signals = Signals.received(while: isServing)
        let end = loop.makePromise(of: Void.self)
        Task(executorPreference: LoopExecutor(loop: loop)) {
            do { end.succeed(try await serve(on: group, signals, isServing)) } catch { end.fail(error) }
        }
        // The loop ends with the process: to shut it down takes a dispatcher.
        try end.futureResult.wait()
    }

    private func serve(
        on group: MultiThreadedEventLoopGroup, _ signals: AsyncStream<Int32>, _ isServing: Flag
    ) async throws {
        let loop = group.next()
        let declared = try HostFile.parse(try HostFile.text(of: options.hostFile), file: options.hostFile)
        let (triggers, work) = (Triggers(), Triggers())
        let hub = EventHub()
        // A lease that comes or goes changes what libvirt may hand out.
        let virtualWork = (options.libvirt ?? [Virtualization.system]).map { _ in Triggers() }
        // And what the kubelet may.
        let kubeletWork = Triggers()
        let ledger = try Ledger(in: options.state) { transitions, notes in
            hub.publish(transitions, notes)
            guard !transitions.isEmpty else { return }
            for work in virtualWork { work.add { $0.pools = true } }
            kubeletWork.add()
        }
        let last = try ledger.reader.lastNumbers()
        hub.start(at: EventPosition(transition: last.transition, note: last.note))
        let serials = try KnownSerials(state: options.state, files: kernel.files).current()
        let host = try HostReader(kernel: kernel).read(knownSerials: serials)
        let pools = PoolSet(declared, host: host, files: kernel.files, knownSerials: serials)
        if let overlap = pools.overlaps.first { throw overlap }
        let manager = try LeaseManager(
            kernel: kernel, ledger: ledger, host: host, pools: pools, onWork: { work.add() },
            onHolderGone: { triggers.add { $0.host = true } })
        let keeper = HostKeeper(
            kernel: kernel, manager: manager, ledger: ledger, declared: declared, hub: hub, work: work,
            onPools: {
                for work in virtualWork { work.add { $0.pools = true } }
                kubeletWork.add()
            }, options: options, logger: logger,
            loop: loop)
        keeper.readNames(of: host)
        keeper.readFacts()
        let logger = logger
        let virtualizations = zip(options.libvirt ?? [Virtualization.system], virtualWork).map { uri, work in
            Virtualization(
                uri: uri, isAlwaysWanted: options.libvirt != nil, manager: manager,
                isObserveOnly: options.isObserveOnly, work: work, logger: logger, loop: loop,
                onChange: { triggers.add { $0.host = true } })
        }
        manager.domainLife.withLock {
            $0 = { uuid, address in virtualizations.contains { $0.has(address, in: uuid) } ? true : nil }
        }
        keeper.otherFacts.withLock {
            $0 = { facts in
                for virtualization in virtualizations { virtualization.add(to: &facts) }
            }
        }
        let plugin = DevicePlugin(
            manager: manager, kernel: kernel, options: options.kubelet, group: group,
            changes: kubeletWork.signals,
            wake: { kubeletWork.add() }, logger: logger)
        manager.onPromises.withLock { $0 = { kubeletWork.add() } }
        let tls = try options.tcp.map { try TLSSettings($0) }
        let listeners = try sockets(tls)
        let api = API(
            keeper: keeper, virtualizations: virtualizations,
            containers: ContainerNetwork(manager: manager, kernel: kernel) { await plugin.learnPods() },
            changeUIDs: options.changeUIDs)
        let watch = HostWatch(
            triggers: triggers, messages: keeper.messages, onRemoval: { manager.functionRemoved(at: $0) },
            isUseExpected: { node in virtualizations.contains { $0.isUseExpected(of: node) } }, logger: logger)
        try await withThrowingTaskGroup(of: End.self) { tasks in
            tasks.addTask {
                try await watch.run()
                return .broken("the kernel's events have ended")
            }
            tasks.addTask {
                await keeper.run(triggers) {
                    // What is ordered after the agent (libvirtd, the kubelet) finds the VFs.
                    Systemd.notify("READY=1\nSTATUS=\(manager.pools.pools.count) pools, \(manager.leases.count) leases")
                    logger.notice("ready")
                    work.add()
                }
                return .broken("the host is not looked at any more")
            }
            tasks.addTask {
                await keeper.runLeases()
                return .broken("leases are not looked at any more")
            }
            for virtualization in virtualizations {
                tasks.addTask {
                    await virtualization.run()
                    return .broken("libvirt is not followed any more")
                }
                tasks.addTask {
                    await virtualization.runWork()
                    return .broken("libvirt is not looked at any more")
                }
            }
            if !options.isObserveOnly {
                tasks.addTask {
                    // Before the VFs are there it would be told of none, and take its pods' from them.
                    await keeper.becomeReady()
                    await plugin.run()
                    return .broken("the kubelet is not told of anything any more")
                }
            }
            for listener in listeners {
                tasks.addTask {
                    try await listener.run(on: loop) { await api.respond($0, $1) }
                    return .broken("nobody listens any more")
                }
            }
            if let interval = Systemd.watchdogInterval {
                tasks.addTask {
                    while !Task.isCancelled {
                        if (try? await keeper.reading { try keeper.checkHealth() }) != nil {
                            Systemd.notify("WATCHDOG=1")
                        }
                        try await loop.sleep(for: interval)
                    }
                    return .broken("the watchdog is not fed any more")
                }
            }
            isServing.set()
            logger.notice("listening on \(options.socket)")
            do {
                try await waitForSignals(signals, triggers, tls, &tasks)
            } catch {
                // systemd starts it anew; what hangs must not keep it from that.
                logger.critical("\(error)")
                endSoon(keeper.stop, status: 1)
                throw error
            }
            Systemd.notify("STOPPING=1")
            logger.notice("stopping; leases stay")
            endSoon(keeper.stop, status: 0)
            triggers.finish()
            work.finish()
            for work in virtualWork { work.finish() }
            // Its end cancels what serves the kubelet, which is to have ended by itself by then.
            await plugin.stop()
            kubeletWork.finish()
            tasks.cancelAll()
        }
        hub.close()
    }

    /// How a task has ended.
    private enum End: Sendable {
        case signalled
        case broken(String)
    }

    /// The step at hand is finished and no other begun. One that takes long goes on in the writer process: its record is
    /// on disk, and the next start finds out what has become of it.
    private func endSoon(_ stop: Flag, status: Int32) {
        stop.set()
        startThread {
            usleep(1_500_000)
            _exit(status)
        }
    }

    /// Connections must not take the descriptors that devices need.
    private func allowManyDescriptors() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = min(limit.rlim_max, 65_536)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }

    private func sockets(_ tls: TLSSettings?) throws -> [Listener] {
        var listeners = [
            Listener(
                descriptor: try Listener.unix(options.socket, group: options.group, logger: logger), tls: nil,
                logger: logger)
        ]
        if let tcp = options.tcp, let tls {
            listeners.append(
                Listener(descriptor: try Listener.tcp(tcp.host, tcp.port), tls: tls, logger: logger))
        }
        return listeners
    }

    /// SIGHUP reads the host file and the certificates again; SIGTERM and SIGINT end the agent.
    private func waitForSignals(
        _ signals: AsyncStream<Int32>, _ triggers: Triggers, _ tls: TLSSettings?,
        _ tasks: inout ThrowingTaskGroup<End, any Error>
    ) async throws {
        let logger = logger
        tasks.addTask {
            for await signal in signals {
                guard signal == SIGHUP else { break }
                do {
                    try tls?.reload()
                } catch {
                    logger.error("the certificates are not taken over: \(error)")
                }
                triggers.add { $0.reload = true }
            }
            return .signalled
        }
        // The first task to end ends the agent: the one above, or one that it cannot do without.
        if case .broken(let what)? = try await tasks.next() { throw BrokenAgent(description: what) }
    }
}

/// Something that the agent cannot do without has ended: systemd starts it anew.
struct BrokenAgent: Error, CustomStringConvertible {
    let description: String
}
