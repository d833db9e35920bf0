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

    /// Makes facts.
    public init(
        commandLine: [String]? = nil, iommuTables: [String]? = nil, groups: [IOMMUGroup] = [],
        allowsUnsafeInterrupts: Bool = false
    ) {
        self.commandLine = commandLine
        self.iommuTables = iommuTables
        self.groups = groups
        self.allowsUnsafeInterrupts = allowsUnsafeInterrupts
    }

    /// Reads them. Throws when files that are there cannot be read.
    public init(reading files: any FileTree) throws(PCIError) {
        let line = try files.wholeText("/proc/cmdline")
        let tables = try files.entries("/sys/firmware/acpi/tables")
        self.init(
            commandLine: line?.split(whereSeparator: \.isWhitespace).map(String.init),
            iommuTables: tables?.filter { ["DMAR", "IVRS", "IORT"].contains($0) }.sorted(),
            groups: try PCIReader(files: files).iommuGroups(),
            allowsUnsafeInterrupts: try files.text(Self.unsafeInterrupts) == "Y")
    }

    static let unsafeInterrupts = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"

    /// The models that the command line gives to vfio-pci: `vfio-pci.ids=8086:10ed,144d:a80a`.
    var modelsForVFIO: [String] {
        (commandLine ?? []).filter { $0.hasPrefix("vfio-pci.ids=") || $0.hasPrefix("vfio_pci.ids=") }
            .flatMap { $0.dropFirst("vfio-pci.ids=".count).split(separator: ",") }
            .map { $0.split(separator: ":").prefix(2).joined(separator: ":").lowercased() }
    }
}
