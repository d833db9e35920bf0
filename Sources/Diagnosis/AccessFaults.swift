internal import PCI
internal import SRIOV

extension FaultKind {
    /// Lets every virtual machine open VFIO's groups, where AppArmor confines them.
    package static let appArmorRemedy =
        "sluice boot install --only apparmor adds \"/dev/vfio/[0-9]* rw,\" to the local libvirt-qemu abstraction; then start it again"
    /// Gives VFIO's nodes to the group that QEMU is in.
    package static let vfioGroupRemedy =
        "or give VFIO's nodes to the group kvm, and to all that is in it: sluice boot install --only vfio-group"

    /// What keeps QEMU from what it is given.
    static let accessKinds = [vfioNode, selinux, staticOwnership, memoryLocked]

    static let vfioNode = FaultKind(
        "access.vfioNode", "QEMU may not open a VFIO node",
        found: "the kernel's log has apparmor=\"DENIED\" for /dev/vfio, and no local rule allows it",
        cause: "AppArmor, SELinux, the node's owner or dynamic_ownership=0 in qemu.conf keeps QEMU from it",
        [
            "look for apparmor=\"DENIED\" in dmesg; sluice boot install --only apparmor allows it",
            "set dynamic_ownership = 1 in /etc/libvirt/qemu.conf, so that libvirt gives QEMU the node",
            vfioGroupRemedy,
        ],
        messages: [
            KnownMessage("/dev/vfio/", "Permission denied"),
            KnownMessage(
                "/dev/vfio/noiommu-", "Operation not permitted", title: "a program may not use VFIO without an IOMMU",
                cause: "without an IOMMU a device can write to all memory, so the kernel wants CAP_SYS_RAWIO",
                remedies: ["run it as root, or give its unit AmbientCapabilities=CAP_SYS_RAWIO"]),
            KnownMessage(
                "/dev/vfio/", "Operation not permitted", title: "a cgroup keeps a program from a VFIO node",
                cause:
                    "the node is not among the devices that the program's cgroup may open: libvirt adds those of its machines, "
                    + "whoever starts QEMU otherwise, or in a unit or container, has to",
                remedies: [
                    "in a unit: DeviceAllow=char-vfio rw and DeviceAllow=/dev/vfio/vfio rw",
                    "in a container: both among its devices (--device /dev/vfio/vfio --device /dev/vfio/N)",
                    "in /etc/libvirt/qemu.conf, a cgroup_device_acl of one's own has \"/dev/vfio/vfio\" too",
                ]),
            KnownMessage("apparmor=\"DENIED\"", "/dev/vfio/", isCause: true),
        ])

    static let selinux = FaultKind(
        "access.selinux", "SELinux keeps a virtual machine from a VFIO node",
        found: "the kernel's log has \"avc: denied\" for a VFIO device",
        cause: "the node has not the label that QEMU's domain may open",
        ["restorecon -Rv /dev/vfio", "ausearch -m avc -ts boot shows what else was refused"],
        messages: [
            KnownMessage("avc:", "denied", "vfio_device_t", isCause: true),
            KnownMessage("avc:", "denied", "/dev/vfio", isCause: true),
        ])

    static let staticOwnership = FaultKind(
        "access.staticOwnership", "libvirt does not give QEMU the nodes of its devices", severity: .warning,
        found: "dynamic_ownership = 0 in /etc/libvirt/qemu.conf, and no udev rule that gives VFIO's nodes a group",
        cause: "QEMU runs as a user who may not open /dev/vfio/N, and libvirt leaves the node to root",
        [
            "set dynamic_ownership = 1 in /etc/libvirt/qemu.conf, and restart libvirtd",
            vfioGroupRemedy,
        ])

    static let memoryLocked = FaultKind(
        "domain.memoryLocked", "QEMU cannot lock the guest's memory",
        found: "the kernel's log has \"RLIMIT_MEMLOCK … exceeded\" of VFIO",
        cause: "passthrough locks the whole memory of the guest, beyond what it may",
        ["virsh memtune DOMAIN --hard-limit with the guest's memory and 1 GiB more", "or huge pages"],
        messages: [
            KnownMessage("VFIO_MAP_DMA", "Cannot allocate memory"), KnownMessage("RLIMIT_MEMLOCK", "exceeded"),
            KnownMessage("vfio_container_dma_map", "Cannot allocate memory"),
            KnownMessage("vfio_dma_map", "Cannot allocate memory"),
            KnownMessage(
                "VFIO_MAP_DMA", "No space left on device", title: "a guest has more mappings than VFIO allows",
                cause: "vfio_iommu_type1 allows 65,535 mappings a container (dma_entry_limit)",
                remedies: [
                    "options vfio_iommu_type1 dma_entry_limit=… in /etc/modprobe.d", "or huge pages for the guest",
                ]),
        ])
}

