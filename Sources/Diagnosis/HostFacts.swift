public import PCI
public import SRIOV

/// What faults are told from beside the host's functions: a few small files and the kernel's log, which snapshots have too,
/// and what only the agent knows.
public struct HostFacts: Sendable {
    /// The words of the kernel's command line; nil when it is not known.
    public var commandLine: [String]?
    /// The firmware's table of IOMMUs (`DMAR`, `IVRS`, `IORT`); empty when it has none, nil when that is not known.
    public var iommuTables: [String]?
    /// The processor's words for virtualization: `vmx`, `svm`, and `hypervisor` in a virtual machine; nil when not known.
    public var processorFlags: Set<String>?
    /// The IOMMU groups.
    public var groups: [IOMMUGroup] = []
    /// Whether VFIO goes without interrupt remapping.
    public var allowsUnsafeInterrupts = false
    /// Whether the running kernel has vfio-pci, loaded or not; nil when that is not known.
    public var hasVFIO: Bool?
    /// How the kernel is locked down: `none`, `integrity`, `confidentiality`; nil when not known.
    public var lockdown: String?
    /// Which packet filters bridges pass frames through: `bridge-nf-call-iptables` and its like.
    public var bridgeFilters: [String] = []
    /// The kernel's messages on VFs, IOMMUs and denials, oldest first.
    public var log: [String] = []
    /// The lines of the host's configuration that concern VFs.
    public var configuration: [ConfigurationLine] = []
    /// Whether all files that have such lines could be read.
    public var isConfigurationWhole = true
    /// libvirt's records of VFs that it has to set as they were: `ens10_vf3`.
    public var libvirtRecords: [String] = []
    /// Whether systemd runs the host; nil when that is not known.
    public var hasSystemd: Bool?
    /// Whether the agent is started at boot.
    public var startsAgent = false
    /// The folders that make systemd start a unit at boot, by the unit: ours, libvirt's, and others that make VFs.
    public var startedBy: [String: [String]] = [:]
    /// What libvirt starts by itself, where somebody makes VFs.
    public var autostarted: [String] = []
    /// The programs that configure links, by the link's index.
    public var managers: [Int32: String] = [:]
    /// What is to be handed out; from the host file.
    public var handedOut: Set<PCIAddress> = []
    /// What would have to be done for the host to be as the host file says; nil without one.
    public var plan: Plan?
    /// The pools, and what is free of them; the agent's knowledge.
    public var pools: [PoolFacts] = []
    /// The networks of pools; the agent's knowledge.
    public var networks: [NetworkFacts] = []
    /// The running domains that have functions; the agent's knowledge.
    public var domains: [DomainFacts] = []

    /// A pool, and what is free of it.
    public struct PoolFacts: Codable, Sendable {
        /// Its name.
        public var name: String
        /// How many of its functions anybody could have.
        public var free: Int
        /// How many it has.
        public var total: Int

        /// Makes facts.
        public init(name: String, free: Int, total: Int) {
            self.name = name
            self.free = free
            self.total = total
        }
    }

    /// A network of libvirt that hands out functions.
    public struct NetworkFacts: Codable, Sendable {
        /// Its name.
        public var name: String
        /// Whether it hands out functions now.
        public var isActive: Bool
        /// Whether it is started with libvirt.
        public var isAutostarted: Bool
        /// Functions that it has and the host has not, or the other way round.
        public var stale: [String]

        /// Makes facts.
        public init(name: String, isActive: Bool, isAutostarted: Bool, stale: [String]) {
            self.name = name
            self.isActive = isActive
            self.isAutostarted = isAutostarted
            self.stale = stale
        }
    }

    /// A running domain.
    public struct DomainFacts: Codable, Sendable {
        /// Its name.
        public var name: String
        /// How many devices could still be plugged in.
        public var freeHotplugPorts: Int
        /// How many functions of the host it has.
        public var functions: Int

        /// Makes facts.
        public init(name: String, freeHotplugPorts: Int, functions: Int) {
            self.name = name
            self.freeHotplugPorts = freeHotplugPorts
            self.functions = functions
        }
    }

    /// Nothing is known.
    public init() {}

