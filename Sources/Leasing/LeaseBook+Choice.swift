internal import Netlink
internal import PCI
internal import SRIOV

extension LeaseBook {
    /// Chooses what a request gets, within the limits of its pool; nothing is taken.
    func decide(
        _ request: LeaseRequest, beside others: Set<PCIAddress> = []
    ) throws(LeasingError) -> (decision: Placement.Decision, pool: DeclaredPool?) {
        let (members, pool) = try members(for: request)
        // What it is promised it has as good as got, but for what it asks for now.
        let promised = promised
        if let pool {
            let others = members.count { promised[$0.identity] == request.consumer && open[$0.identity] == nil }
            try checkLimits(pool, request, promised: request.function == nil ? others : 0)
        }
        var occupied = occupied()
        for member in members where occupied[member.identity] == nil {
            // Who was promised a function asks for it by name.
            let isPromised =
                promised[member.identity].map { request.function == nil || $0 != request.consumer } ?? false
            if isPromised || others.contains(member.function.pci.address) { occupied[member.identity] = .promised }
        }
        let decision = try Placement(host: host, request: request, occupied: occupied).choose(
            from: members, numa: request.numa ?? pool?.numa ?? .prefer,
            spread: request.spread ?? pool?.spread ?? .physicalFunction,
            of: pool.map { "pool \($0.name)" } ?? "the function")
        return (decision, pool)
    }

    /// Takes a function for a consumer in memory: a lease that is reserved, and that only the caller may change until it
    /// is disowned.
    mutating func take(
        _ member: Pool.Member, of pool: DeclaredPool?, for consumer: Consumer, _ settings: VirtualFunctionSettings,
        at time: BootTime, _ complete: (inout Lease) -> Void
    ) -> Lease {
        let id = newIdentifier()
        var lease = Lease(
            id: id, function: member.identity, address: member.function.pci.address, name: member.function.name,
            pool: pool?.name, consumer: consumer, time: time.wall)
        lease.boot = time.boot
        lease.settings = settings.filled(from: pool?.settings ?? .init()).filled(from: member.policy)
        complete(&lease)
        leases[id] = lease
        open[lease.function] = id
        owned.insert(id)
        return lease
    }

    /// The functions that a request may have.
    fileprivate func members(
        for request: LeaseRequest
    ) throws(LeasingError) -> (members: [Pool.Member], pool: DeclaredPool?) {
        if let name = request.pool {
            guard let pool = pools[name: name] else {
                let known = pools.pools.map(\.name).joined(separator: ", ")
                throw LeasingError(
                    .noPool, "there is no pool \(name)",
                    remedy: known.isEmpty ? "declare pools in the host file" : "the host file has \(known)")
            }
            return (pool.members, pool.declared)
        }
        guard let member = request.function.flatMap({ pools.member(at: $0) }) else {
            throw LeasingError(
                .badRequest,
                "\(request.function.map { "\($0)" } ?? "") is not a function that the host file declares",
                remedy: "declare its port or, under passthrough, the function itself")
        }
        return ([member], pools.pool(of: member.identity).flatMap { pools[name: $0]?.declared })
    }

    fileprivate func checkLimits(_ pool: DeclaredPool, _ request: LeaseRequest, promised: Int) throws(LeasingError) {
        let purposes: [Consumer.Kind: String] = [
            .domain: "libvirt", .namespace: "kubernetes", .allocation: "kubernetes", .port: "openstack",
        ]
        if pool.purpose != "any", let purpose = purposes[request.consumer.kind], purpose != pool.purpose {
            throw LeasingError(
                .purpose, "pool \(pool.name) is for \(pool.purpose), not for \(request.consumer)",
                remedy: "take another pool, or write for: any into the host file")
        }
        // Which pod an allocation is for is not known; the kubelet counts what it has given out.
        guard request.consumer.kind != .allocation, let limit = pool.leasesPerConsumer else { return }
        let had = open.values.count { id in
            leases[id].map { $0.pool == pool.name && $0.consumer == request.consumer } ?? false
        }
        if had + promised + request.count > limit {
            throw LeasingError(
                .limit,
                "\(request.consumer) has \(had) leases of pool \(pool.name)"
                    + (promised > 0 ? " and is about to get \(promised)" : "") + ", which allows \(limit)",
                remedy: "release one, or raise limits.leasesPerConsumer in the host file")
        }
    }
}

extension DeclaredPool {
    /// The driver that a lease needs when its request names none: whoever passes functions to VMs needs vfio-pci.
    func driver(for member: Pool.Member) -> DeclaredDriver? {
        guard ["libvirt", "openstack"].contains(purpose) else { return nil }
        if case .vfio? = member.driver { return member.driver }
        return .vfio("vfio-pci")
    }
}