extension Diagnosis {
    /// What keeps QEMU from what it is given.
    static func accessFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        [staticOwnership(facts), memoryLocked(facts), selinux(facts)].compactMap(\.self)
            + denials(host, facts)
    }

    private static let configuration = "/etc/libvirt/qemu.conf"

    private static func staticOwnership(_ facts: HostFacts) -> Fault? {
        // The last line counts.
        let line = facts.configuration.last { $0.path == configuration && $0.text.hasPrefix("dynamic_ownership") }
        guard let line, line.text.filter({ !$0.isWhitespace }).hasPrefix("dynamic_ownership=0") else { return nil }
        // Root opens what it likes.
        let user = facts.configuration.last { $0.path == configuration && $0.text.hasPrefix("user") }
        if let user, user.text.filter({ !$0.isWhitespace }).hasPrefix("user=\"root\"") { return nil }
        let hasRule = facts.configuration.contains { rule in
            rule.path.hasSuffix(".rules") && rule.text.contains("SUBSYSTEM==\"vfio\"") && rule.text.contains("GROUP=")
        }
        return hasRule ? nil : Fault(.staticOwnership, evidence: [line.description])
    }

    private static func memoryLocked(_ facts: HostFacts) -> Fault? {
        guard let line = facts.log.last(where: { $0.contains("RLIMIT_MEMLOCK") && $0.contains("exceeded") }) else {
            return nil
        }
        return Fault(.memoryLocked, evidence: [place(of: line)])
    }

    private static func selinux(_ facts: HostFacts) -> Fault? {
        guard
            let line = facts.log.last(where: {
                $0.contains("avc:") && $0.contains("denied") && $0.contains("vfio") && !$0.contains("permissive=1")
            })
        else { return nil }
        return Fault(.selinux, evidence: [place(of: line)])
    }

    /// What AppArmor has denied, unless a rule has been added since.
    private static func denials(_ host: Host, _ facts: HostFacts) -> [Fault] {
        // `/dev/vfio/vfio rw,` is no rule for groups.
        let rules = facts.configuration.filter { line in
            line.path.contains("/abstractions/libvirt-qemu")
                && ["/dev/vfio/*", "/dev/vfio/[", "/dev/vfio/{"].contains(where: line.text.contains)
        }
        let denied = facts.log.filter { $0.contains("apparmor=\"DENIED\"") && $0.contains("name=\"/dev/vfio/") }
        let groups = Dictionary(grouping: denied) { line in
            line.split(separator: "name=\"", maxSplits: 1).last.map { String($0.prefix { $0 != "\"" }) } ?? ""
        }
        // A rule that denies is none that allows.
        guard !rules.contains(where: { !$0.text.hasPrefix("deny") && !$0.text.hasPrefix("audit deny") }) else {
            return []
        }
        return groups.compactMap { node, lines in
            guard let line = lines.last else { return nil }
            // `/dev/vfio/vfio` and what is below `/dev/vfio/devices` belong to no group.
            let group = Int(node.dropFirst("/dev/vfio/".count))
            let members = host.functions.filter { $0.pci.iommuGroup == group && group != nil }
            return Fault(
                .vfioNode, "AppArmor has kept a virtual machine from \(node)",
                subject: members.first.map { "\($0.pci.address)" } ?? node,
                evidence: [place(of: line)]
                    + members.map { "\(node) is the IOMMU group of \($0.pci.address), \($0.name)" }
                    + rules.map(\.description),
                cause: rules.isEmpty
                    ? "libvirt's profile of the domain has no rule for the node: a network's VF is found after it is written"
                    : "a rule forbids it",
                remedies: rules.isEmpty
                    ? [FaultKind.appArmorRemedy]
                    : ["take the deny rule for /dev/vfio away"])
        }
    }

    /// Where a message is, and the message.
    private static func place(of line: String) -> String {
        (line.hasPrefix("type=") ? "audit log: " : "kernel log: ") + line
    }
}
