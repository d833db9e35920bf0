internal import PCI
internal import SRIOV

extension FaultKind {
    /// What is wrong with virtual machines.
    static let domainKinds = [noPorts, cachingMode, alias, cannotMigrate, staleRecord]

    static let noPorts = FaultKind(
        "domain.noPorts", "a virtual machine has no free hot-plug port", severity: .warning,
        found: "the PCI Express ports of a running domain that has VFs (the agent asks libvirt)",
        cause: "libvirt adds PCI Express ports only when a domain is defined, never while it runs",
        ["sluice vm ports DOMAIN --reserve 4, and start it anew"],
        messages: [
            KnownMessage("No more available PCI slots"),
            KnownMessage("No available PCI hotplug slots could be found"),
        ])

    static let cachingMode = FaultKind(
        "domain.cachingMode", "the guest's own IOMMU does not tell QEMU what it maps",
        cause: "with a virtual Intel IOMMU passthrough works only when each mapping is told",
        ["<driver intremap='on' caching_mode='on'/> in the domain's <iommu>"], messages: [KnownMessage("caching-mode")])

    static let alias = FaultKind(
        "domain.alias", "two devices of a virtual machine have the same alias",
        cause: "aliases beginning with ua- are the user's own, and libvirt asks for different ones",
        ["give each device another <alias name='ua-…'/>", "sluice vm attach makes one out of the MAC address"],
        messages: [KnownMessage("non unique alias detected"), KnownMessage("Duplicate ID", "for device")])

    static let cannotMigrate = FaultKind(
        "domain.cannotMigrate", "a device of the host keeps a domain here",
        cause: "libvirt cannot move a device of this host; only one with a standby is unplugged before",
        ["sluice vm check-migration DOMAIN lists them", "sluice vm attach DOMAIN --pool POOL --failover NETWORK"],
        messages: [
            KnownMessage("cannot migrate a domain with <hostdev"),
            KnownMessage("cannot migrate domain", "vfio"),
        ])

    static let staleRecord = FaultKind(
        "libvirt.staleRecord", "libvirt has a record of a VF that nobody has", severity: .warning,
        found: "a file in /run/libvirt/hostdevmgr, and no domain that has the VF",
        cause: "a start was cut short; libvirt would set the VF as the record says at the end of its next domain",
        ["start the agent: it cleans the VF and removes the record (systemctl start sluiced)"])
}

extension Diagnosis {
    /// What is wrong with virtual machines.
    static func domainFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        let full = facts.domains.filter { $0.functions > 0 && $0.freeHotplugPorts == 0 }.map { domain in
            Fault(
                .noPorts, "domain \(domain.name) has no free hot-plug port", subject: domain.name,
                evidence: ["all PCI Express ports of the running machine are taken"],
                cause: "the next live attach would fail: \"No more available PCI slots\"",
                remedies: ["sluice vm ports \(domain.name) --reserve 4 (takes effect at its next start)"])
        }
        return full + facts.libvirtRecords.compactMap { staleRecord($0, host) }
    }

    private static func staleRecord(_ name: String, _ host: Host) -> Fault? {
        guard let function = LibvirtRecords.function(name, on: host), function.holders.isEmpty else { return nil }
        return Fault(
            .staleRecord, "libvirt has a record of \(function.name), which nobody has",
            subject: "\(function.pci.address)",
            evidence: ["\(LibvirtRecords.folder)/\(name)", "no domain has it open"])
    }
}
