public import PCI
internal import SRIOV

/// What faults are told from beside the host's functions: a few small files, which snapshots have too.
public struct KernelFacts: Sendable, Hashable {
    /// The words of the kernel's command line; nil when it is not known.
    public var commandLine: [String]?
    /// The firmware's table of IOMMUs (`DMAR`, `IVRS`, `IORT`); empty when it has none, nil when that is not known.
    public var iommuTables: [String]?
    /// The IOMMU groups.
    public var groups: [IOMMUGroup]
    /// Whether VFIO goes without interrupt remapping.
    public var allowsUnsafeInterrupts: Bool
    /// Which packet filters bridges pass frames through: `bridge-nf-call-iptables` and its like.
    public var bridgeFilters: [String]

    /// Makes facts.
    public init(
        commandLine: [String]? = nil, iommuTables: [String]? = nil, groups: [IOMMUGroup] = [],
        allowsUnsafeInterrupts: Bool = false, bridgeFilters: [String] = []
    ) {
        self.commandLine = commandLine
        self.iommuTables = iommuTables
        self.groups = groups
        self.allowsUnsafeInterrupts = allowsUnsafeInterrupts
        self.bridgeFilters = bridgeFilters
    }

    /// Reads them. Throws when files that are there cannot be read.
    public init(reading files: any FileTree) throws(PCIError) {
        let line = try files.wholeText("/proc/cmdline")
        // They are there as long as the module br_netfilter is.
        var filters: [String] = []
        for name in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables"]
        where try files.text("\(Self.bridgeFolder)/\(name)") == "1" { filters.append(name) }
        let tables = try files.entries("/sys/firmware/acpi/tables")
        self.init(
            commandLine: line?.split(whereSeparator: \.isWhitespace).map(String.init),
            iommuTables: tables?.filter { ["DMAR", "IVRS", "IORT"].contains($0) }.sorted(),
            groups: try PCIReader(files: files).iommuGroups(),
            allowsUnsafeInterrupts: try files.text(Self.unsafeInterrupts) == "Y", bridgeFilters: filters)
    }

    static let bridgeFolder = "/proc/sys/net/bridge"

    static let unsafeInterrupts = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"

    /// The models that the command line gives to vfio-pci: `vfio-pci.ids=8086:10ed,144d:a80a`.
    var modelsForVFIO: [String] {
        (commandLine ?? []).filter { $0.hasPrefix("vfio-pci.ids=") || $0.hasPrefix("vfio_pci.ids=") }
            .flatMap { $0.dropFirst("vfio-pci.ids=".count).split(separator: ",") }
            .map { $0.split(separator: ":").prefix(2).joined(separator: ":").lowercased() }
    }
}
