/// What boot files are about. One topic is installed, compared and removed as a whole.
public enum BootTopic: String, Sendable, Hashable, CaseIterable, Comparable {
    /// The kernel's command line.
    case kernel
    /// Modules that are loaded at boot.
    case modules
    /// Passthrough devices that get their driver before the host uses them.
    case devices
    /// VFs made by udev, where no agent makes them.
    case functions
    /// Ports that are up and have no addresses.
    case ports
    /// Bridged frames that bypass the packet filter.
    case bridge
    /// AppArmor's rules for QEMU.
    case apparmor
    /// libvirt after the VFs.
    case libvirt
    /// The agent.
    case agent
    /// VFIO's nodes for a group of users.
    case vfioGroup = "vfio-group"
    /// Memory that may be locked.
    case memlock
    /// VFIO without interrupt remapping.
    case unsafeInterrupts = "unsafe-interrupts"

    /// What it is for, for a list.
    public var summary: String {
        switch self {
        case .kernel: "the IOMMU on the kernel's command line"
        case .modules: "vfio-pci is loaded at boot"
        case .devices: "passthrough devices get their driver in the initramfs"
        case .functions: "udev makes the VFs, where no agent does"
        case .ports: "ports are up without addresses, VFs left alone"
        case .bridge: "bridged frames bypass the host's packet filter"
        case .apparmor: "QEMU may open VFIO's nodes"
        case .libvirt: "libvirt starts when the VFs are there"
        case .agent: "the agent starts at boot"
        case .vfioGroup: "the group kvm may open VFIO's nodes"
        case .memlock: "libvirt and the group kvm may lock all memory"
        case .unsafeInterrupts: "VFIO goes without interrupt remapping"
        }
    }

    /// Whether it is made of what the host file declares, and not just of what the system is.
    public var needsHostFile: Bool { [.devices, .functions, .ports].contains(self) }

    /// Why it is done only when it is asked for; nil for what is done where it is needed.
    public var caution: String? {
        switch self {
        case .vfioGroup: "every process of the group can open every device that is passed through"
        case .memlock: "libvirt raises the limit by itself; others can take all memory then"
        case .unsafeInterrupts: "a guest with a device can send any interrupt of the host"
        default: nil
        }
    }

    /// In the order in which they are listed.
    public static func < (first: BootTopic, second: BootTopic) -> Bool {
        (allCases.firstIndex(of: first) ?? 0) < (allCases.firstIndex(of: second) ?? 0)
    }
}
