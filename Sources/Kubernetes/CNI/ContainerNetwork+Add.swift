internal import Glibc
internal import Leasing
internal import Netlink
internal import PCI
internal import SRIOV

extension ContainerNetwork {
    func add(_ call: CNICall, _ conf: NetworkConfiguration) async throws -> Answer {
        try call.checkAttachment()
        try call.checkNamespace()
        guard let namespace = PodNamespace(call.netns) else {
            // Nothing has to be cleaned up only where nothing was begun.
            throw CNIError(
                call.delegated == .not ? .unknownContainer : .failed,
                "there is no network namespace \"\(call.netns.prefix(200))\"",
                remedy: "CNI_NETNS is a path below /run, /var/run or /proc")
        }
        guard namespace.inode != PodNamespace("/proc/self/ns/net")?.inode else {
            throw CNIError(
                .invalidEnvironment, "CNI_NETNS \(namespace.path) is the host's own network namespace",
                remedy: "pods with hostNetwork have the host's interfaces, and get none of their own")
        }
        let attachment = Self.attachment(call, conf)
        if call.delegated != .not {
            guard let lease = lease(attachment), lease.state == .active, lease.consumer.generation == namespace.inode
            else {
                throw CNIError(.failed, "\(call.ifname) of this container is not being added")
            }
            do {
                return try await complete(lease, call, conf, namespace)
            } catch {
                await undo(lease, namespace)
                throw error
            }
        }
        // One that is quarantined or lost is in nobody's way: it has no interface.
        guard lease(attachment).map({ [.quarantined, .lost].contains($0.state) }) ?? true else {
            throw CNIError(
                .failed, "\(call.ifname) of container \(call.containerID) is there already",
                remedy: "DEL comes before it is added again")
        }
        let device = try conf.device()
        _ = try conf.deviceInfoFile
        if let function = manager.observedHost[device],
            function.pci.physicalFunction == nil || !function.pci.classCode.isNetwork
        {
            throw CNIError(.invalidConfiguration, "deviceID \(device) is no VF of a network card")
        }
        var request = LeaseRequest(
            function: device,
            consumer: Consumer(.namespace, namespace.path, generation: namespace.inode))
        request.settings = try conf.settings(macArgument: try call.argument("MAC"))
        request.attachment = attachment
        request.pod = call.pod
        // What the kubelet has allocated to the pod is what this is of.
        request.takesFrom = .allocation
        let name = call.ifname
        try await namespace.run { pod in
            if (try? pod.link(named: name)) != nil {
                throw CNIError(
                    .invalidEnvironment, "the container has a \(name) already", remedy: "CNI_IFNAME is a new name")
            }
        }
        if call.pod != nil { await allocations?.learn(device) }
        let grant = try await manager.acquire(request, actor: "cni")
        guard let lease = grant.leases.first else { throw CNIError(.failed, "no VF was leased") }
        do {
            if try !isForPrograms(lease) {
                let mac = request.settings.mac
                try await namespace.run(preparing: { try PodLink.netdev(of: lease.address) }) { link, host, pod in
                    try PodLink.move(link, as: name, mac: mac, into: namespace, &host, &pod)
                }
            }
            if let plugin = try conf.addressPlugin { return .delegate(plugin) }
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
            addressed = try CNIResult.parse(text, of: try conf.addressPlugin ?? "")
            // What the result cannot say CHECK would not know.
            addressed.routes = addressed.routes(of: conf.version)
        }
        let (addresses, routes) = (try addressed.addresses(), try addressed.linkRoutes())
        if let plugin = try conf.addressPlugin, addresses.isEmpty {
            throw CNIError(.failed, "\(plugin) has given out no address")
        }
        let name = call.ifname
        var interface = CNIResult.Interface(name: name, sandbox: namespace.path, pciID: "\(lease.address)")
        if try isForPrograms(lease) {
            interface.mac = await administeredMAC(of: lease)?.description
        } else {
            let link = try await namespace.run { pod in
                let link = try pod.link(named: name)
                guard link.device?.name == "\(lease.address)" else {
                    throw CNIError(.failed, "the container's \(name) is not \(lease.name)")
                }
                try PodLink.configure(link, addresses, routes, &pod)
                return link
            }
            (interface.mac, interface.mtu) = (link.address?.description, link.mtu)
        }
        // In a chain what others have made is handed on (specification, "Result").
        var result = conf.prevResult ?? CNIResult()
        let index = result.interfaces?.count ?? 0
        result.interfaces = (result.interfaces ?? []) + [interface]
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
        try await writeDeviceInfo(lease, conf)
        result.dns = [result.dns, conf.dns, addressed.dns].compactMap(\.self).first { !$0.isEmpty }
        return .result(try result.text(conf.version))
    }

    /// The address that a VF without a netdev has from its port; nil where nobody has set one.
    private func administeredMAC(of lease: Lease) async -> MACAddress? {
        if let mac = lease.settings.mac { return mac }
        guard let member = manager.pools.member(at: lease.address), let index = member.function.index,
            let port = member.port?.link?.index
        else { return nil }
        let kernel = kernel
        let reports = await offLoop.run { try? kernel.link(index: port, .virtualFunctions).virtualFunctions }
        let mac = reports?.first { $0.index == UInt32(index) }?.settings.mac
        return mac.flatMap { $0.isZero ? nil : $0 }
    }

    /// Tells the runtime what the VF is, where it asks for that.
    private func writeDeviceInfo(_ lease: Lease, _ conf: NetworkConfiguration) async throws {
        guard let path = try conf.deviceInfoFile, let member = manager.pools.member(at: lease.address) else { return }
        let files = kernel.files
        do {
            try await offLoop.run {
                let nodes = try DeviceNodes(of: lease.address, .init(rdma: true), files: files)
                try DeviceInfo(member, nodes).write(to: path)
            }
        } catch {
            throw CNIError(
                .inputOutput, "\(path) cannot be written: \(error)",
                remedy: "a folder that came after the agent is read-only to it: systemctl restart sluiced")
        }
    }

    /// Takes back what an ADD has begun. What cannot be done now the lease remembers.
    private func undo(_ lease: Lease, _ namespace: PodNamespace) async {
        let isThere = (try? await isThere(lease, namespace)) ?? false
        _ = try? await manager.release(lease.id, takingDriver: isThere, actor: "cni")
    }

    /// Whether a VF's netdev is in the container that has leased it.
    func isThere(_ lease: Lease, _ namespace: PodNamespace) async throws -> Bool {
        let address = lease.address
        return try await namespace.run { pod in try PodLink.isThere(address, &pod) }
    }

    /// Moves a VF's netdev back to the host.
    func takeBack(_ address: PCIAddress, _ namespace: PodNamespace) async throws {
        let descriptor = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        try await namespace.run { pod in try PodLink.giveBack(address, toHost: descriptor, &pod) }
    }

    /// Whether a VF is driven by the container's own program, so that it has no netdev: by VFIO, or by UIO.
    func isForPrograms(_ lease: Lease) throws -> Bool {
        guard let driver = try kernel.files.linkName("\(PCIReader.path(lease.address))/driver") else { return false }
        return PCIFunction.isVFIODriver(driver) || PCIFunction.isUIODriver(driver)
    }
}
