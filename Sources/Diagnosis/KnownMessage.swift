/// A message of libvirt, QEMU or the kernel whose cause is known.
///
/// The texts are those of the sources: libvirt's bridge_driver.c, virnetdev.c, virhostdev.c, virpci.c and domain_addr.c,
/// QEMU's hw/vfio, and Linux' drivers/pci/iov.c, drivers/vfio and drivers/iommu.
public struct KnownMessage: Sendable {
    /// The fault that it means.
    public var id: String
    /// What is said of it in a few words.
    public var title: String
    /// Parts of its text; all must occur, upper and lower case alike.
    var parts: [String]
    /// Why it comes.
    var cause: String
    /// What to do.
    var remedies: [String]

    /// The fault that a pasted or caught message means; nil when it is not known.
    public static func fault(in message: String) -> Fault? {
        // Terminals and logs break lines where they please.
        let text = message.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
        guard let known = all.first(where: { $0.parts.allSatisfy { text.contains($0.lowercased()) } }) else {
            return nil
        }
        return Fault(
            known.id, known.title, severity: .error, evidence: ["the message: \(message)"], cause: known.cause,
            remedies: known.remedies)
    }

    private init(_ id: String, _ title: String, _ parts: [String], cause: String, _ remedies: [String]) {
        self.id = id
        self.title = title
        self.parts = parts
        self.cause = cause
        self.remedies = remedies
    }

