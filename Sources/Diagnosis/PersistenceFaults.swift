internal import PCI
internal import SRIOV

extension FaultKind {
    /// What does not survive a boot.
    static let persistenceKinds = [notPersistent]

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
}

extension Diagnosis {
    /// What does not survive a boot.
    static func persistenceFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
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
