internal import Netlink
internal import PCI
internal import SRIOV

extension FaultKind {
    /// What is wrong with ports that have VFs, or should have them.
    static let portKinds = [
        portDown, portWithoutCarrier, portWithoutVFs, portWithFewerVFs, vfsInTheWay, portDriver, noMemorySpace,
        eswitchMode, otherMaker, portDrift, notFound, hung,
    ]

    static let portDown = FaultKind(
        "pf.down", "a port with VFs is down", found: "IFF_UP of the port is clear",
        cause: "libvirt refuses its VFs (\"the PF is not online\"), and their guests have no link",
        [
            "declare the port in the host file: sluice apply brings it up, without addresses",
            "at once: ip link set PORT up",
        ],
        messages: [
            KnownMessage(
                "because the PF is not online",
                cause: "libvirt sets MAC and VLAN of a VF only while its port is up, and does not bring it up itself")
        ], fix: "brings the port up, without addresses")

    static let portWithoutCarrier = FaultKind(
        "pf.noCarrier", "a port whose VFs are in use has no link", severity: .warning,
        found: "the port is up, its carrier is not, and somebody uses its VFs",
        cause: "guests with VFs of it have no link either, unless the VFs' linkState is enable",
        ["look at the cable and at the switch's port", "linkState: enable lets VFs of one port talk without it"])

    static let portWithoutVFs = FaultKind(
        "pf.noVFs", "a port has no VFs", found: "the host file declares VFs, sriov_numvfs is 0",
        cause: "pools and networks that count on them are empty",
        ["sluice apply makes them", "sluice network sync keeps the network's list fresh"],
        messages: [
            KnownMessage(
                "No usable Vf's present on SRIOV PF",
                cause: "a network by port looks for VFs once, when it is first used, and there were none"),
            KnownMessage(
                "No Vf's present on SRIOV PF",
                cause: "a network by port looks for VFs once, when it is first used, and there were none"),
            KnownMessage(
                "Could not get Virtual functions on",
                cause: "the network's port is not there, or cannot have VFs",
                remedies: ["sluice list shows the ports", "sluice network sync keeps the network as its pool is"]),
        ], fix: "runs sluice apply for the port")

    static let portWithFewerVFs = FaultKind(
        "pf.fewerVFs", "a port has fewer VFs than were asked for",
        found: "sriov_numvfs is below what the host file declares, or the kernel's log has \"VFs requested; only\"",
        cause: "the driver or the card's firmware has a lower limit, or VFs were made before with another number",
        [
            "sluice show PORT shows how many it can have", "sluice plan says what is in the way",
            "NVIDIA: mlxconfig set NUM_OF_VFS, then a cold restart",
        ],
        messages: [
            KnownMessage(
                "VFs requested; only", "enabled", cause: "the driver or the card's firmware has a lower limit",
                remedies: [
                    "sluice show PORT shows how many it has", "NVIDIA: mlxconfig set NUM_OF_VFS, then a cold restart",
                ]),
            KnownMessage("numvfs", "ERANGE", cause: "more VFs were asked for than the port can have (sriov_totalvfs)"),
            KnownMessage(
                "write error: Numerical result out of range",
                cause: "more VFs were asked for than the port can have (sriov_totalvfs)",
                remedies: ["sluice show PORT shows how many it can have", "ask for fewer"]),
            KnownMessage(
                "sriov_numvfs", "Numerical result out of range",
                cause: "more VFs were asked for than the port can have (sriov_totalvfs)",
                remedies: ["sluice show PORT shows how many it can have", "ask for fewer"]),
        ], fix: "runs sluice apply for the port")

    static let vfsInTheWay = FaultKind(
        "pf.vfsInTheWay", "a port has VFs already",
        cause: "the kernel changes a number of VFs only by way of none, which takes them away from whoever uses them",
        ["sluice plan shows who uses them", "sluice apply removes and makes them when nobody does"],
        messages: [
            KnownMessage("VFs already enabled"),
            KnownMessage("sriov_numvfs", "Device or resource busy"), KnownMessage("numvfs", "EBUSY"),
            KnownMessage("echo: write error: Device or resource busy"),
        ])

