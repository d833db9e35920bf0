internal import AgentAPI
internal import Leasing
internal import Libvirt
internal import Logging
internal import NIOCore
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

extension Virtualization {
    /// How long a guest may take to let a device go, seconds.
    private static let departureSeconds = 30

    /// Attaches functions of a pool to a domain, all or none.
    ///
    /// The running domain gets functions that are chosen for it now; its next start gets what the pool's network has then.
    func attach(_ body: AttachBody, to name: String) async throws -> [DomainView.Interface] {
        let connection = try connection()
        let domain = try await connection.domain(name)
        let target = try Self.target(body.target, domain)
        let count = body.count ?? 1
        var request = try request(body, for: domain.uuid, as: domain.live ?? domain.config)
        try request.check()
        guard let pool = manager.pools[name: body.pool] else {
            throw LeasingError(.noPool, "there is no pool \(body.pool)", remedy: "sluice pool list shows the pools")
        }
        if let failover = body.failover, domain.config?.interfaces.contains(where: { $0.standby != nil }) ?? false {
            throw LeasingError(
                .badRequest, "domain \(domain.name) has an interface with a standby already (\(failover))",
                remedy: "one pair for a domain is what its guest's net_failover driver takes")
        }
        // A tag that somebody has given to the network itself is a running domain's too.
        let networks = try await connection.hostdevNetworks()
        if request.settings.vlans == nil, pool.declared.settings.vlans == nil,
            let tag = networks.first(where: { $0.config.pool == pool.name })?.config.vlan
        {
            request.settings.vlans = [VLAN(id: tag)]
        }
        let settings = (request.settings).filled(from: pool.declared.settings)
        // The two documents of a domain have the same addresses, aliases and all: one device in the guest's eyes.
        let devices = (0..<count).map { _ in NewInterface(settings) }
        var network: String?
        if target.contains(.config) {
            network = try self.network(of: body.pool, among: networks)
        }
        var attached: [XMLElement] = []
        var leases: [Lease] = []
        do {
            if target.contains(.live) {
                try check(domain, count, body)
                // What would be chosen is looked at before it is touched, and what is chosen once more.
                let likely = try await manager.promise(for: request)
                manager.endPromises(to: request.consumer)
                try await check(likely, for: domain)
                leases = try await manager.acquire(request, actor: "agent").leases
                let granted = leases
                state.withLock { state in for lease in granted { state.attaching[lease.address] = domain.uuid } }
                try await check(leases.map(\.address), for: domain)
                for (lease, device) in zip(leases, devices) {
                    let element = device.live(lease.address, settings, failover: body.failover)
                    for element in element {
                        try await connection.attach(
                            element, to: domain.uuid, .live, patience: Self.attachPatience(domain.live))
                        attached.append(element)
                    }
                }
                // libvirt has set MAC and VLAN, and knows nothing of the rest.
                try await manager.restoreSettings(of: Consumer(.domain, domain.uuid))
            }
            if let network {
                let vlan = request.settings.vlans?.first
                try await connection.changeConfig(of: domain.uuid) { config in
                    config.append(devices.flatMap { $0.config(network, vlan, failover: body.failover) })
                    // What libvirt has no words for goes into the domain's metadata, and is set when it starts.
                    let wish = InterfaceWish(
                        settings: body.settings, spread: body.spread, numa: body.numa, group: devices.first?.mac)
                    for device in devices { config.wish(wish, for: device.mac) }
                }
            }
        } catch {
            await undo(attached, leases, domain, connection, after: error)
            finishAttaching(leases)
            // What libvirt has not answered for is looked at again when it cannot come any more.
            work.add { $0.host = true }
            throw error
        }
        finishAttaching(leases)
        work.add { $0.host = true }
        let view = try await domainView(domain.uuid)
        let macs = Set(devices.map(\.mac))
        return view.interfaces.filter { $0.mac.map(macs.contains) ?? false }
    }

    /// How long an attach may take: the first device pins the guest's memory, a quarter of a second a GiB.
    private static func attachPatience(_ domain: DomainDescription?) -> Duration {
        let gibibytes = (domain?.memoryKiB ?? 0) >> 20
        // Whoever asks waits five minutes for the answer.
        return min(Connection.patience + .milliseconds(500 * min(gibibytes, 1 << 20)), .seconds(280))
    }

