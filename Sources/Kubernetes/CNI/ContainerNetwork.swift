internal import Glibc
public import Leasing
internal import Netlink
internal import PCI
public import SRIOV

/// The CNI plugin: leases the VF of a container, moves its netdev there, and cleans it when the container ends.
///
/// The lease is the record: it is on disk before anything is changed, it names container and interface, and it lasts
/// until the VF is clean. Addresses are somebody else's: `answer` says whose plugin is to be run, and is asked again with
/// what that has printed.
public struct ContainerNetwork: Sendable {
    /// The versions of the specification that are spoken, oldest first.
    public static let versions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
    static let latestVersion = "1.1.0"

    let manager: LeaseManager
    let kernel: any HostKernel
    let allocations: AllocationNames?
    /// A runtime that has given up waiting for an ADD asks for its DEL, which comes after it.
    private let turns = Turnstiles<String>()
    /// Runs what writes files off the event loop.
    let offLoop = SerialQueue()
    /// Reads the ledger, whose disk may be slow, so that nobody else waits for it.
    private let ledgerReads = SerialQueue()

    /// A plugin on a host. `askKubelet` makes leases say which pods the kubelet has their functions for, and returns whether it
    /// has answered.
    public init(manager: LeaseManager, kernel: any HostKernel, askKubelet: (@Sendable () async -> Bool)? = nil) {
        self.manager = manager
        self.kernel = kernel
        allocations = askKubelet.map { AllocationNames(manager: manager, ask: $0) }
    }

    /// What a call is answered with.
    public enum Answer: Sendable, Hashable {
        /// This is printed.
        case result(String)
        /// The plugin of this name is run with the same environment and input, and the call is made again with its output.
        case delegate(String)
    }

    /// Answers a call.
    ///
    /// Throws what the runtime is told. ADD has changed nothing then; what DEL has not cleaned it goes on with when it is
    /// called again.
    public func answer(_ call: CNICall) async throws(CNIError) -> Answer {
        let conf = try NetworkConfiguration.parse(call.config)
        let attachment = Self.attachment(call, conf)
        do {
            switch call.command {
            case "ADD": return try await turns.passing(attachment) { try await add(call, conf) }
            case "DEL": return try await turns.passing(attachment) { try await delete(call, conf) }
            case "CHECK": return try await turns.passing(attachment) { try await check(call, conf) }
            case "GC": return try await collect(call, conf)
            case "STATUS": return try await status(call, conf)
            default:
                throw CNIError(
                    .invalidEnvironment, "CNI_COMMAND is \"\(call.command.prefix(100))\"",
                    remedy: "it is ADD, DEL, CHECK, STATUS, GC or VERSION")
            }
        } catch let error as CNIError {
            throw error.of(conf.version)
        } catch let error as LeasingError {
            throw CNIError(error).of(conf.version)
        } catch {
            throw CNIError(.failed, "\(error)").of(conf.version)
        }
    }

    /// Whose plugin is to be run before; nil when it has been, or there is none.
    func delegate(_ call: CNICall, _ conf: NetworkConfiguration) throws(CNIError) -> Answer? {
        guard let plugin = try conf.addressPlugin else { return nil }
        switch call.delegated {
        case .not: return .delegate(plugin)
        case .succeeded: return nil
        case .failed(let text): throw CNIError(ofPlugin: plugin, text)
        }
    }

    private func status(_ call: CNICall, _ conf: NetworkConfiguration) async throws -> Answer {
        // Functions that are in no pool are given out by name, as lists of resources have them.
        let pools = manager.pools
        let isForPods = pools.pools.contains { ["kubernetes", "any"].contains($0.declared.purpose) }
        guard isForPods || !pools.others.isEmpty else {
            throw CNIError(
                .notAvailable, "no pool is for pods", remedy: "write for: kubernetes into a pool of the host file")
        }
        do throws(LeasingError) {
            try await ledgerReads.run { [manager] () throws(LeasingError) in try manager.checkLedger() }
        } catch {
            var told = CNIError(error)
            told.code = CNIError.Code.notAvailable.rawValue
            throw told
        }
        return try delegate(call, conf) ?? .result("")
    }

    // MARK: DEL