    /// Reads them; what cannot be read, by an ordinary user or within a sandbox, is not known. Of the kernel's log those
    /// messages are kept that concern VFs; a live host's are given, chosen already, since they are in no file.
    /// Network managers are asked for some links only, or for all.
    public init(reading files: any FileTree, log: [String]? = nil, links: Set<Int32>? = nil) {
        func text(_ path: String) -> String? { (try? files.text(path)) ?? nil }
        func names(_ path: String) -> [String]? { (try? files.entries(path)) ?? nil }
        func whole(_ path: String) -> String? { (try? files.wholeText(path)) ?? nil }
        commandLine = whole("/proc/cmdline")?.split(whereSeparator: \.isWhitespace).map(String.init)
        iommuTables = names("/sys/firmware/acpi/tables")?.filter { ["DMAR", "IVRS", "IORT"].contains($0) }.sorted()
        processorFlags = (try? ProcessorFlags.read(files)) ?? nil
        groups = (try? PCIReader(files: files).iommuGroups()) ?? []
        allowsUnsafeInterrupts = text(Self.unsafeInterrupts) == "Y"
        hasVFIO = (try? KernelModules(files: files).has("vfio-pci")) ?? nil
        // `none [integrity] confidentiality`
        lockdown = text("/sys/kernel/security/lockdown")?.split(separator: " ").first { $0.hasPrefix("[") }
            .map { String($0.dropFirst().dropLast()) }
        // They are there as long as the module br_netfilter is.
        bridgeFilters = ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables"]
            .filter { text("\(Self.bridgeFolder)/\($0)") == "1" }
        (configuration, isConfigurationWhole) = ConfigurationFiles.read(files)
        libvirtRecords = names(LibvirtRecords.folder)?.sorted() ?? []
        hasSystemd = names("/run/systemd/system") != nil
        let makers = Set(UnitFiles.makers(configuration).keys)
        for (folder, units) in (try? UnitFiles.started(files, makers: makers)) ?? [] {
            for unit in units { startedBy[unit, default: []].append(folder) }
        }
        if !makers.isEmpty {
            autostarted = ((try? UnitFiles.autostarted(files)) ?? []).flatMap { folder, names in
                names.map { "\(folder)/\($0)" }
            }
        }
        startsAgent = startedBy.keys.contains { $0.hasPrefix("sluice") }
        if let known = AgentFacts(reading: files) {
            (pools, networks, domains) = (known.pools, known.networks, known.domains)
            handedOut = Set((known.handedOut ?? []).compactMap { PCIAddress($0) })
        }
        let recorded = whole(RelevantLog.path)?.byteLines.map(String.init)
        self.log = log ?? recorded?.filter(RelevantLog.isRelevant) ?? []
        for (manager, _, links) in (try? LinkManagers.byFolder(files, links: links)) ?? [] {
            for link in links { managers[link.index] = manager }
        }
    }

    package static let bridgeFolder = "/proc/sys/net/bridge"
    static let unsafeInterrupts = "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"

    /// The lines that make VFs, or say how many there are to be.
    var makers: [ConfigurationLine] {
        let words = ["sriov_numvfs", "sr-iov", "virtual-function-count", "total-vfs", "max_vfs"]
        return configuration.filter { line in
            // How a unit is ordered makes nothing, whatever it is called.
            guard !line.isOrder else { return false }
            let text = line.text.lowercased()
            return words.contains(where: text.hasBytes)
        }
    }

    /// The models that the command line or modprobe gives to vfio-pci, and where: `vfio-pci.ids=8086:10ed,144d:a80a`.
    var modelsForVFIO: [(model: String, place: String)] {
        let line = (commandLine ?? []).filter { $0.hasPrefix("vfio-pci.ids=") || $0.hasPrefix("vfio_pci.ids=") }
            .map { ($0.dropFirst("vfio-pci.ids=".count), "/proc/cmdline") }
        // options vfio-pci ids=8086:10ed
        let options = configuration.filter {
            $0.path.hasPrefix("/etc/modprobe.d/") && $0.text.hasPrefix("options vfio")
        }
        .compactMap { line in
            line.text.split(whereSeparator: \.isWhitespace).first { $0.hasPrefix("ids=") }
                .map { ($0.dropFirst("ids=".count), "\(line.path):\(line.number)") }
        }
        return (line + options).flatMap { models, place in
            models.split(separator: ",").map {
                ($0.split(separator: ":").prefix(2).joined(separator: ":").lowercased(), place)
            }
        }
    }
}