    private func finishAttaching(_ leases: [Lease]) {
        state.withLock { state in for lease in leases { state.attaching[lease.address] = nil } }
    }

    /// Takes back what was attached of a request that has failed. What the guest does not let go stays leased to it, and so
    /// does what libvirt has not answered for: it may still come, and if it does not, the lease ends by itself.
    private func undo(
        _ attached: [XMLElement], _ leases: [Lease], _ domain: Domain, _ connection: Connection, after error: any Error
    ) async {
        var kept: Set<PCIAddress> = []
        // A VF with a standby is two devices.
        let reached = attached.count { $0["type"] == "hostdev" }
        if let error = error as? LibvirtError, [.timeout, .unreachable].contains(error.code),
            leases.indices.contains(reached)
        {
            kept.insert(leases[reached].address)
            state.withLock { $0.unanswered[leases[reached].id] = .now }
        }
        for element in attached.reversed() {
            let interface = DomainInterface(element: element)
            guard let alias = interface.alias else { continue }
            var hasLeft = false
            do {
                let departure = Departure(uuid: domain.uuid, alias: alias)
                hasLeft = try await self.departure(departure, within: .seconds(Self.departureSeconds)) {
                    () throws(LibvirtError) in try await connection.detach(element, from: domain.uuid, .live)
                }
            } catch {
                logger.error("domain \(domain.name): \(error)")
            }
            guard !hasLeft, let address = interface.function else { continue }
            logger.error("domain \(domain.name) keeps \(address), though the rest of its request has failed")
            kept.insert(address)
        }
        for lease in leases where !kept.contains(lease.address) {
            do throws(LeasingError) {
                _ = try await manager.release(lease.id, actor: "agent")
            } catch {
                logger.error("lease \(lease.id): \(error.message)")
            }
        }
    }

    /// The request for functions of a pool for a domain: near its NUMA nodes, spread as is wished.
    func request(
        _ body: AttachBody, for uuid: String, as description: DomainDescription?
    ) throws(LeasingError) -> LeaseRequest {
        var lease = LeaseBody()
        lease.pool = body.pool
        lease.count = body.count
        lease.consumer = "\(Consumer(.domain, uuid))"
        lease.numa = body.numa
        lease.settings = body.settings
        switch body.spread {
        case nil: break
        case "pf", "physicalFunction": lease.antiAffinity = "physicalFunction"
        case "card": lease.antiAffinity = "card"
        case let other?:
            throw LeasingError(
                .badRequest, "spread \"\(other.prefix(100))\" is not understood",
                remedy: "give pf (each of another port) or card (each of another card)")
        }
        var request = try lease.request(person: "", idempotencyKey: nil)
        let host = manager.host
        if let nodes = description.flatMap({ Self.nodes(of: $0, host) }) {
            request.near = .cpus(NumberSet(host.nodes.filter { nodes.contains($0.number) }.flatMap(\.cpus.numbers)))
        }
        return request
    }

    /// What would make a live attach fail is found before anything is changed.
    private func check(_ domain: Domain, _ count: Int, _ body: AttachBody) throws {
        guard let live = domain.live else { return }
        try requireIOMMU()
        let ports = HotplugPorts(live)
        let wanted = count * (body.failover == nil ? 1 : 2)
        guard ports.free >= wanted else {
            throw LeasingError(
                LeasingError.Code(rawValue: "domain.noPorts"),
                "domain \(domain.name) has \(ports.free) free hot-plug ports, \(wanted) are needed; nothing was attached",
                remedy: "sluice vm ports \(domain.name) --reserve \(wanted), and start it anew; "
                    + "or attach for its next start: --config")
        }
        try checkMemory(of: live)
    }

    /// Passthrough locks the guest's memory. libvirt lets QEMU lock 1 GiB more, or as much as the domain says.
    func checkMemory(of domain: DomainDescription) throws(LeasingError) {
        guard let limit = domain.memoryHardLimitKiB, limit <= domain.memoryKiB else { return }
        throw LeasingError(
            LeasingError.Code(rawValue: "domain.memoryLocked"),
            "domain \(domain.name) may lock \(limit / 1024) MiB, and passthrough locks its whole memory, \(domain.memoryKiB / 1024) MiB",
            remedy: "virsh memtune \(domain.name) --hard-limit \(domain.memoryKiB + (1 << 20))")
    }

