internal import PCI
internal import SRIOV

extension FaultKind {
    /// What does not survive a boot.
    static let persistenceKinds = [notPersistent, bootOrder]

    static let notPersistent = FaultKind(
        "boot.notPersistent", "nothing makes the VFs at the next boot", severity: .warning,
        found:
            "VFs are enabled; neither the agent is started at boot, nor does udev, networkd, netplan, NetworkManager, "
            + "modprobe or a boot script make them",
        cause:
            "the kernel forgets VFs and their settings at a reboot, and virtual machines that start automatically fail",
        [
            "sluice boot install starts the agent at boot, with all that it needs",
            "the ports and their VFs are declared in /etc/sluice/host.yaml",
        ])

    static let bootOrder = FaultKind(
        "boot.order", "VFs may be made after libvirt has started", severity: .warning,
        found: "a unit in /etc/systemd/system writes sriov_numvfs and has no Before= with libvirt's daemon",
        cause:
            "units start side by side: libvirt then starts networks and machines whose VFs are not there yet, "
            + "and they stay off until somebody starts them",
        [
            "Before=libvirtd.service virtqemud.service virtnetworkd.service in the unit's [Unit] section, then "
                + "systemctl daemon-reload",
            "sluice boot install makes the VFs in that order",
        ])
}

extension Diagnosis {
    /// Units that make VFs whenever they are started.
    private static func orderFaults(_ facts: HostFacts) -> [Fault] {
        guard facts.startsLibvirt else { return [] }
        let units = Dictionary(grouping: facts.configuration.filter { $0.path.hasSuffix(".service") }, by: \.path)
        return units.sorted { $0.key < $1.key }.compactMap { path, lines in
            guard let maker = lines.first(where: { $0.text.lowercased().contains("sriov_numvfs") }) else { return nil }
            // What comes before the basic system, or before the network's managers, comes before libvirt.
            let order = lines.filter { $0.text.lowercased().hasPrefix("before=") }.map(\.text).joined(separator: " ")
            let early = StartedUnits.libvirt + ["sysinit.target", "basic.target", "network-pre.target"]
            guard !early.contains(where: order.contains) else { return nil }
            let unit = path.split(separator: "/").last.map(String.init) ?? path
            return Fault(
                .bootOrder, "\(unit) makes VFs, and is not ordered before libvirt", subject: unit,
                evidence: [maker.description, order.isEmpty ? "\(path) has no Before=" : "\(path): \(order)"])
        }
    }

    /// What does not survive a boot.
    static func persistenceFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        orderFaults(facts) + notPersistentFaults(host, facts)
    }

    private static func notPersistentFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        // Of what may not be read nothing is known.
        guard facts.hasSystemd == true, !facts.startsAgent, facts.isConfigurationWhole else { return [] }
        guard !(facts.commandLine?.contains { $0.contains("max_vfs=") } ?? false) else { return [] }
        let ports = host.physicalFunctions.filter { $0.pci.sriov?.enabledVFs ?? 0 > 0 }
        guard !ports.isEmpty else { return [] }
        guard facts.makers.isEmpty else { return [] }
        return [
            Fault(
                .notPersistent,
                "nothing makes the VFs of \(ports.map(\.name).joined(separator: ", ")) at the next boot",
                evidence: ports.map { "\($0.name) has \($0.pci.sriov?.enabledVFs ?? 0) VFs" }
                    + ["no unit of Sluice is enabled in /etc/systemd/system"])
        ]
    }
}