    /// All that are known, the more particular before the general.
    static let all: [KnownMessage] = [
        KnownMessage(
            "pf.down", "a port is down", ["because the PF is not online"],
            cause: "libvirt sets MAC and VLAN of a VF only while its port is up, and does not bring it up itself",
            [
                "declare the port in the host file: sluice apply brings it up, without addresses",
                "at once: ip link set PORT up",
            ]),
        KnownMessage(
            "domain.noPorts", "a virtual machine has no free hot-plug port", ["No more available PCI slots"],
            cause: "libvirt adds PCI Express ports only when a domain is defined, never while it runs",
            ["sluice vm ports DOMAIN --reserve 4, and start it anew"]),
        KnownMessage(
            "pool.exhausted", "a network has no free VF",
            ["requires exclusive access to interfaces, but none are available"],
            cause: "every function of the network is taken, or kept out of its hands because somebody has it otherwise",
            ["sluice pool show POOL lists who has them", "release one, or add VFs to the pool in the host file"]),
        KnownMessage(
            "access.vfioNode", "QEMU may not open a VFIO node", ["/dev/vfio/", "Permission denied"],
            cause: "AppArmor, SELinux, the node's owner or dynamic_ownership=0 in qemu.conf keeps QEMU from it",
            [
                "look for apparmor=\"DENIED\" in dmesg; the line \"/dev/vfio/* rw,\" in /etc/apparmor.d/local/abstractions/libvirt-qemu allows it",
                "set dynamic_ownership = 1 in /etc/libvirt/qemu.conf, so that libvirt gives QEMU the node",
                "or a udev rule: SUBSYSTEM==\"vfio\", GROUP=\"kvm\", MODE=\"0660\"",
            ]),
        KnownMessage(
            "access.vfioNode", "a VFIO group is in use by another process", ["/dev/vfio/", "Device or resource busy"],
            cause: "another QEMU or DPDK has the group open",
            ["sluice list names its holder", "stop it, or take another function"]),
        KnownMessage(
            "vf.driver", "a function is not bound to vfio-pci", ["/dev/vfio/", "No such file or directory"],
            cause: "without the driver there is no node; and the number in its name is another one after a reboot",
            ["sluice apply binds it as the host file says"]),
        KnownMessage(
            "vf.driver", "a function is bound to another driver", ["must be manually detached from the host"],
            cause: "the device is unmanaged in the domain's document, and not bound to vfio-pci",
            ["driver: vfio-pci in the host file, then sluice apply", "or managed='yes' in the domain's document"]),
        KnownMessage(
            "vf.driver", "a driver for passthrough cannot be loaded", ["Failed to load PCI driver module"],
            cause: "the module that the domain's <driver model=> names, or vfio-pci, is not there or not allowed",
            ["modprobe vfio-pci tells why", "leave model out, so that libvirt finds the driver itself"]),
        KnownMessage(
            "host.noIOMMU", "the kernel uses no IOMMU", ["host doesn't support passthrough of host PCI devices"],
            cause: "without an IOMMU, or without the vfio modules, nothing can be passed through",
            [
                "enable VT-d or AMD-Vi in the firmware", "boot with intel_iommu=on iommu=pt",
                "modprobe vfio-pci",
            ]),
        KnownMessage(
            "host.noIOMMU", "the kernel uses no IOMMU", ["iommu_group", "is not a symlink"],
            cause: "the function is in no IOMMU group, so it cannot be passed through",
            ["enable VT-d or AMD-Vi in the firmware", "boot with intel_iommu=on iommu=pt"]),
        KnownMessage(
            "iommu.groupNotViable", "an IOMMU group has functions of the host",
            ["is not viable"],
            cause:
                "all functions of a group go to one virtual machine, and another one of the group is used by the host",
            [
                "sluice show FUNCTION lists the group", "bind the others to vfio-pci too, or use another slot",
                "enable ACS in the firmware",
            ]),
        KnownMessage(
            "iommu.reservedRegion", "the firmware keeps memory of the device",
            ["failed to set iommu for container", "Operation not permitted"],
            cause: "a reserved region (RMRR; HPE's servers have them), or no interrupt remapping",
            [
                "dmesg says which: \"ineligible for IOMMU domain attach\" or \"No interrupt remapping support\"",
                "HPE: advisory c04781229, conrep switches the region off for the slot",
            ]),
        KnownMessage(
            "vf.held", "a function is used by another virtual machine", ["is in use by driver QEMU"],
            cause: "two documents name the same function, or two networks hand it out",
            ["sluice list names its holder", "take functions from a pool: sluice vm attach DOMAIN --pool POOL"]),
        KnownMessage(
            "vf.held", "a virtual machine has the function already", ["target pci device", "already exists"],
            cause: "the function is in the domain's document twice",
            ["sluice vm list DOMAIN shows what it has", "take another one: sluice vm attach DOMAIN --pool POOL"]),
        KnownMessage(
            "vf.vlanTrunk", "a VF cannot carry several VLANs", ["vlan trunking is not supported"],
            cause: "the port of an SR-IOV card puts one VLAN on a VF; a guest that is trusted may tag by itself",
            ["give one <tag> in <vlan>", "or none, and sluice vm attach DOMAIN --pool POOL --trust"]),
        KnownMessage(
            "vf.portProfile", "a VF cannot have a port profile", ["PortProfileRequest"],
            cause:
                "802.1Qbh profiles are set by Cisco's cards (enic); the driver of this port knows nothing of them",
            ["take <virtualport type='802.1Qbh'> out of the interface", "a VLAN is set with <vlan><tag id=…/></vlan>"]),
        KnownMessage(
            "vf.portProfile", "a VF cannot have a port profile",
            ["virtualport type", "not supported on interfaces of type hostdev"],
            cause: "libvirt has port profiles for macvtap and Open vSwitch, for VFs only 802.1Qbh",
            ["take <virtualport> out of the interface", "a VLAN is set with <vlan><tag id=…/></vlan>"]),
        KnownMessage(
            "domain.alias", "two devices of a virtual machine have the same alias", ["non unique alias detected"],
            cause: "aliases beginning with ua- are the user's own, and libvirt asks for different ones",
            ["give each device another <alias name='ua-…'/>", "sluice vm attach makes one out of the MAC address"]),
        KnownMessage(
            "vf.driver", "a device cannot be given another driver", ["driver_override interface of PCI device"],
            cause:
                "the kernel did not take the driver's name: sysfs is read-only (a container), or the kernel is locked down",
            [
                "run libvirtd where /sys may be written to", "dmesg and the error's last words say why",
                "driver: vfio-pci in the host file binds it before libvirt needs it",
            ]),
        KnownMessage(
            "vf.driver", "a device does not let its driver go", ["Failed to unbind PCI device"],
            cause: "the driver is busy with it, or the kernel is locked down",
            ["dmesg says why", "sluice show FUNCTION names who uses it"]),
        KnownMessage(
            "vf.driver", "a device does not get its driver", ["Failed to trigger a probe for PCI device"],
            cause: "the kernel did not look for its driver again", ["dmesg says why", "modprobe vfio-pci"]),
        KnownMessage(
            "domain.cachingMode", "the guest's own IOMMU does not tell QEMU what it maps", ["caching-mode"],
            cause: "with a virtual Intel IOMMU passthrough works only when each mapping is told",
            ["<driver intremap='on' caching_mode='on'/> in the domain's <iommu>"]),
        KnownMessage(
            "network.inactive", "a network is not active", ["network '", "' is not active"],
            cause: "it is not started automatically, or its port was not there when the host booted",
            ["sluice network sync makes, starts and autostarts the networks of pools"]),
        KnownMessage(
            "pf.noVFs", "a port has no VFs", ["No usable Vf's present on SRIOV PF"],
            cause: "a network by port looks for VFs once, when it is first used, and there were none",
            ["sluice apply makes them", "sluice network sync keeps the network's list fresh"]),
        KnownMessage(
            "pf.noVFs", "a port has no VFs", ["Could not get Virtual functions on"],
            cause: "the network's port is not there, or cannot have VFs",
            ["sluice list shows the ports", "sluice network sync keeps the network as its pool is"]),
        KnownMessage(
            "pf.vfsInTheWay", "a port has VFs already", ["VFs already enabled"],
            cause:
                "the kernel changes a number of VFs only by way of none, which takes them away from whoever uses them",
            ["sluice plan shows who uses them", "sluice apply removes and makes them when nobody does"]),
        KnownMessage(
            "pf.noMemorySpace", "the firmware gives a port no room for VFs", ["not enough MMIO resources for SR-IOV"],
            cause:
                "the VFs' registers need address space that the firmware has not reserved; the write ends with ENOMEM",
            [
                "enable SR-IOV and Above 4G Decoding in the firmware",
                "or boot with pci=realloc, so that the kernel looks for room itself",
            ]),
        KnownMessage(
            "pf.noMemorySpace", "the firmware gives a port no bus numbers for VFs", ["SR-IOV: bus number out of range"],
            cause: "the VFs need more bus numbers than the bridge above the port has",
            ["enable ARI and SR-IOV in the firmware", "or boot with pci=assign-busses"]),
        KnownMessage(
            "pf.driver", "a port's driver cannot make VFs", ["Driver does not support SR", "configuration via sysfs"],
            cause:
                "the port has no driver, or one that does not make VFs (vfio-pci does not by default); ENOENT says the same",
            ["sluice show PORT names its driver", "bind it to its network driver"]),
        KnownMessage(
            "pf.fewerVFs", "a port made fewer VFs than were asked for", ["VFs requested; only", "enabled"],
            cause: "the driver or the card's firmware has a lower limit",
            ["sluice show PORT shows how many it has", "NVIDIA: mlxconfig set NUM_OF_VFS, then a cold restart"]),
        KnownMessage(
            "iommu.reservedRegion", "the firmware keeps memory of the device",
            ["ineligible for IOMMU domain attach due to platform RMRR"],
            cause: "a reserved region (RMRR) that the firmware uses all the time; HPE's servers have them",
            ["HPE: advisory c04781229, conrep switches the region off for the slot", "or another slot"]),
        KnownMessage(
            "host.noInterruptRemapping", "interrupts cannot be remapped", ["No interrupt remapping support"],
            cause: "without it a guest could send any interrupt of the host, so VFIO refuses",
            [
                "enable VT-d with interrupt remapping in the firmware (x2APIC)",
                "only where every guest is trusted: vfio_iommu_type1.allow_unsafe_interrupts=1",
            ]),
        KnownMessage(
            "vf.held", "a VF that is to be removed is used", ["Relaying device request to user"],
            cause: "somebody removes VFs while a virtual machine or a program has one open; the kernel waits for it",
            ["sluice list names its holder", "end it, or let it be and keep the number of VFs"]),
        KnownMessage(
            "vf.slowMemory", "a device's memory cannot be mapped", ["Failed to mmap", "Performance may be slow"],
            cause: "a driver of the host, often the framebuffer of the firmware, has the device's memory",
            ["boot with video=efifb:off", "cat /proc/iomem shows who has it"]),
        KnownMessage(
            "vf.notVirtual", "the address is not a VF's", ["supported on SR-IOV Virtual Functions only"],
            cause: "an interface of type hostdev is for VFs; a whole port has no VF settings",
            ["take a VF of a pool: sluice vm attach DOMAIN --pool POOL", "or pass the port through as a hostdev"]),
        KnownMessage(
            "domain.memoryLocked", "QEMU cannot lock the guest's memory", ["VFIO_MAP_DMA", "Cannot allocate memory"],
            cause: "passthrough locks the whole memory of the guest, beyond what it may",
            ["virsh memtune DOMAIN --hard-limit with the guest's memory and 1 GiB more", "or huge pages"]),
        KnownMessage(
            "vf.noReset", "a device cannot be reset", ["no FLR, PM reset or bus reset available"],
            cause: "it has no reset of its own, and a reset of its bus would hit others",
            ["use another device, or pass all functions of its bus through together"]),
        KnownMessage(
            "domain.cannotMigrate", "a device of the host keeps a domain here",
            ["cannot migrate a domain with <hostdev"],
            cause: "libvirt cannot move a device of this host; only one with a standby is unplugged before",
            ["sluice vm check-migration DOMAIN lists them", "sluice vm attach DOMAIN --pool POOL --failover NETWORK"]),
        KnownMessage(
            "vf.settingRefused", "a VF's MAC address cannot be set", ["Cannot set interface MAC to"],
            cause: "the driver refuses it: the VF is locked, its port is down, or another VF has the address",
            ["dmesg may say why", "sluice list shows the addresses", "leave the MAC address out"]),
        KnownMessage(
            "vf.settingRefused", "a VF's VLAN cannot be set", ["Cannot set interface vlanid to"],
            cause: "in switchdev mode the VLAN belongs to the VF's representor",
            ["eswitchMode: legacy in the host file, or set the VLAN on the representor"]),
    ]
}