    /// What libvirt or QEMU would refuse of functions for a running domain.
    private func check(_ functions: [PCIAddress], for domain: Domain) async throws {
        let host = manager.observedHost
        for address in functions {
            try checkPort(of: address, on: host)
            try checkGroup(of: address, on: host)
            guard let live = domain.live else { continue }
            try await reading { try NodeAccess.checkBeforeAttach(address, in: live, on: host) }
        }
    }

    /// libvirt sets a VF only while its port is up.
    private func checkPort(of address: PCIAddress, on host: Host) throws(LeasingError) {
        guard let port = host[address]?.pci.physicalFunction.flatMap({ host[$0] }), let link = port.link, !link.isUp
        else {
            return
        }
        throw LeasingError(
            LeasingError.Code(rawValue: "pf.down"),
            "\(port.name), the port of \(host[address]?.name ?? "\(address)"), is down; nothing was attached",
            remedy: "declare it in the host file, and it is kept up; at once: ip link set \(link.name) up")
    }

    /// All functions of an IOMMU group go to one virtual machine: QEMU would say that the group is not viable.
    private func checkGroup(of address: PCIAddress, on host: Host) throws(LeasingError) {
        guard let function = host[address], let group = function.pci.iommuGroup else { return }
        let other = host.functionsOfHost(inGroup: group).first { $0.pci.address != address }
        guard let other else { return }
        throw LeasingError(
            LeasingError.Code(rawValue: "iommu.groupNotViable"),
            "\(function.name) shares IOMMU group \(group) with \(other.name), which the host uses (\(other.pci.driver ?? "")); nothing was attached",
            remedy: "bind it to vfio-pci too, use another slot, or enable ACS in the firmware")
    }

    private func network(of pool: String, among networks: [Network]) throws(LibvirtError) -> String {
        guard let network = networks.first(where: { $0.config.pool == pool }) else {
            throw LibvirtError(
                .noNetwork, "pool \(pool) has no network yet, so a domain's next start cannot get anything of it",
                remedy: "sluice network sync makes it; or attach to the running domain only: --live")
        }
        return network.config.name
    }

    static func target(_ text: String?, _ domain: Domain) throws(LeasingError) -> DomainTarget {
        let usual: DomainTarget = [
            domain.live == nil ? [] : .live, domain.config == nil ? [] : .config,
        ]
        switch text {
        case nil: return usual
        case "both" where usual == [.live, .config]: return usual
        case "live" where domain.live != nil: return .live
        case "config" where domain.config != nil: return .config
        case "live", "both", "config":
            throw LeasingError(
                .badRequest,
                domain.live == nil
                    ? "domain \(domain.name) does not run" : "domain \(domain.name) exists only while it runs",
                remedy: domain.live == nil ? "start it, or use --config" : "use --live")
        default:
            throw LeasingError(
                .badRequest, "target \"\(text?.prefix(100) ?? "")\" is not understood",
                remedy: "give live, config or both")
        }
    }

    // MARK: Detaching

