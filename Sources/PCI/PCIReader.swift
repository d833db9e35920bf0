internal import SystemPackage

/// Reads PCI functions from sysfs.
public struct PCIReader: Sendable {
    /// Where the files are.
    public let files: any FileTree

    /// Reads from a tree of files.
    public init(files: any FileTree) { self.files = files }

    /// The folder of a function.
    public static func path(_ address: PCIAddress) -> String { "/sys/bus/pci/devices/\(address)" }

    /// The addresses of all functions, in ascending order.
    public func addresses() throws(PCIError) -> [PCIAddress] {
        try (files.entries("/sys/bus/pci/devices") ?? []).compactMap { PCIAddress($0) }.sorted()
    }

    /// All functions, in ascending order of their addresses. One that vanishes while it is read is left out.
    public func functions() throws(PCIError) -> [PCIFunction] {
        var functions: [PCIAddress: PCIFunction] = [:]
        var waiting = try addresses()
        while let address = waiting.popLast() {
            guard functions[address] == nil, let function = try function(address) else { continue }
            functions[address] = function
            // VFs that came while the others were read belong to what their PF says now.
            waiting += function.sriov?.virtualFunctions.compactMap(\.self).filter { functions[$0] == nil } ?? []
        }
        return functions.values.sorted { $0.address < $1.address }
    }

    /// One function; nil when there is none at the address.
    public func function(_ address: PCIAddress) throws(PCIError) -> PCIFunction? {
        let path = Self.path(address)
        // One listing of the folder tells which of the many optional attributes are worth a read.
        guard let names = try files.entries(path).map(Set.init),
            let vendor = try files.hexadecimalNumber(path + "/vendor"),
            let device = try files.hexadecimalNumber(path + "/device"),
            let classCode = try files.hexadecimalNumber(path + "/class")
        else { return nil }
        var function = PCIFunction(
            address: address,
            model: PCIModel(vendor: UInt16(truncatingIfNeeded: vendor), device: UInt16(truncatingIfNeeded: device)),
            classCode: PCIClass(rawValue: classCode))
        if let vendor = try files.hexadecimalNumber(path + "/subsystem_vendor"), vendor != 0,
            let device = try files.hexadecimalNumber(path + "/subsystem_device")
        {
            function.subsystem = PCIModel(
                vendor: UInt16(truncatingIfNeeded: vendor), device: UInt16(truncatingIfNeeded: device))
        }
        if names.contains("driver") { function.driver = try files.linkName(path + "/driver") }
        if let node: Int = try files.number(path + "/numa_node"), node >= 0 { function.numaNode = node }
        if names.contains("iommu_group") {
            function.iommuGroup = try files.linkName(path + "/iommu_group").flatMap { Int($0) }
        }
        if names.contains("physfn") {
            function.physicalFunction = try files.linkName(path + "/physfn").flatMap { PCIAddress($0) }
        }
        if names.contains("sriov_totalvfs") { function.sriov = try capability(path, names: names) }
        // The folder stays while the netdev is in another network namespace, and looks empty from here.
        if names.contains("net") {
            function.netdevs = try (files.entries(path + "/net") ?? []).sorted()
            function.hasNetdevElsewhere = function.netdevs.isEmpty
        }
        if names.contains("label") { function.label = try files.text(path + "/label") }
        if names.contains("acpi_index") { function.acpiIndex = try files.number(path + "/acpi_index") }
        if names.contains("nvme"), let controller = try files.entries(path + "/nvme")?.first {
            function.serial = try files.text(path + "/nvme/\(controller)/serial")
                .map { String($0.reversed().drop { $0 == " " }.reversed()) }
        }
        return function
    }

    /// The driver that alone may bind to a function (driver_override). Some kernels wait for the device's lock here,
    /// so listings do not ask.
    public func driverOverride(_ address: PCIAddress) throws(PCIError) -> String? {
        guard let text = try files.text(Self.path(address) + "/driver_override"), text != "(null)", !text.isEmpty
        else { return nil }
        return text
    }

    private func capability(_ path: String, names: Set<String>) throws(PCIError) -> SRIOVCapability? {
        guard let total: Int = try files.number(path + "/sriov_totalvfs") else { return nil }
        var virtualFunctions: [PCIAddress?] = []
        for name in names where name.hasPrefix("virtfn") {
            // The index is the link's number: links of 0…N-1 exist while N VFs are enabled.
            guard let index = Int(name.dropFirst(6)), (0..<0x1_0000).contains(index) else { continue }
            while virtualFunctions.count <= index { virtualFunctions.append(nil) }
            virtualFunctions[index] = try files.linkName(path + "/" + name).flatMap { PCIAddress($0) }
        }
        return SRIOVCapability(
            // Counted, not read from sriov_numvfs, which waits for the device's lock: one port whose VFs cannot be
            // removed would hang every listing.
            totalVFs: max(total, 0), enabledVFs: virtualFunctions.count { $0 != nil },
            offset: try files.number(path + "/sriov_offset") ?? 0,
            stride: try files.number(path + "/sriov_stride") ?? 0,
            vfDevice: try files.text(path + "/sriov_vf_device").flatMap { hexadecimal($0) }
                .map(UInt16.init(truncatingIfNeeded:)),
            autoprobe: try files.text(path + "/sriov_drivers_autoprobe") != "0",
            virtualFunctions: virtualFunctions)
    }