    private func delete(_ call: CNICall, _ conf: NetworkConfiguration) async throws -> Answer {
        try call.checkAttachment()
        // One that cannot be asked keeps no VF from coming back.
        if call.delegated == .not, let plugin = try? conf.addressPlugin { return .delegate(plugin) }
        // The VF comes back whatever has become of its addresses.
        let attachment = Self.attachment(call, conf)
        let former = FormerState(container: call.containerID, interface: call.ifname, files: kernel.files)
        var lease = lease(attachment)
        if lease == nil, let former { lease = try await adopt(former, call, attachment) }
        if let lease { try await remove(lease, from: call.netns) }
        try former?.remove()
        if let path = try? conf.deviceInfoFile { unlink(path) }
        return try ended(call, conf)
    }

    /// What DEL and GC end with: the other plugin's failure is told. What ADD would refuse of the configuration is no reason
    /// to fail for ever.
    private func ended(_ call: CNICall, _ conf: NetworkConfiguration) throws(CNIError) -> Answer {
        if case .failed(let text) = call.delegated { throw CNIError(ofPlugin: conf.ipam?.type ?? "", text) }
        return .result("")
    }

    private func remove(_ lease: Lease, from netns: String = "") async throws {
        var failure: (any Error)?
        // The path that it was added by may be that of a process which has ended.
        let namespace = [lease.consumer.identifier, netns].lazy.compactMap { PodNamespace($0) }
            .first { $0.inode == lease.consumer.generation }
        var isThere = false
        if let namespace {
            do { isThere = try await self.isThere(lease, namespace) } catch { failure = error }
        }
        // Where the netdev stays there the lease is on its way all the same: it ends when the namespace does.
        guard let after = try await release(lease.id, takingDriver: isThere),
            ![.free, .quarantined].contains(after.state)
        else { return }
        if let failure { throw failure }
        throw CNIError(
            .tryAgainLater, "\(after.name) is not clean yet: \(after.reason ?? "it is \(after.state.rawValue)")",
            remedy: "the runtime tries again; sluice lease show \(after.id)")
    }

    /// Releases a lease, also when somebody else is about to; nil is one that has ended. One that could not be cleaned is
    /// tried once more, and then kept out of everybody's reach, and told of: the container can go.
    func release(_ id: String, takingDriver: Bool) async throws(LeasingError) -> Lease? {
        var lease: Lease?
        do throws(LeasingError) {
            lease = try await manager.release(id, takingDriver: takingDriver, actor: "cni")
        } catch {
            guard error.code == .noLease || error.code == .state else { throw error }
            lease = try? manager.lease(id)
        }
        guard lease?.state == .quarantined else { return lease }
        return try await manager.repair(id, takingDriver: takingDriver, actor: "cni")
    }

    // MARK: GC

    private func collect(_ call: CNICall, _ conf: NetworkConfiguration) async throws -> Answer {
        if call.delegated == .not, let plugin = try? conf.addressPlugin { return .delegate(plugin) }
        // Whoever names nobody wants nothing collected.
        guard let valid = try NetworkConfiguration.validAttachments(call.config) else {
            return try ended(call, conf)
        }
        let kept = Set(valid.map { Self.attachment(conf.name ?? "", $0.containerID, $0.ifname) })
        let network = Self.attachment(conf.name ?? "", "", "").dropLast()
        var failure: (any Error)?
        for lease in manager.leases {
            guard let attachment = lease.attachment, attachment.hasPrefix(network), !kept.contains(attachment),
                lease.state != .quarantined
            else { continue }
            do {
                try await turns.passing(attachment) {
                    // Since the list was made it may have ended, and another one begun.
                    guard self.lease(attachment)?.id == lease.id else { return }
                    // What is at its place now may be another card's function, of another pod.
                    if !manager.leases.contains(where: { $0.address == lease.address && $0.id != lease.id }) {
                        await offLoop.run { [files = kernel.files] in
                            DeviceInfoFiles.removeInterfaces(of: lease.address, files: files)
                        }
                    }
                    try await remove(lease)
                }
            } catch {
                failure = failure ?? error
            }
        }
        if let failure { throw failure }
        return try ended(call, conf)
    }

    // MARK: Leases

    static func attachment(_ call: CNICall, _ conf: NetworkConfiguration) -> String {
        attachment(conf.name ?? "", call.containerID, call.ifname)
    }

    private static func attachment(_ network: String, _ container: String, _ interface: String) -> String {
        "cni/\(network)/\(container)/\(interface)"
    }

    /// The latest lease of a container's interface.
    func lease(_ attachment: String) -> Lease? { manager.leases.last { $0.attachment == attachment } }
}
