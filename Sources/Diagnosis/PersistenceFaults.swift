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
        found:
            "a unit of the host's own, or rc.local, writes sriov_numvfs at boot; libvirt is started then too, with machines or "
            + "networks of its own, and no unit file in /etc/systemd/system orders one after the other",
        cause:
            "systemd starts what is not ordered side by side: networks and machines that libvirt starts by itself then find "
            + "no VFs, and stay off until somebody starts them",
        [
            "systemctl edit UNIT, and there: [Unit] Before=libvirtd.service virtqemud.service virtnetworkd.service",
            "or systemctl disable UNIT, and let the agent make the VFs, which is ordered so: sluice boot install",
        ])
}

extension Diagnosis {
    /// What does not survive a boot.
    static func persistenceFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        notPersistent(host, facts) + lateMakers(facts)
    }

    /// Targets that libvirt's daemons do not wait for.
    private static let lateTargets = [
        "multi-user.target", "graphical.target", "default.target", "network-online.target", "shutdown.target",
    ]

    /// Units that make VFs and of which nothing says that they are done before libvirt starts what it starts by itself. What
    /// is ordered by anything else is taken to be in order: what that is ordered by in its turn is not looked at.
    private static func lateMakers(_ facts: HostFacts) -> [Fault] {
        let libvirt = UnitFiles.libvirt.filter { facts.startedBy[$0] != nil }.sorted()
        guard facts.hasSystemd == true, facts.isConfigurationWhole, !libvirt.isEmpty,
            let autostarted = facts.autostarted.first
        else { return [] }
        return UnitFiles.makers(facts.configuration).sorted { $0.key < $1.key }.compactMap { unit, line in
            let folders = facts.startedBy[unit] ?? []
            // What another target wants is done before that target is reached.
            let isLate = folders.allSatisfy { folder in lateTargets.contains { folder.contains("/\($0).") } }
            guard isLate, !folders.isEmpty, !isOrdered(unit, line, facts) else { return nil }
            return Fault(
                .bootOrder, "\(unit) may make VFs after libvirt has started", subject: unit,
                evidence: [
                    line.description,
                    "no line in /etc/systemd/system orders \(unit) before libvirt or what libvirt waits for",
                    "libvirt starts \(autostarted) by itself",
                ] + libvirt.map { "\($0) is started at boot" },
                remedies: FaultKind.bootOrder.remedies.map { $0.replacing("UNIT", with: unit) })
        }
    }

    private static func isOrdered(_ unit: String, _ maker: ConfigurationLine, _ facts: HostFacts) -> Bool {
        let own = "\(UnitFiles.folder)/\(unit)"
        return facts.configuration.contains { line in
            if line.path == own || line.path.hasPrefix("\(own).d/") || line.path == maker.path {
                // Whoever has to do with libvirt himself, or waits for what libvirt is part of, has an order of his own: to
                // be before it as well would be a cycle.
                if line.startsLibvirt { return true }
                guard let (key, value) = line.setting, line.isOrder else { return false }
                let others = value.split(separator: " ").filter { !lateTargets.contains(String($0)) }
                return key == "Before" ? !others.isEmpty : value.contains("multi-user.target") || value.contains("virt")
            }
            return line.path.hasPrefix("\(UnitFiles.folder)/") && line.text.contains(unit)
        }
    }

    private static func notPersistent(_ host: Host, _ facts: HostFacts) -> [Fault] {
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