    // MARK: Details

    /// What sysfs tells beyond the listing. Reading vital product data can take a device a second.
    public func details(_ address: PCIAddress) throws(PCIError) -> PCIFunctionDetails {
        let path = Self.path(address)
        func flag(_ name: String) throws(PCIError) -> Bool? {
            try files.number(path + name, as: Int.self).map { $0 != 0 }
        }
        var details = PCIFunctionDetails()
        details.revision = try files.hexadecimalNumber(path + "/revision").map(UInt8.init(truncatingIfNeeded:))
        details.driverOverride = try driverOverride(address)
        details.modalias = try files.text(path + "/modalias")
        details.localCPUs = try files.text(path + "/local_cpulist").flatMap { NumberSet($0) }
        details.resetMethods = try files.text(path + "/reset_method")?.split(separator: " ").map(String.init) ?? []
        details.powerState = try files.text(path + "/power_state")
        details.d3coldAllowed = try flag("/d3cold_allowed")
        details.isEnabled = try flag("/enable")
        details.currentLinkSpeed = try files.text(path + "/current_link_speed")
        details.currentLinkWidth = try files.number(path + "/current_link_width")
        details.maxLinkSpeed = try files.text(path + "/max_link_speed")
        details.maxLinkWidth = try files.number(path + "/max_link_width")
        details.interrupts = try files.entries(path + "/msi_irqs")?.count ?? 0
        details.msiAllowed = try flag("/msi_bus")
        details.ariEnabled = try flag("/ari_enabled")
        details.vfTotalMSIX = try files.number(path + "/sriov_vf_total_msix")
        // Kernels up to at least 6.12 let it be written only.
        details.vfMSIXCount = (try? files.number(path + "/sriov_vf_msix_count")) ?? nil
        details.mediatedTypes = try (files.entries(path + "/mdev_supported_types") ?? []).sorted()
        details.vfioDevice = try files.entries(path + "/vfio-dev")?.first
        details.deviceSerialNumber = try deviceSerialNumber(address)
        details.vitalProductData = try vitalProductData(address)
        return details
    }

    /// The device serial number of the configuration space, which only root can read that far; nil without one.
    public func deviceSerialNumber(_ address: PCIAddress) throws(PCIError) -> String? {
        try files.bytes(Self.path(address) + "/config").flatMap { ConfigurationSpace(bytes: $0).deviceSerialNumber }
    }

    /// Vital product data. A device or firmware that does not deliver it fails the read, which counts as none.
    public func vitalProductData(_ address: PCIAddress) throws(PCIError) -> VitalProductData? {
        do throws(PCIError) {
            return try files.contents(Self.path(address) + "/vpd", limit: 32 << 10).flatMap { VitalProductData($0) }
        } catch  where [5, 110].contains(error.errno?.rawValue) {
            return nil
        }
    }

    // MARK: The host

    /// The IOMMU groups by number; empty when the kernel uses no IOMMU, whatever its command line says.
    public func iommuGroups() throws(PCIError) -> [IOMMUGroup] {
        var groups: [IOMMUGroup] = []
        for name in try files.entries("/sys/kernel/iommu_groups") ?? [] {
            guard let number = Int(name) else { continue }
            let path = "/sys/kernel/iommu_groups/\(name)"
            groups.append(
                IOMMUGroup(
                    number: number,
                    functions: try (files.entries(path + "/devices") ?? []).compactMap { PCIAddress($0) }.sorted(),
                    type: try files.text(path + "/type"),
                    reservedRegions: IOMMUGroup.Region.list(try files.text(path + "/reserved_regions") ?? "")))
        }
        return groups.sorted { $0.number < $1.number }
    }

    /// The NUMA nodes and their CPUs, by number.
    public func numaNodes() throws(PCIError) -> [NUMANode] {
        var nodes: [NUMANode] = []
        for name in try files.entries("/sys/devices/system/node") ?? [] where name.hasPrefix("node") {
            guard let number = Int(name.dropFirst(4)) else { continue }
            let cpus = try files.text("/sys/devices/system/node/\(name)/cpulist").flatMap { NumberSet($0) }
            nodes.append(NUMANode(number: number, cpus: cpus ?? NumberSet([])))
        }
        return nodes.sorted { $0.number < $1.number }
    }
}
