internal import Glibc
internal import Logging
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

/// Why the agent looks at the host anew. Reasons that come while it looks are taken together at its next look: a burst
/// of events, as when VFs are made, costs two looks and not one each.
final class Triggers: Sendable {
    /// The reasons since the last look.
    struct Reasons: Sendable {
        /// Something came, went or changed: everything is read.
        var host = false
        /// The host file is to be read again.
        var reload = false
        /// Leases, or the functions of pools, may be others.
        var pools = false
        /// What was kept from libvirt for a start can be given back.
        var kept = false
        /// The kernel has said something that faults are told from.
        var facts = false
        /// Ports whose settings may have been changed by somebody else, by link.
        var settings: Set<Int32> = []
    }

    private let reasons = Mutex(Reasons())
    private let signal: AsyncStream<Void>.Continuation
    /// Yields when there are reasons; ends with the agent.
    let signals: AsyncStream<Void>

    init() { (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1)) }

    /// Adds reasons; none at all makes the walker look when the next lease ends.
    func add(_ change: (inout Reasons) -> Void = { _ in }) {
        reasons.withLock { change(&$0) }
        signal.yield()
    }

    /// Takes the reasons.
    func take() -> Reasons {
        reasons.withLock { reasons in
            defer { reasons = Reasons() }
            return reasons
        }
    }

    func finish() { signal.finish() }
}

/// Waits for what the kernel says, and makes triggers of it. Nothing is polled.
struct HostWatch: Sendable {
    let triggers: Triggers
    let messages: KernelMessages
    /// Takes the address of a PCI function that the kernel has removed.
    let onRemoval: @Sendable (PCIAddress) -> Void
    /// Whether a VFIO node is opened and closed by a QEMU that is being started; when that is over it is looked anyway.
    let isUseExpected: @Sendable (String) -> Bool
    let logger: Logger

    /// Runs until it is cancelled.
    ///
    /// Throws when the kernel's events cannot be had: without them the agent knows nothing.
    func run() async throws {
        watchLog()
        try await withThrowingTaskGroup { group in
            group.addTask { try await watchDevices() }
            group.addTask { try await watchNodes() }
            group.addTask { try await watchLinks() }
            try await group.next()
            group.cancelAll()
        }
    }

    /// What the kernel says. Where it may not be read, faults are told from the rest; the thread ends with the process.
    private func watchLog() {
        let (triggers, messages) = (triggers, messages)
        _ = startThread {
            messages.addForgotten()
            KernelLog.follow { message in
                if messages.add(message) { triggers.add { $0.facts = true } }
            }
        }
    }

    private func watchLinks() async throws {
        try await LinkMonitor.withEvents(addresses: true) { events in
            var known: [Int32: Essentials] = [:]
            for await event in events {
                switch event {
                case .resync:
                    known = [:]
                    triggers.add { $0.host = true }
                case .removed(let index, _):
                    // A container's end of a pair comes and goes; only what stood on a device matters.
                    if known.removeValue(forKey: index) != nil { triggers.add { $0.host = true } }
                case .addressed(let index):
                    if known[index] != nil { triggers.add { $0.host = true } }
                case .changed(let link):
                    guard concernsDevices(link, known) else { continue }
                    let essentials = Essentials(link)
                    // A port tells of every change of its VFs, also of our own: that is no reason to read all of it.
                    if known.updateValue(essentials, forKey: link.index) == essentials {
                        if link.device?.bus == "pci" { triggers.add { $0.settings.insert(link.index) } }
                    } else {
                        triggers.add { $0.host = true }
                    }
                }
            }
        }
    }

    /// Whether a link is a device's or stands on one: hosts with containers make and remove hundreds that are neither.
    private func concernsDevices(_ link: Link, _ known: [Int32: Essentials]) -> Bool {
        link.device != nil || known[link.index] != nil || link.parent.map { known[$0] != nil } ?? false
    }

    /// What of a link matters to who holds what.
    private struct Essentials: Hashable {
        var name: String
        var alternativeNames: [String]
        var isUp: Bool
        var state: Link.State
        var master: Int32?
        var parent: Int32?
        var mtu: UInt32

        init(_ link: Link) {
            name = link.name
            alternativeNames = link.alternativeNames
            isUp = link.isUp
            state = link.state
            master = link.master
            parent = link.parent
            mtu = link.mtu
        }
    }

    /// What came and went among devices. The thread ends with the process.
    private func watchDevices() async throws {
        let (triggers, onRemoval) = (triggers, onRemoval)
        let failures = AsyncStream<NetlinkError>.makeStream()
        let hasStarted = startThread {
            do throws(NetlinkError) {
                try DeviceEventMonitor.run { event in
                    guard let event else {
                        triggers.add { $0.host = true }
                        return true
                    }
                    if event.subsystem == "pci", event.action == "remove",
                        let address = event.path.split(separator: "/").last.flatMap({ PCIAddress(String($0)) })
                    {
                        onRemoval(address)
                    }
                    // VFIO's own devices follow a PCI event that was told of, and netdevs that were made are no devices.
                    let isMade = event.path.hasPrefix("/devices/virtual/net/")
                    if ["pci", "net", "nvme", "block", "auxiliary", "vdpa", "infiniband"].contains(event.subsystem),
                        !isMade
                    {
                        triggers.add { $0.host = true }
                    }
                    return true
                }
            } catch {
                failures.continuation.yield(error)
            }
        }
        if !hasStarted { failures.continuation.finish() }
        for await failure in failures.stream { throw failure }
    }

    /// Who opens and closes VFIO's nodes: no other event tells that somebody has taken a function or let go of it.
    private func watchNodes() async throws {
        let (triggers, isUseExpected) = (triggers, isUseExpected)
        let failures = AsyncStream<PCIError>.makeStream()
        let hasStarted = startThread {
            do throws(PCIError) {
                try NodeMonitor.run(["/dev/vfio", "/dev/vfio/devices"]) { nodes in
                    // A look at everything would take the processors from it. Who opens a container has no function yet.
                    guard nodes.contains(where: { $0 != "/dev/vfio/vfio" && !isUseExpected($0) }) else { return }
                    triggers.add { $0.host = true }
                }
            } catch {
                failures.continuation.yield(error)
            }
        }
        if !hasStarted { failures.continuation.finish() }
        for await failure in failures.stream { throw failure }
    }
}
