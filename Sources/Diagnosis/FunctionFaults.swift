internal import Netlink
internal import PCI
internal import SRIOV

extension FaultKind {
    /// What is wrong with functions that are given out.
    static let functionKinds = [
        quarantined, lost, functionDriver, settingsDrift, linkDisabled, held, settingRefused, vlanTrunk, portProfile,
        notVirtual, managed,
        noReset, slowMemory,
    ]

    static let quarantined = FaultKind(
        "vf.quarantined", "a function could not be cleaned after its lease",
        found: "the lease's state, with the reason",
        cause: "it may still carry what its last tenant has set, so nobody gets it",
        ["mend what the lease's reason names, then: sluice lease repair LEASE"])

    static let managed = FaultKind(
        "vf.managed", "a network manager configures a VF that is to be handed out", severity: .warning,
        found: "the manager's state of the VF's netdev in /run/NetworkManager/devices or /run/systemd/netif/links",
        cause:
            "it brings the netdev up and gives it addresses (NetworkManager asks DHCP of any it does not know), so the "
            + "VF is in use before anybody gets it",
        [
            "sluice boot install tells NetworkManager and networkd to leave VFs alone",
            "NetworkManager: nmcli device set NETDEV managed no; networkd: Unmanaged=yes in a .network file that matches it",
        ])

    static let lost = FaultKind(
        "lease.lost", "a function was taken away while it was leased", severity: .warning, found: "the lease's state",
        cause: "its VFs were removed and made again, or its card was; it is kept for nobody else until the lease ends",
        ["sluice lease release LEASE", "sluice lease history FUNCTION tells when and by whom"])

    static let functionDriver = FaultKind(
        "vf.driver", "a function has not the driver that it needs",
        found: "the driver that it is bound to, and that of the host file",
        cause: "what is passed through is bound to vfio-pci: by libvirt (managed='yes'), or beforehand",
        ["driver: vfio-pci in the host file, and sluice apply", "managed='yes' in the domain's document"],
        messages: [
            KnownMessage(
                "/dev/vfio/", "No such file or directory",
                cause:
                    "the function is not bound to vfio-pci, or its IOMMU group has another number since the last boot"),
            KnownMessage(
                "must be manually detached from the host",
                cause: "the document says managed='no', and the function has the host's driver"),
            KnownMessage(
                "Failed to load PCI driver module",
                cause:
                    "the module is not there, or may not be loaded (administratively prohibited: modprobe's blacklist)",
                remedies: ["modprobe vfio-pci says what is wrong", "look for a blacklist line in /etc/modprobe.d"]),
            KnownMessage(
                "driver_override interface of PCI device", title: "a device cannot be given another driver",
                cause:
                    "the kernel did not take the driver's name: sysfs is read-only (a container), or the kernel is locked down",
                remedies: [
                    "run libvirtd where /sys may be written to", "dmesg and the error's last words say why",
                    "driver: vfio-pci in the host file binds it before libvirt needs it",
                ]),
            KnownMessage(
                "Failed to unbind PCI device", title: "a device does not let its driver go",
                cause: "the driver is busy with it, or the kernel is locked down",
                remedies: ["dmesg says why", "sluice show FUNCTION names who uses it"]),
            KnownMessage(
                "Failed to trigger a probe for PCI device", title: "a device does not get its driver",
                cause: "the kernel did not look for its driver again",
                remedies: ["dmesg says why", "modprobe vfio-pci"]),
        ], fix: "runs sluice apply for the port")

    static let settingsDrift = FaultKind(
        "vf.drift", "a function is not set as declared", severity: .warning,
        found: "the settings that the kernel tells of",
        cause: "somebody has set it by hand, or a tenant's settings were left on it",
        ["sluice plan shows the difference", "sluice apply sets it"], fix: "runs sluice apply for the port")

    static let linkDisabled = FaultKind(
        "vf.linkDisabled", "a VF that is used has its link switched off", severity: .warning,
        found: "the link state of a VF that somebody uses is disable",
        cause: "its guest has no link, whatever the port has", ["linkState: auto in the host file or for the lease"])

    static let held = FaultKind(
        "vf.held", "a function is used by somebody else",
        cause: "two documents name the same function, two networks hand it out, or a program has it open",
        ["sluice list names its holder", "take functions from a pool: sluice vm attach DOMAIN --pool POOL"],
        messages: [
            KnownMessage(
                "is in use by driver QEMU", cause: "two documents name the same function, or two networks hand it out"),
            KnownMessage(
                "target pci device", "already exists", title: "a virtual machine has the function already",
                cause: "the function is in the domain's document twice",
                remedies: [
                    "sluice vm list DOMAIN shows what it has", "take another one: sluice vm attach DOMAIN --pool POOL",
                ]),
            KnownMessage(
                "/dev/vfio/", "Device or resource busy",
                cause: "another QEMU, DPDK or SPDK has its IOMMU group open"),
            KnownMessage(
                "Relaying device request to user", title: "a VF that is to be removed is used",
                cause:
                    "somebody removes VFs while a virtual machine or a program has one open; the kernel waits for it",
                remedies: ["sluice list names its holder", "end it, or let it be and keep the number of VFs"]),
            KnownMessage(
                "No device request channel registered, blocked until released by user",
                title: "a VF that is to be removed is used",
                cause: "somebody removes VFs while a program has one open; the kernel waits for it",
                remedies: ["sluice list names its holder", "end it, or let it be and keep the number of VFs"]),
        ])

