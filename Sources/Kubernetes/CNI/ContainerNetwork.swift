internal import FoundationEssentials
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
    public static let versions = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
    static let latestVersion = "1.1.0"

    private let manager: LeaseManager
    private let kernel: any HostKernel

    /// A plugin on a host.
    public init(manager: LeaseManager, kernel: any HostKernel) {
        self.manager = manager
        self.kernel = kernel
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
        do {
            switch call.command {
            case "ADD": return try await add(call, conf)
            case "DEL": return try await delete(call, conf)
            case "CHECK": return try await check(call, conf)
            case "GC": return try await collect(call, conf)
            case "STATUS": return try delegate(call, conf) ?? .result("")
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
    private func delegate(_ call: CNICall, _ conf: NetworkConfiguration) throws(CNIError) -> Answer? {
        guard let plugin = conf.addressPlugin else { return nil }
        switch call.delegated {
        case .not: return .delegate(plugin)
        case .succeeded: return nil
        case .failed(let text): throw CNIError(ofPlugin: plugin, text)
        }
    }

    // MARK: ADD

    private func add(_ call: CNICall, _ conf: NetworkConfiguration) async throws -> Answer {
        try call.checkAttachment()
        guard let namespace = PodNamespace(call.netns) else {
            throw CNIError(
                .unknownContainer, "there is no network namespace \"\(call.netns.prefix(200))\"",
                remedy: "CNI_NETNS is a path below /run, /var/run or /proc")
        }
        let attachment = Self.attachment(call, conf)
        if call.delegated != .not {
            guard let lease = lease(attachment), lease.consumer.generation == namespace.inode else {
                throw CNIError(.failed, "\(call.ifname) of this container is not being added")
            }
            do {
                return try await complete(lease, call, conf, namespace)
            } catch {
                await undo(lease, namespace)
                throw error
            }
        }
        guard lease(attachment) == nil else {
            throw CNIError(
                .failed, "\(call.ifname) of container \(call.containerID) is there already",
                remedy: "DEL comes before it is added again")
        }
        var request = LeaseRequest(
            function: try conf.device(),
            consumer: Consumer(.namespace, namespace.path, generation: namespace.inode))
        request.settings = try conf.settings(macArgument: try call.argument("MAC"))
        request.attachment = attachment
        let name = call.ifname
        try await namespace.run { _, pod in
            if (try? pod.link(named: name)) != nil {
                throw CNIError(
                    .invalidEnvironment, "the container has a \(name) already", remedy: "CNI_IFNAME is a new name")
            }
        }
        let grant = try await manager.acquire(request, actor: "cni")
        guard let lease = grant.leases.first else { throw CNIError(.failed, "no VF was leased") }
        do {
            let (files, mac) = (kernel.files, request.settings.mac)
            _ = try await namespace.run { host, pod in
                try PodLink.take(
                    lease.address, as: name, mac: mac, into: namespace, files: files, &host, &pod)
            }
            if let plugin = conf.addressPlugin { return .delegate(plugin) }
            return try await complete(lease, call, conf, namespace)
        } catch {
            await undo(lease, namespace)
            throw error
        }
    }

    /// Gives the container's interface its addresses, and says what was made.
    private func complete(
        _ lease: Lease, _ call: CNICall, _ conf: NetworkConfiguration, _ namespace: PodNamespace
    ) async throws -> Answer {
        _ = try delegate(call, conf)
        var addressed = CNIResult()
        if case .succeeded(let text) = call.delegated {
            addressed = try CNIResult.parse(text, of: conf.addressPlugin ?? "")
        }
        let (addresses, routes) = (try addressed.addresses(), try addressed.linkRoutes())
        let name = call.ifname
        let link = try await namespace.run { _, pod in
            let link = try pod.link(named: name)
            try PodLink.configure(link, addresses, routes, &pod)
            return link
        }
        // In a chain what others have made is handed on (specification, "Result").
        var result = conf.prevResult ?? CNIResult()
        let index = result.interfaces?.count ?? 0
        result.interfaces =
            (result.interfaces ?? []) + [
                .init(
                    name: name, mac: link.address?.description, mtu: link.mtu, sandbox: namespace.path,
                    pciID: "\(lease.address)")
            ]
        result.ips =
            (result.ips ?? [])
            + (addressed.ips ?? []).map { ip in
                var ip = ip
                ip.interface = index
                return ip
            }
        result.routes = (result.routes ?? []) + (addressed.routes ?? [])
        if result.ips?.isEmpty ?? false { result.ips = nil }
        if result.routes?.isEmpty ?? false { result.routes = nil }
        result.dns = result.dns ?? addressed.dns ?? conf.dns
        return .result(try result.text(conf.version))
    }

    /// Takes back what an ADD has begun. What cannot be done now the lease remembers.
    private func undo(_ lease: Lease, _ namespace: PodNamespace) async {
        try? await takeBack(lease, namespace)
        _ = try? await manager.release(lease.id, actor: "cni")
    }

    private func takeBack(_ lease: Lease, _ namespace: PodNamespace) async throws {
        let address = lease.address
        let descriptor = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        try await namespace.run { _, pod in try PodLink.giveBack(address, toHost: descriptor, &pod) }
    }

    // MARK: DEL

    private func delete(_ call: CNICall, _ conf: NetworkConfiguration) async throws -> Answer {
        try call.checkAttachment()
        if call.delegated == .not, let plugin = conf.addressPlugin { return .delegate(plugin) }
        // The VF comes back whatever has become of its addresses.
        if let lease = lease(Self.attachment(call, conf)) { try await remove(lease) }
        _ = try delegate(call, conf)
        return .result("")
    }

    private func remove(_ lease: Lease) async throws {
        if let namespace = PodNamespace(lease.consumer.identifier), namespace.inode == lease.consumer.generation {
            try await takeBack(lease, namespace)
        }
        let after = try await manager.release(lease.id, actor: "cni")
        // One that could not be cleaned is kept out of everybody's reach, and told of; the container can go.
        guard [.free, .quarantined, .lost].contains(after.state) else {
            throw CNIError(
                .tryAgainLater, "\(after.name) is not clean yet: \(after.reason ?? "it is \(after.state.rawValue)")",
                remedy: "the runtime tries again; sluice lease show \(after.id)")
        }
    }

    // MARK: GC

    private func collect(_ call: CNICall, _ conf: NetworkConfiguration) async throws -> Answer {
        guard let valid = conf.validAttachments else {
            throw CNIError(.invalidConfiguration, "cni.dev/valid-attachments is missing")
        }
        if call.delegated == .not, let plugin = conf.addressPlugin { return .delegate(plugin) }
        let kept = Set(valid.map { Self.attachment(conf.name ?? "", $0.containerID, $0.ifname) })
        let network = Self.attachment(conf.name ?? "", "", "").dropLast()
        var failure: (any Error)?
        for lease in manager.leases {
            guard let attachment = lease.attachment, attachment.hasPrefix(network), !kept.contains(attachment) else {
                continue
            }
            do { try await remove(lease) } catch { failure = failure ?? error }
        }
        if let failure { throw failure }
        _ = try delegate(call, conf)
        return .result("")
    }

    // MARK: Leases

    private static func attachment(_ call: CNICall, _ conf: NetworkConfiguration) -> String {
        attachment(conf.name ?? "", call.containerID, call.ifname)
    }

    private static func attachment(_ network: String, _ container: String, _ interface: String) -> String {
        "cni/\(network)/\(container)/\(interface)"
    }

    /// The lease of a container's interface, unless it is on its way to nobody.
    private func lease(_ attachment: String) -> Lease? {
        manager.leases.first { $0.attachment == attachment && ![.quarantined, .lost].contains($0.state) }
    }

    // MARK: CHECK

    private func check(_ call: CNICall, _ conf: NetworkConfiguration) async throws -> Answer {
        try call.checkAttachment()
        guard !["0.3.0", "0.3.1"].contains(conf.version) else {
            throw CNIError(.incompatibleVersion, "CHECK is there from version 0.4.0 on")
        }
        if let answer = try delegate(call, conf) { return answer }
        guard let lease = lease(Self.attachment(call, conf)), lease.state == .active else {
            throw CNIError(.differs, "\(call.ifname) of container \(call.containerID) has no VF")
        }
        guard let namespace = PodNamespace(call.netns), namespace.inode == lease.consumer.generation else {
            throw CNIError(.differs, "the container's network namespace is not the one that \(lease.name) was moved to")
        }
        let previous = conf.prevResult
        let wanted = try previous?.addresses() ?? []
        let name = call.ifname
        let mac = previous?.interfaces?.first { $0.name == name && $0.sandbox == namespace.path }?.mac
        try await namespace.run { _, pod in
            guard let link = try? pod.link(named: name), link.device?.name == "\(lease.address)" else {
                throw CNIError(.differs, "the container's \(name) is not \(lease.name), or is gone")
            }
            guard link.isUp else { throw CNIError(.differs, "the container's \(name) is down") }
            if let mac, link.address?.description != mac.lowercased() {
                throw CNIError(
                    .differs,
                    "the container's \(name) has the MAC address \(link.address?.description ?? "none"), not \(mac)")
            }
            let has = Set(try pod.addresses().filter { $0.link == link.index }.map(\.description))
            if let missing = wanted.first(where: { !has.contains($0.description) }) {
                throw CNIError(.differs, "the container's \(name) has not the address \(missing)")
            }
        }
        try await manager.verify(lease)
        return .result("")
    }
}

/// An error of another plugin: some leave the version out.
private struct PluginError: Decodable {
    var code: Int
    var msg: String
    var details: String?
}

extension CNIError {
    /// What a lease's error is for a runtime.
    init(_ error: LeasingError) {
        let code: Code =
            switch error.code {
            case .badRequest, .noPool, .purpose: .invalidConfiguration
            case .exhausted, .stillHeld, .unreachable, .ledgerLocked: .tryAgainLater
            default: .failed
            }
        self.init(code, error.message)
        let lines = error.details + [error.remedy.map { "→ \($0)" }].compactMap(\.self) + ["[\(error.code.rawValue)]"]
        details = lines.joined(separator: "\n")
    }

    /// What another plugin has failed with.
    init(ofPlugin plugin: String, _ text: String) {
        if let error = try? JSONDecoder().decode(PluginError.self, from: Data(text.utf8)) {
            self.init(.failed, "\(plugin): \(error.msg)")
            (code, details) = (error.code, error.details)
        } else {
            let lines = text.split(separator: "\n").prefix(5).joined(separator: " ").prefix(500)
            self.init(.failed, "\(plugin) has failed\(lines.isEmpty ? "" : ": \(lines)")")
        }
    }
}