    static let portDriver = FaultKind(
        "pf.driver", "a port's driver cannot make VFs", found: "the host file declares VFs of a port without a driver",
        cause:
            "the port has no driver, or one that does not make VFs (vfio-pci does not by default); ENOENT says the same",
        ["sluice show PORT names its driver", "bind it to its network driver"],
        messages: [
            KnownMessage("Driver does not support SR", "configuration via sysfs"),
            KnownMessage("sriov_numvfs", "No such file or directory"), KnownMessage("numvfs", "ENOENT"),
        ])

    static let noMemorySpace = FaultKind(
        "pf.noMemorySpace", "the firmware gives a port no room for VFs",
        found:
            "the kernel's log has \"not enough MMIO resources for SR-IOV\" or \"bus number out of range\" of a port without VFs",
        cause: "the VFs' registers need address space that the firmware has not reserved; the write ends with ENOMEM",
        [
            "enable SR-IOV and Above 4G Decoding in the firmware",
            "or boot with pci=realloc, so that the kernel looks for room itself",
        ],
        messages: [
            KnownMessage("not enough MMIO resources for SR-IOV", isCause: true),
            KnownMessage("sriov_numvfs", "Cannot allocate memory"), KnownMessage("numvfs", "ENOMEM"),
            KnownMessage("echo: write error: Cannot allocate memory"),
            KnownMessage(
                "SR-IOV: bus number out of range", title: "the firmware gives a port no bus numbers for VFs",
                cause: "the VFs need more bus numbers than the bridge above the port has",
                remedies: ["enable ARI and SR-IOV in the firmware", "or boot with pci=assign-busses"]),
            KnownMessage(
                "can't enable", "VFs (bus", title: "the firmware gives a port no bus numbers for VFs",
                cause: "the VFs need more bus numbers than the bridge above the port has",
                remedies: ["enable ARI and SR-IOV in the firmware", "or boot with pci=assign-busses"]),
        ])

    static let eswitchMode = FaultKind(
        "pf.eswitchMode", "a port's switch is not in the declared mode", severity: .warning,
        found: "the mode that devlink tells of, and that of the host file",
        cause: "in switchdev mode VLANs belong to representors, in legacy mode there are none",
        ["sluice plan shows what is in the way; VFs have to go for the change", "sluice apply changes it"],
        fix: "runs sluice apply for the port")

    static let otherMaker = FaultKind(
        "pf.otherMaker", "something else makes VFs too", severity: .warning,
        found:
            "lines of udev, networkd, netplan, NetworkManager, modprobe and boot scripts, where the host file declares VFs",
        cause: "whoever comes second finds VFs in the way, or removes them under running guests",
        ["take the line out: the host file says how many VFs there are"])

    static let hung = FaultKind(
        "device.hung", "a write to a device does not return",
        cause:
            "somebody has a VF open that is to be removed, or the driver waits for its firmware; nothing can end the write",
        ["sluice list names who holds VFs of the port: end it", "dmesg says what the driver waits for"],
        messages: [
            KnownMessage("other operation is pending"), KnownMessage("blocked for more than", "sriov_numvfs_store"),
        ])

    static let notFound = FaultKind(
        "pf.notFound", "a declared device is not there, or it is another one",
        found:
            "no device agrees with all that the host file says of it; the kernel's log says which netdevs were renamed",
        cause:
            "a card was taken out or replaced; netdevs are renamed when systemd's naming scheme or a card's slot changes, or "
            + "when two race for a name; PCI addresses move when cards are added",
        [
            "sluice list --all shows names, addresses, MACs and serial numbers",
            "match by permanentMAC or serial, which stay with the hardware, and leave netdev out",
        ],
        messages: [
            KnownMessage("Failed to rename network interface"), KnownMessage("Error changing net interface name"),
        ])

