/// The SR-IOV capability of a PF as sysfs shows it.
public struct SRIOVCapability: Sendable, Hashable {
    /// How many VFs can be enabled: the device's limit, or a lower one of its driver (sriov_totalvfs).
    public var totalVFs: Int
    /// How many are enabled now: the number of its virtfn links.
    public var enabledVFs: Int
    /// The routing-identifier distance from the PF to its first VF.
    public var offset: Int
    /// The routing-identifier distance from VF to VF.
    public var stride: Int
    /// The device number of the VFs.
    public var vfDevice: UInt16?
    /// Whether the kernel binds drivers to new VFs by itself.
    public var autoprobe: Bool
    /// The VFs' addresses by index; nil where a link is missing, which happens while VFs come or go.
    public var virtualFunctions: [PCIAddress?]
}
