internal import Netlink
internal import SRIOV

extension Diagnosis {
    /// What keeps frames of virtual machines from the host's own network.
    static func networkFaults(_ host: Host, _ facts: KernelFacts) -> [Fault] {
        guard !facts.bridgeFilters.isEmpty else { return [] }
        func ports(of bridge: Link) -> [Link] { host.links.filter { $0.master == bridge.index } }
        return host.links.filter { $0.kind == "bridge" }.compactMap { bridge in
            // A bridge of machines and a port of the card: libvirt's own (virbr0) has no port, containers' have no machines.
            let ports = ports(of: bridge)
            guard let machine = ports.first(where: { $0.kind == "tun" }),
                let card = ports.first(where: { $0.device != nil })
            else { return nil }
            return Fault(
                "bridge.filtered",
                "\(bridge.name) passes the frames of virtual machines through the host's packet filter",
                severity: .warning, subject: bridge.name,
                evidence: facts.bridgeFilters.map { "\(KernelFacts.bridgeFolder)/\($0) is 1" }
                    + ["\(bridge.name) joins \(card.name) and \(machine.name)"],
                cause: "rules that are meant for the host (Docker's, ufw's) drop what machines send each other",
                remedies: [
                    "sysctl -w " + facts.bridgeFilters.map { "net.bridge.\($0)=0" }.joined(separator: " "),
                    "the same in /etc/sysctl.d, to be applied when the bridge module is loaded",
                ])
        }
    }
}