    static let portDrift = FaultKind(
        "pf.drift", "a port is not as declared", severity: .warning, found: "sluice plan has steps for the port",
        cause: "somebody has changed it, or it was not applied yet", ["sluice plan", "sluice apply"],
        fix: "runs sluice apply for the port")
}

extension Diagnosis {
    /// What is wrong with ports that have VFs, or should have them.
    static func portFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        host.physicalFunctions.flatMap { port in
            [down(port), withoutCarrier(port, host), noRoom(port, facts), fewer(port, facts)].compactMap(\.self)
        } + driftFaults(host, facts) + otherMakers(host, facts)
    }

    private static func down(_ port: Function) -> Fault? {
        guard let link = port.link, !link.isUp, let sriov = port.pci.sriov, sriov.enabledVFs > 0 else { return nil }
        return Fault(
            .portDown, "\(port.name) is down", subject: "\(port.pci.address)",
            evidence: ["/sys/class/net/\(link.name)/flags: IFF_UP is clear", "\(sriov.enabledVFs) VFs are enabled"])
    }

    private static func withoutCarrier(_ port: Function, _ host: Host) -> Fault? {
        guard let link = port.link, link.isUp, link.state == .down || link.state == .lowerLayerDown else { return nil }
        // Whose link is held up has one among the VFs of the port.
        let used = host.virtualFunctions(of: port.pci.address).filter { vf in
            !vf.holders.isEmpty && vf.settings?.linkState != .enable
        }
        guard let first = used.first, let holder = first.holders.first else { return nil }
        return Fault(
            .portWithoutCarrier, "\(port.name) has no link", subject: "\(port.pci.address)",
            evidence: [
                "/sys/class/net/\(link.name)/operstate is \(link.state)",
                "\(used.count) of its VFs \(used.count == 1 ? "is" : "are") in use: \(first.name) by \(holder.description)",
            ])
    }

    private static func noRoom(_ port: Function, _ facts: HostFacts) -> Fault? {
        guard let sriov = port.pci.sriov, sriov.enabledVFs == 0 else { return nil }
        let words = ["not enough MMIO resources for SR-IOV", "bus number out of range", "VFs (bus"]
        guard
            let line = facts.log.last(where: {
                $0.contains("\(port.pci.address)") && words.contains(where: $0.contains)
            })
        else { return nil }
        return Fault(
            .noMemorySpace, "the firmware gives \(port.name) no room for VFs", subject: "\(port.pci.address)",
            evidence: ["kernel log: \(line)", "sriov_numvfs is 0"])
    }

    private static func fewer(_ port: Function, _ facts: HostFacts) -> Fault? {
        guard let sriov = port.pci.sriov, sriov.enabledVFs > 0 else { return nil }
        // As many as are declared are enough, whatever was asked for before.
        if facts.plan?.devices.contains(where: { $0.address == port.pci.address && $0.steps.isEmpty }) ?? false {
            return nil
        }
        // igb 0000:41:00.0: 8 VFs requested; only 7 enabled
        guard
            let line = facts.log.last(where: {
                $0.contains("\(port.pci.address)") && $0.contains("VFs requested; only")
            }),
            line.contains("only \(sriov.enabledVFs) enabled")
        else { return nil }
        var fault = Fault(
            .portWithFewerVFs, "\(port.name) made fewer VFs than were asked for", subject: "\(port.pci.address)",
            evidence: ["kernel log: \(line)", "sriov_numvfs is \(sriov.enabledVFs)"])
        fault.fix = nil
        return fault
    }

    /// Who else makes VFs, where we are told to.
    private static func otherMakers(_ host: Host, _ facts: HostFacts) -> [Fault] {
        guard facts.plan != nil || facts.startsAgent else { return [] }
        // None is no number that anybody quarrels about.
        let makers = facts.makers.filter { line in
            !line.text.lowercased().filter { !$0.isWhitespace }.hasSuffix("total-vfs=0")
        }
        guard !makers.isEmpty else { return [] }
        return [Fault(.otherMaker, evidence: makers.map(\.description))]
    }

    // MARK: The host file

    /// What is not as the host file says.
    private static func driftFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        (facts.plan?.devices ?? []).flatMap { device -> [Fault] in
            let function = device.address.flatMap { host[$0] }
            let refused = device.refusals.map { $0.error.message }
            // Without its VFs a port lacks all the rest too, and another mode takes them away: that is one fault. From a
            // number to another it goes by way of none.
            let leading =
                device.steps.first { if case .setEswitchMode = $0.action { true } else { false } }
                ?? device.steps.last { if case .setVirtualFunctions = $0.action { true } else { false } }
            let groups =
                leading.map { [kind(of: $0, of: function).id: device.steps] }
                ?? Dictionary(grouping: device.steps) { kind(of: $0, of: function).id }
            let faults = groups.compactMap { id, steps -> Fault? in
                guard let kind = FaultKind.named(id) else { return nil }
                // A port that is down and has VFs is told of already.
                if id == FaultKind.portDown.id, function?.pci.sriov?.enabledVFs ?? 0 > 0 { return nil }
                return Fault(
                    kind, title(kind, device.name), subject: device.address.map { "\($0)" } ?? device.name,
                    evidence: steps.map { "\($0.title): \($0.reason)" } + ["declared at \(device.position)"] + refused)
            }
            if device.steps.isEmpty, !refused.isEmpty {
                let codes = Set(device.refusals.map(\.error.code))
                let isMissing = !codes.isDisjoint(with: [.deviceNotFound, .identityMismatch])
                let kind: FaultKind =
                    isMissing
                    ? .notFound
                    : codes.contains(.noDriver)
                        ? .portDriver : codes.contains(.tooManyVFs) ? .portWithFewerVFs : .portDrift
                let title =
                    isMissing ? "is not there as declared" : "is not as declared, and sluice apply will not change it"
                var fault = Fault(
                    kind, "\(device.name) \(title)", subject: device.address.map { "\($0)" } ?? device.name,
                    evidence: refused + (isMissing ? renames(of: device.name, host, facts) : [])
                        + ["declared at \(device.position)"],
                    remedies: device.refusals.compactMap(\.error.remedy) + ["sluice plan"])
                fault.fix = nil
                return [fault]
            }
            return faults
        }
    }

    /// What the kernel says of the port that had a name before: `igb 0000:01:00.0 ens10: renamed from eth0`.
    private static func renames(of name: String, _ host: Host, _ facts: HostFacts) -> [String] {
        let vfs = Set(host.functions.filter { $0.pci.physicalFunction != nil }.map { "\($0.pci.address)" })
        return facts.log.filter { line in
            (line.hasSuffix("renamed from \(name)") || line.hasSuffix("renamed from \(name) (while UP)"))
                && !line.split(separator: " ").contains { vfs.contains(String($0)) }
        }.prefix(3).map { "kernel log: \($0)" }
    }

    private static func kind(of step: Step, of function: Function?) -> FaultKind {
        switch step.action {
        case .setVirtualFunctions(let count):
            let enabled = function?.pci.sriov?.enabledVFs ?? 0
            return enabled == 0 ? .portWithoutVFs : count > enabled ? .portWithFewerVFs : .portDrift
        case .setEswitchMode: return .eswitchMode
        case .bind: return .functionDriver
        case .configure: return .settingsDrift
        case .bringUp: return .portDown
        case .quieten, .setMTU, .setAutoprobe: return .portDrift
        }
    }

    private static func title(_ kind: FaultKind, _ name: String) -> String {
        switch kind.id {
        case FaultKind.portWithoutVFs.id: "\(name) has no VFs"
        case FaultKind.portWithFewerVFs.id: "\(name) has fewer VFs than declared"
        case FaultKind.eswitchMode.id: "\(name)'s switch is not in the declared mode"
        case FaultKind.functionDriver.id: "functions of \(name) have not the declared driver"
        case FaultKind.settingsDrift.id: "VFs of \(name) are not set as declared"
        case FaultKind.portDown.id: "\(name) is down"
        default: "\(name) is not as declared"
        }
    }
}
