internal import Glibc
internal import Logging
internal import Netlink
internal import SRIOV
internal import Synchronization

/// Why the agent looks at the host anew. Reasons that come while it looks are taken together at its next look: a burst
/// of events, as when VFs are made, costs two looks and not one each.
final class Triggers: Sendable {
    /// The reasons since the last look.
    struct Reasons: Sendable {
        /// Something came, went or changed: everything is read.
        var host = false
        /// A process has ended that a lease depends on.
        var process = false
        /// The host file is to be read again.
        var reload = false
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
    let logger: Logger

    /// Runs until it is cancelled.
    func run() async throws {
        watchDevices()
        try await LinkMonitor.withEvents { events in
            var known: [Int32: Essentials] = [:]
            for await event in events {
                switch event {
                case .resync:
                    known = [:]
                    triggers.add { $0.host = true }
                case .removed(let index, _):
                    known[index] = nil
                    triggers.add { $0.host = true }
                case .changed(let link):
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

    private func watchDevices() {
        let (triggers, logger) = (triggers, logger)
        startThread {
            do throws(NetlinkError) {
                try DeviceEventMonitor.run { event in
                    guard let event else {
                        triggers.add { $0.host = true }
                        return true
                    }
                    // VFIO's own devices follow a PCI event that was told of.
                    if ["pci", "net", "nvme", "block"].contains(event.subsystem) { triggers.add { $0.host = true } }
                    return true
                }
            } catch {
                logger.error("device events cannot be read; new devices are seen when a link changes: \(error)")
            }
        }
    }
}