    /// Detaches an interface, and waits until the guest has let it go.
    func detach(_ body: DetachBody, from name: String) async throws -> DomainView {
        let connection = try connection()
        let domain = try await connection.domain(name)
        let live = domain.live.flatMap { find(body.interface, in: $0) }
        let config = domain.config.flatMap { config in
            find(body.interface, in: config)
                ?? config.interfaces.first { $0.mac != nil && $0.mac == live?.mac }
        }
        guard live != nil || config != nil else {
            throw LeasingError(
                .badRequest, "domain \(domain.name) has no interface \(body.interface.prefix(100))",
                remedy: "sluice vm list \(domain.name) shows its interfaces")
        }
        var target = try Self.target(body.target, domain)
        if body.target == nil {
            if live == nil { target.remove(.live) }
            if config == nil { target.remove(.config) }
        }
        guard !target.contains(.live) || live != nil, !target.contains(.config) || config != nil else {
            throw LeasingError(
                .badRequest,
                "\(body.interface.prefix(100)) is not in \(target.contains(.live) && live == nil ? "the running domain" : "the next start of domain") \(domain.name)",
                remedy: "leave --live and --config out to detach it wherever it is")
        }
        let patience = body.waitSeconds ?? Self.departureSeconds
        guard (1...600).contains(patience) else {
            throw LeasingError(
                .badRequest, "waitSeconds \(patience) is out of range (1–600)", remedy: "give 1 to 600")
        }
        // The running domain first: when its guest keeps the device, nothing has changed.
        if target.contains(.live), let live, let alias = live.alias {
            let departure = Departure(uuid: domain.uuid, alias: alias)
            let hasLeft = try await self.departure(departure, within: .seconds(patience)) { () throws(LibvirtError) in
                try await connection.detach(live.element, from: domain.uuid, .live)
            }
            guard hasLeft else {
                throw LeasingError(
                    LeasingError.Code(rawValue: "domain.keepsDevice"),
                    "the guest of \(domain.name) has not let \(live.function.map { "\($0)" } ?? alias) go within \(patience) s",
                    remedy: "it must run an operating system with PCI hot-plug and ACPI; it may still let it go later, "
                        + "and the lease ends then")
            }
            if let standby = live.standby,
                let partner = domain.live?.interfaces.first(where: { $0.alias == standby })
            {
                try await connection.detach(partner.element, from: domain.uuid, .live)
            }
            if let address = live.function, let lease = manager.lease(at: address),
                lease.consumer == Consumer(.domain, domain.uuid)
            {
                _ = try await manager.release(lease.id, actor: "agent")
            }
        }
        if target.contains(.config), let mac = config?.mac {
            try await connection.changeConfig(of: domain.uuid) { $0.removeInterfaces(mac: mac) }
        }
        work.add { $0.host = true }
        return try await domainView(domain.uuid)
    }

    private func find(_ text: String, in description: DomainDescription) -> DomainInterface? {
        let wanted = text.lowercased()
        // A VF and its standby have one address: the VF is meant, and takes the other along.
        let candidates = description.interfaces.filter { $0.element.first("teaming")?["type"] != "persistent" }
        return candidates.first { interface in
            if interface.mac?.lowercased() == wanted || interface.alias?.lowercased() == wanted { return true }
            guard let address = interface.function else { return false }
            return "\(address)" == wanted || PCIAddress(wanted) == address
                || manager.observedHost[address]?.name.lowercased() == wanted
                || manager.lease(at: address)?.id.lowercased() == wanted
        }
    }

    // MARK: Ports and migration

    /// Makes places for devices: at once in what the domain is at its next start.
    func reservePorts(_ body: PortsBody, of name: String) async throws -> PortsView {
        let connection = try connection()
        let domain = try await connection.domain(name)
        guard let config = domain.config else {
            throw LeasingError(
                .badRequest, "domain \(domain.name) exists only while it runs, so it has no next start",
                remedy: "define it first: virsh dumpxml, virsh define")
        }
        let before = HotplugPorts(config)
        guard config.isExpress else {
            throw LeasingError(
                .badRequest, "domain \(domain.name) (\(config.machine)) has a conventional PCI bus with 31 places",
                remedy: "there is nothing to reserve: \(before.free) are free")
        }
        let advisable = HotplugPorts.advisable(config)
        let wanted = body.reserve ?? max(before.free, advisable - (before.total - before.free))
        guard (0...200).contains(wanted) else {
            throw LeasingError(.badRequest, "reserve \(wanted) is out of range (0–200)", remedy: "give 0 to 200")
        }
        let missing = HotplugPorts.missing(for: wanted, in: config)
        if !missing.isEmpty {
            try await connection.changeConfig(of: domain.uuid) { config in
                config.append(HotplugPorts.missing(for: wanted, in: config))
            }
        }
        let after = HotplugPorts(try await connection.domain(name).config ?? config)
        let firmware = config.isUEFI ? "OVMF" : "SeaBIOS"
        return PortsView(
            domain: domain.name, added: missing.count, total: after.total, free: after.free,
            isAtNextStart: domain.isActive && !missing.isEmpty,
            warning: after.total > advisable
                ? "\(after.total) ports are more than \(firmware) is known to start with (\(advisable)); start it once to see"
                : nil)
    }

    /// What keeps a domain from migrating.
    func migration(of name: String) async throws -> MigrationView {
        let connection = try connection()
        let domain = try await connection.domain(name)
        let networks = Set(try await connection.hostdevNetworks().map(\.config.name))
        let description = domain.live ?? domain.config
        return MigrationView(domain: domain.name, blockers: description?.migrationBlockers(networks) ?? [])
    }
}
