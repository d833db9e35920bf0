internal import AgentAPI
internal import Leasing
internal import Libvirt
internal import Logging
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

extension Virtualization {
    /// What a hook of libvirt is answered with. libvirt waits for it with the domain locked, so nothing here may ask for a
    /// domain.
    ///
    /// Throws what keeps the domain from starting; the text is shown to whoever starts it.
    func hook(_ call: HookCall) async throws {
        guard !isObserveOnly else { return }
        switch call {
        case .domainPrepares(let domain):
            await endLeftovers(of: domain.uuid)
            state.withLock {
                $0.starting.insert(domain.uuid)
                $0.startsAnswered[domain.uuid] = nil
                $0.wishes[domain.uuid] = domain.wishes
            }
            let pools = state.withLock { $0.pools }
            let isOurs =
                !domain.functions.isEmpty || domain.interfaces.contains { $0.network.map { pools[$0] != nil } ?? false }
            guard isOurs else { return }
            try requireIOMMU()
            try checkMemory(of: domain)
            try checkWishes(of: domain)
            // What is given by address; what a network gives comes with its port.
            for address in domain.functions {
                let interface = domain.interfaces.first { $0.function == address }
                try await take(address, for: domain.uuid, mac: interface?.mac, vlan: interface?.vlan)
            }
            try await steer(domain)
        case .domainStarts(let domain):
            endSteering(of: domain.uuid)
            let host = manager.observedHost
            try await reading { try NodeAccess.check(domain, on: host) }
            // libvirt has set MAC and VLAN, and knows nothing of the rest.
            try await manager.restoreSettings(of: Consumer(.domain, domain.uuid))
            // It may have been given up meanwhile.
            state.withLock { if $0.starting.contains(domain.uuid) { $0.startsAnswered[domain.uuid] = .now } }
        case .domainReleased(let domain):
            endSteering(of: domain.uuid)
            let hasIgnoredUse = state.withLock { state in
                state.starting.remove(domain.uuid)
                state.startsAnswered[domain.uuid] = nil
                state.wishes[domain.uuid] = nil
                state.announced = state.announced.filter { $0.value != domain.uuid }
                // Its document in our memory is that of before.
                for index in state.domains.indices where state.domains[index].uuid == domain.uuid {
                    state.domains[index].live = nil
                }
                return state.unseen.remove(domain.uuid) != nil
            }
            defer {
                work.add { $0.host = true }
                if hasIgnoredUse { onChange() }
            }
            try await manager.end(Consumer(.domain, domain.uuid), because: "the domain has ended")
        case .portCreated(let port, _):
            guard !port.isOurs, let address = port.address else { return }
            try await take(address, for: port.ownerUUID, mac: port.mac, vlan: port.vlan)
            state.withLock { $0.announced[address] = port.ownerUUID }
            steered(address, to: port.ownerUUID)
        case .portDeleted(let port, _):
            guard !port.isOurs, let address = port.address else { return }
            state.withLock { $0.announced[address] = nil }
            guard let lease = manager.lease(at: address), lease.consumer == Consumer(.domain, port.ownerUUID) else {
                return
            }
            // The domain may be gone already; what is left is the function's cleaning.
            _ = try await manager.release(lease.id, actor: "libvirt")
        case .other: break
        }
    }

    /// Ends what an earlier start that was cut short has left to a domain that starts anew: it would have it twice.
    private func endLeftovers(of uuid: String) async {
        for lease in manager.unopenedDomainLeases where lease.consumer == Consumer(.domain, uuid) {
            do {
                let manager = manager
                guard try await reading({ try manager.requester(of: lease) }) == "libvirt" else { continue }
                try await manager.endCutShort(lease)
            } catch {
                logger.warning("lease \(lease.id): \(error)")
            }
        }
    }

    /// Throws `host.noIOMMU` on a host where nothing can be passed through.
    func requireIOMMU() throws {
        guard !manager.observedHost.hasIOMMU else { return }
        throw SRIOVError(
            .noIOMMU, "the kernel uses no IOMMU, so nothing can be passed through",
            remedy: "enable VT-d or AMD-Vi in the firmware, and boot with intel_iommu=on iommu=pt")
    }

    /// Leases a function to a domain, or finds that the domain has it.
    private func take(_ address: PCIAddress, for uuid: String, mac: String?, vlan: UInt16?) async throws {
        let consumer = Consumer(.domain, uuid)
        guard let member = manager.pools.member(at: address) else {
            // It is not declared, so it is not ours to give or to refuse.
            return
        }
        if let lease = manager.lease(at: address) {
            if lease.consumer == consumer, lease.state == .active { return }
            // It may be on its way back this moment.
            await manager.settle(lease.id)
        }
        var request = LeaseRequest(function: address, consumer: consumer)
        let wishes = state.withLock { $0.wishes[uuid] } ?? [:]
        request.settings = try settings(of: address, wishes, mac: mac, vlan: vlan)
        do throws(LeasingError) {
            _ = try await manager.acquire(request, actor: "libvirt")
        } catch {
            // Domains that were started while the agent was away have their functions already.
            let holders = member.function.holders.map(\.kind)
            let isOwn = holders.contains { kind in
                if case .domain(_, let holder?, _) = kind { holder.lowercased() == uuid } else { false }
            }
            guard isOwn, holders.count == 1 else { throw error }
            try await manager.adopt(address, for: consumer, settings: request.settings, actor: "libvirt")
        }
    }
}
