internal import Netlink
internal import SRIOV

extension FaultKind {
    /// What is wrong with networks, and with what they give out.
    static let networkKinds = [bridgeFiltered, networkInactive, networkStale, exhausted, portBinding]

    static let bridgeFiltered = FaultKind(
        "bridge.filtered", "a bridge passes the frames of virtual machines through the host's packet filter",
        severity: .warning,
        found: "bridge-nf-call-iptables and its like are 1, and a bridge joins a card and a machine",
        cause: "rules that are meant for the host (Docker's, ufw's) drop what machines send each other",
        [
            "sysctl -w net.bridge.bridge-nf-call-iptables=0",
            "sluice boot install --only bridge keeps it so, also when the bridge module is loaded anew",
        ],
        fix:
            "sets bridge-nf-call-* to 0, now and whenever br_netfilter is loaded (Docker and kube-proxy may want them); only when it is named"
    )

    static let networkInactive = FaultKind(
        "network.inactive", "a network is not active", found: "libvirt's networks (the agent asks libvirt)",
        cause: "it is not started automatically, or its port was not there when the host booted",
        ["sluice network sync makes, starts and autostarts the networks of pools"],
        messages: [KnownMessage("network '", "' is not active")], fix: "runs sluice network sync")

    static let networkStale = FaultKind(
        "network.stale", "a network gives out other VFs than its pool has", severity: .warning,
        found: "libvirt's networks and the pools (the agent compares them)",
        cause: "libvirt's list of a network is of the time when it was started", ["sluice network sync"],
        fix: "runs sluice network sync")

    static let exhausted = FaultKind(
        "pool.exhausted", "a pool has no free VF", severity: .warning,
        found: "the leases of the pool (the agent knows them)",
        cause: "every function is taken, or kept back because somebody has it otherwise",
        ["sluice pool show POOL lists who has them", "release one, or add VFs to the pool in the host file"],
        messages: [
            KnownMessage("requires exclusive access to interfaces, but none are available"),
            KnownMessage(
                "Insufficient compute resources", "Claim pci failed",
                cause: "Nova has found no free device that the flavor or the port asks for on this host"),
            KnownMessage(
                "PCI device request", "failed",
                cause: "Nova has found no free device that the flavor or the port asks for on this host"),
            KnownMessage(
                "No valid host was found",
                title: "no host has what the instance asks for",
                cause: "often no free VF of the physical network: the scheduler says no more",
                remedies: [
                    "sluice pool show POOL on the hosts that should do",
                    "compare [pci] device_spec with sluice list, and physical_network with the port's",
                ]),
        ])

    static let portBinding = FaultKind(
        "openstack.portBinding", "Neutron could not bind a port",
        cause: "no mechanism driver took it: the agent of the host is down, or knows another physical network",
        [
            "openstack network agent list --host HOST shows whether the NIC agent is alive",
            "physical_device_mappings of sriov_agent.ini has to name the port's physical network",
            "mechanism_drivers of ml2_conf.ini has to have sriovnicswitch",
        ], messages: [KnownMessage("Binding failed for port"), KnownMessage("PortBindingFailed")])
}

extension Diagnosis {
    /// What is wrong with networks, and with what they give out.
    static func networkFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        filteredBridges(host, facts) + facts.networks.compactMap(fault) + facts.pools.compactMap(fault)
    }

    private static func fault(_ network: HostFacts.NetworkFacts) -> Fault? {
        if !network.isActive || !network.isAutostarted {
            let word = network.isActive ? "is not started at boot" : "is not active"
            return Fault(
                .networkInactive, "network \(network.name) \(word)", subject: network.name,
                evidence: ["virsh net-info \(network.name): \(network.isActive ? "Autostart: no" : "Active: no")"],
                severity: network.isActive ? .warning : .error)
        }
        guard !network.stale.isEmpty else { return nil }
        return Fault(
            .networkStale, "network \(network.name) gives out other VFs than its pool has", subject: network.name,
            evidence: network.stale)
    }

    private static func fault(_ pool: HostFacts.PoolFacts) -> Fault? {
        guard pool.total > 0, pool.free == 0 else { return nil }
        return Fault(
            .exhausted, "pool \(pool.name) has no free function", subject: pool.name,
            evidence: ["0 of \(pool.total) are free"],
            remedies: [
                "sluice pool show \(pool.name) lists who has them",
                "release one, or add VFs to the pool in the host file",
            ])
    }

    /// What keeps frames of virtual machines from the host's own network.
    private static func filteredBridges(_ host: Host, _ facts: HostFacts) -> [Fault] {
        guard !facts.bridgeFilters.isEmpty else { return [] }
        func ports(of bridge: Link) -> [Link] { host.links.filter { $0.master == bridge.index } }
        return host.links.filter { $0.kind == "bridge" }.compactMap { bridge in
            // A bridge of machines and a port of the card: libvirt's own (virbr0) has no port, containers' have no machines.
            let ports = ports(of: bridge)
            guard let machine = ports.first(where: { $0.kind == "tun" }),
                let card = ports.first(where: { $0.device != nil })
            else { return nil }
            return Fault(
                .bridgeFiltered,
                "\(bridge.name) passes the frames of virtual machines through the host's packet filter",
                subject: bridge.name,
                evidence: facts.bridgeFilters.map { "\(HostFacts.bridgeFolder)/\($0) is 1" }
                    + ["\(bridge.name) joins \(card.name) and \(machine.name)"],
                remedies: [
                    "sysctl -w " + facts.bridgeFilters.map { "net.bridge.\($0)=0" }.joined(separator: " "),
                    FaultKind.bridgeFiltered.remedies[1],
                ])
        }
    }
}
