internal import Glibc
internal import Leasing
public import Logging
internal import NIOCore
internal import NIOPosix
public import PCI
internal import SRIOV
internal import ServiceLifecycle
internal import UnixSignals

/// The agent: composed of the host's keeper, the API, and what they listen to.
public struct Daemon: Sendable {
    private let options: AgentOptions
    private let writer: any DeviceWriter
    private let logger: Logger

    /// An agent that writes to devices through a writer.
    public init(options: AgentOptions, writer: any DeviceWriter, logger: Logger) {
        self.options = options
        self.writer = writer
        self.logger = logger
    }

    /// Runs until SIGTERM or SIGINT.
    ///
    /// Throws when it cannot start: the ledger, the host file or the socket cannot be used. Nothing has been changed then.
    public func run() async throws {
        let kernel = LinuxKernel(writer: writer)
        let declared = try HostKeeper.load(options.hostFile)
        let ledger = try Ledger(in: options.state)
        let triggers = Triggers()
        let hub = EventHub()
        let last = try ledger.lastNumbers()
        hub.start(at: EventPosition(transition: last.transition, note: last.note))
        let host = try HostReader(kernel: kernel).read()
        let pools = PoolSet(declared, host: host, files: kernel.files, knownSerials: [:])
        if let overlap = pools.overlaps.first { throw overlap }
        let manager = try LeaseManager(
            kernel: kernel, ledger: ledger, host: host, pools: pools,
            onTransition: { transitions in
                hub.publish(transitions)
                // A new deadline is waited for.
                if transitions.contains(where: { $0.to == .active }) { triggers.add() }
            },
            onProcessExit: { triggers.add { $0.process = true } })
        let keeper = HostKeeper(
            kernel: kernel, manager: manager, ledger: ledger, declared: declared, hub: hub, options: options,
            logger: logger)
        let tls = try options.tcp.map { try TLSSettings($0) }
        let listeners = try sockets(tls)
        let api = API(keeper: keeper, changeUIDs: options.changeUIDs)
        let logger = logger
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let watch = HostWatch(triggers: triggers, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await watch.run() }
            tasks.addTask {
                await keeper.run(triggers) {
                    // What is ordered after the agent (libvirtd, the kubelet) finds the VFs.
                    Systemd.notify("READY=1\nSTATUS=\(manager.pools.pools.count) pools, \(manager.leases.count) leases")
                    logger.notice("ready")
                }
            }
            for listener in listeners {
                tasks.addTask { try await listener.run(on: group) { await api.respond($0, $1) } }
            }
            if let interval = Systemd.watchdogInterval {
                tasks.addTask {
                    while !Task.isCancelled {
                        if (try? keeper.checkHealth()) != nil { Systemd.notify("WATCHDOG=1") }
                        try await Task.sleep(for: interval, clock: .continuous)
                    }
                }
            }
            logger.notice("listening on \(options.socket)")
            try await waitForSignals(triggers, tls, &tasks)
        }
        hub.close()
        try? await group.shutdownGracefully()
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
        _ triggers: Triggers, _ tls: TLSSettings?,
        _ tasks: inout ThrowingTaskGroup<Void, any Error>
    ) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint, .sighup)
        let logger = logger
        tasks.addTask {
            for await signal in signals {
                guard signal == .sighup else { return }
                do {
                    try tls?.reload()
                } catch {
                    logger.error("the certificates are not taken over: \(error)")
                }
                triggers.add { $0.reload = true }
            }
        }
        // The first task to end ends the agent: the one above, or one that has failed.
        try await tasks.next()
        Systemd.notify("STOPPING=1")
        logger.notice("stopping; leases stay")
        triggers.finish()
        tasks.cancelAll()
    }
}