    static let settingRefused = FaultKind(
        "vf.settingRefused", "a setting of a VF is refused",
        cause: "the driver refuses it: the VF is locked, its port is down, or another VF has the address",
        [
            "dmesg may say why", "sluice list shows the addresses", "bring the port up, and bind the VF anew",
            "leave the MAC address out",
        ],
        messages: [
            KnownMessage("Cannot set interface MAC/vlanid to"),
            KnownMessage("Cannot set interface MAC to", title: "a VF's MAC address cannot be set"),
            KnownMessage(
                "Cannot set interface vlanid to", title: "a VF's VLAN cannot be set",
                cause: "in switchdev mode the VLAN belongs to the VF's representor",
                remedies: ["eswitchMode: legacy in the host file, or set the VLAN on the representor"]),
        ])

    static let vlanTrunk = FaultKind(
        "vf.vlanTrunk", "a VF cannot carry several VLANs",
        cause: "the port of an SR-IOV card puts one VLAN on a VF; a guest that is trusted may tag by itself",
        ["give one <tag> in <vlan>", "or none, and sluice vm attach DOMAIN --pool POOL --trust"],
        messages: [KnownMessage("vlan trunking is not supported")])

    static let portProfile = FaultKind(
        "vf.portProfile", "a VF cannot have a port profile",
        cause: "802.1Qbh profiles are set by Cisco's cards (enic); the driver of this port knows nothing of them",
        ["take <virtualport> out of the interface", "a VLAN is set with <vlan><tag id=…/></vlan>"],
        messages: [
            KnownMessage("PortProfileRequest"),
            KnownMessage(
                "virtualport type", "not supported on interfaces of type hostdev",
                cause: "libvirt has port profiles for macvtap and Open vSwitch, for VFs only 802.1Qbh"),
        ])

    static let notVirtual = FaultKind(
        "vf.notVirtual", "the address is not a VF's",
        cause: "an interface of type hostdev is for VFs; a whole port has no VF settings",
        ["take a VF of a pool: sluice vm attach DOMAIN --pool POOL", "or pass the port through as a hostdev"],
        messages: [
            KnownMessage("supported on SR-IOV Virtual Functions only"),
            KnownMessage("is not an SR-IOV Virtual Function"),
        ])

    static let noReset = FaultKind(
        "vf.noReset", "a device cannot be reset",
        cause: "it has no reset of its own, and a reset of its bus would hit others",
        ["use another device, or pass all functions of its bus through together"],
        messages: [KnownMessage("no FLR, PM reset or bus reset available")])

    static let slowMemory = FaultKind(
        "vf.slowMemory", "a device's memory cannot be mapped",
        cause: "a driver of the host, often the framebuffer of the firmware, has the device's memory",
        ["boot with video=efifb:off", "cat /proc/iomem shows who has it"],
        messages: [KnownMessage("Failed to mmap", "Performance may be slow")])
}

extension Diagnosis {
    /// What is wrong with functions that are given out.
    static func functionFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        host.functions.flatMap { function in
            function.holders.compactMap { fault($0, of: function) } + [withoutLink(function)].compactMap(\.self)
                + [managed(function, facts)].compactMap(\.self)
        }
    }

    /// A VF that nobody has leased, and that a network manager configures all the same.
    private static func managed(_ function: Function, _ facts: HostFacts) -> Fault? {
        guard facts.handedOut.contains(function.pci.address), let link = function.link,
            let manager = facts.managers[link.index]
        else { return nil }
        let isLeased = function.holders.contains { if case .lease = $0.kind { true } else { false } }
        guard !isLeased else { return nil }
        return Fault(
            .managed, "\(manager) configures \(link.name), which is to be handed out",
            subject: "\(function.pci.address)",
            evidence: ["\(manager) says that it configures link \(link.index), \(link.name) (\(function.name))"]
                + function.holders.map { "it is used by \($0.description)" })
    }

    private static func withoutLink(_ function: Function) -> Fault? {
        guard function.settings?.linkState == .disable, let holder = function.holders.first else { return nil }
        return Fault(
            .linkDisabled, "\(function.name) has its link switched off", subject: "\(function.pci.address)",
            evidence: ["link state: disable", "it is used by \(holder.description)"])
    }

    /// A lease that did not end as it should.
    private static func fault(_ holder: Holder, of function: Function) -> Fault? {
        guard case .lease(let id, let consumer, let state?) = holder.kind else { return nil }
        let address = "\(function.pci.address)"
        let evidence = ["lease \(id) of \(consumer) is \(state)"]
        switch state.prefix(while: { $0 != ":" }) {
        case "quarantined":
            return Fault(
                .quarantined, "\(function.name) could not be cleaned", subject: address, evidence: evidence,
                remedies: ["mend what the reason names, then: sluice lease repair \(id)"])
        case "lost":
            return Fault(
                .lost, "\(function.name) was taken away while it was leased", subject: address, evidence: evidence,
                remedies: ["sluice lease release \(id)", "sluice lease history \(address) tells when and by whom"])
        default: return nil
        }
    }
}
