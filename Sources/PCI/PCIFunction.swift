/// A PCI function as sysfs shows it: what every listing needs.
public struct PCIFunction: Sendable, Hashable {
    /// Its address.
    public var address: PCIAddress
    /// Vendor and device.
    public var model: PCIModel
    /// Vendor and device of the board; nil when not given.
    public var subsystem: PCIModel?
    /// Its class.
    public var classCode: PCIClass
    /// The driver that is bound to it.
    public var driver: String?
    /// Its NUMA node; nil when the firmware does not say (-1).
    public var numaNode: Int?
    /// Its IOMMU group's number, which changes from boot to boot; nil without an IOMMU.
    public var iommuGroup: Int?
    /// The PF that it is a VF of.
    public var physicalFunction: PCIAddress?
    /// Its SR-IOV capability, if it is a PF.
    public var sriov: SRIOVCapability?
    /// The names of its netdevs in this network namespace.
    public var netdevs: [String] = []
    /// The name of its port or slot in the firmware, "Embedded FlexibleLOM 1 Port 1".
    public var label: String?
    /// The firmware's number of an onboard device.
    public var acpiIndex: Int?
    /// The serial number that the driver knows (NVMe controllers).
    public var serial: String?

    /// Whether its netdev is in another network namespace: the folder of its netdevs is there and looks empty.
    public var hasNetdevElsewhere = false

    /// A function of which nothing else is known.
    package init(address: PCIAddress, model: PCIModel, classCode: PCIClass) {
        self.address = address
        self.model = model
        self.classCode = classCode
    }

    /// Whether it is bound to vfio-pci or a variant of it.
    public var isBoundToVFIO: Bool { driver.map(Self.isVFIODriver) ?? false }

    /// vfio-pci and the variants that vendors add: mlx5_vfio_pci, nvgrace_gpu_vfio_pci.
    public static func isVFIODriver(_ name: String) -> Bool {
        name == "vfio-pci" || name.hasSuffix("_vfio_pci") || name.hasSuffix("-vfio-pci")
    }

    /// The drivers that leave a function to a program by way of UIO.
    package static func isUIODriver(_ name: String) -> Bool { ["uio_pci_generic", "igb_uio"].contains(name) }
}

/// What sysfs tells of a function beyond what listings need.
public struct PCIFunctionDetails: Sendable, Hashable {
    /// The revision.
    public var revision: UInt8?
    /// The driver that alone may bind to it (driver_override).
    public var driverOverride: String?
    /// The alias that modules are matched by.
    public var modalias: String?
    /// The CPUs near it.
    public var localCPUs: NumberSet?
    /// The ways in which it can be reset, in the kernel's order of preference; empty when it has none.
    public var resetMethods: [String] = []
    /// Power state, `D0`.
    public var powerState: String?
    /// Whether D3cold is allowed.
    public var d3coldAllowed: Bool?
    /// Whether the device's memory and I/O are enabled.
    public var isEnabled: Bool?
    /// Link speed now, as the kernel writes it: `5.0 GT/s PCIe`.
    public var currentLinkSpeed: String?
    /// Link width now, lanes.
    public var currentLinkWidth: Int?
    /// The fastest link that the device can have.
    public var maxLinkSpeed: String?
    /// The widest link that the device can have, lanes.
    public var maxLinkWidth: Int?
    /// The number of MSI and MSI-X vectors in use.
    public var interrupts: Int = 0
    /// Whether MSI is allowed for it.
    public var msiAllowed: Bool?
    /// Whether alternative routing IDs (ARI) are on.
    public var ariEnabled: Bool?
    /// MSI-X vectors that the PF may give to VFs.
    public var vfTotalMSIX: Int?
    /// MSI-X vectors of this VF.
    public var vfMSIXCount: Int?
    /// The types of mediated devices it can make.
    public var mediatedTypes: [String] = []
    /// Its VFIO character device, `vfio3`, which is `/dev/vfio/devices/vfio3`.
    public var vfioDevice: String?
    /// The device serial number of the PCI capability.
    public var deviceSerialNumber: String?
    /// Vital product data.
    public var vitalProductData: VitalProductData?
}
