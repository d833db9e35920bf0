internal import Glibc
internal import Netlink
public import PCI

/// Records a host in the text format of umockdev, with what else the commands read.
///
/// What is collected: the PCI functions with their readable attributes (of the configuration space the part that holds
/// capabilities), their netdevs and NVMe controllers, NUMA nodes, IOMMU groups, rtnetlink's answers on links, addresses
/// and default routes of every network namespace, the names of the firmware's ACPI tables, the kernel's release, command
/// line, lockdown and bridge filters, what the processor says of virtualization, of the kernel's log and of configuration
/// files the lines that concern VFs, the names of libvirt's records of VFs, what the agent knows of pools, networks and
/// machines, mount points and swaps of block devices, and of
/// processes only those that have a VFIO device open: their names, and of their command lines only a domain's name and
/// UUID. Nothing is kept that could hold a password.
public struct SnapshotWriter {
    private let files: any FileTree
    private var text = ""

    /// Records the live host `files` shows, whose netlink is the calling process's own.
    ///
    /// The serial numbers are of drives that vfio-pci has, which no driver tells any more (`KnownSerials`).
    /// The log is the kernel's, of which what concerns VFs is kept. What the agent knows is a line of its own.
    public static func record(
        files: any FileTree, serials: [PCIAddress: String], log: [String] = [], agent: String? = nil
    ) throws -> String {
        var writer = SnapshotWriter(files: files, serials: serials, log: log)
        try writer.recordAll()
        if let agent { writer.device("/agent") { $0.attribute("facts", agent + "\n") } }
        return writer.text
    }

    private let serials: [PCIAddress: String]
    private let log: [String]

    private init(files: any FileTree, serials: [PCIAddress: String], log: [String]) {
        self.files = files
        self.log = log
        self.serials = serials
    }

    private mutating func recordAll() throws {
        // The header is a device too, so that umockdev's own programs read the file.
        device("/sluice") { $0.attribute("format", "1\n") }
        for address in try PCIReader(files: files).addresses() { try record(function: address) }
        for name in try (files.entries("/sys/class/net") ?? []).sorted() { try record(class: "net", name) }
        try recordBlockDevices()
        for node in try PCIReader(files: files).numaNodes() {
            device("/devices/system/node/node\(node.number)") { $0.attribute("cpulist", "\(node.cpus)\n") }
        }
        for group in try PCIReader(files: files).iommuGroups() {
            let path = "/sys/kernel/iommu_groups/\(group.number)"
            let (type, regions) = (try files.bytes(path + "/type"), try files.bytes(path + "/reserved_regions"))
            device("/kernel/iommu_groups/\(group.number)") { block in
                block.attribute("type", type)
                block.attribute("reserved_regions", regions)
                for function in group.functions {
                    block.link("devices/\(function)", "../../../bus/pci/devices/\(function)")
                }
            }
        }
        try recordFirmware()
        try recordNetlink()
        try recordProc()
        try recordConfiguration()
    }

    // MARK: Devices

    /// Write-only files, and files whose reading has effects or takes seconds.
    private static let skipped: Set<String> = [
        "remove", "rescan", "reset", "rom", "vpd", "uevent", "new_id", "remove_id", "reset_subordinate",
    ]

    private mutating func record(function address: PCIAddress) throws {
        let path = PCIReader.path(address)
        guard let target = try files.link(path) else { return }
        let names = try (files.entries(path) ?? []).sorted()
        var block = Block(path: devicePath(target), subsystem: "pci")
        for name in names where !Self.skipped.contains(name) && !name.hasPrefix("resource") {
            if let link = try files.link("\(path)/\(name)") {
                block.link(name, link)
            } else if name == "sriov_numvfs" {
                // Reading it waits for the device's lock, which a hung write holds; the links say the same.
                block.attribute(name, "\(names.count { $0.hasPrefix("virtfn") })\n")
            } else if name == "config" {
                // Up to the extended capabilities, which begin at 0x100; readers without root get 64 bytes.
                block.hexadecimal(name, try files.bytes("\(path)/\(name)") ?? [])
            } else if ["msi_irqs", "vfio-dev", "mdev_supported_types"].contains(name) {
                for entry in try (files.entries("\(path)/\(name)") ?? []).sorted() {
                    block.attribute("\(name)/\(entry)", "\n")
                }
            } else {
                block.attribute(name, readable("\(path)/\(name)"))
            }
        }
        text += block.text
        if let serial = serials[address] {
            device("\(devicePath(target))/nvme/known") { $0.attribute("serial", serial + "\n") }
        }
        for controller in try (files.entries(path + "/nvme") ?? []).sorted() {
            let folder = "\(path)/nvme/\(controller)"
            var block = Block(path: "\(devicePath(target))/nvme/\(controller)", subsystem: "nvme")
            for name in ["address", "firmware_rev", "model", "serial", "state", "subsysnqn", "transport"] {
                block.attribute(name, readable("\(folder)/\(name)"))
            }
            text += block.text
        }
    }

    private mutating func record(class name: String, _ entry: String) throws {
        let path = "/sys/class/\(name)/\(entry)"
        guard let target = try files.link(path) else { return }
        var block = Block(path: devicePath(target), subsystem: name)
        for attribute in try (files.entries(path) ?? []).sorted() where !Self.skipped.contains(attribute) {
            if let link = try files.link("\(path)/\(attribute)") {
                block.link(attribute, link)
            } else {
                block.attribute(attribute, readable("\(path)/\(attribute)"))
            }
        }
        text += block.text
    }

    private mutating func recordBlockDevices() throws {
        var block = Block(path: "/class/block", subsystem: nil)
        for name in try (files.entries("/sys/class/block") ?? []).sorted() {
            let path = "/sys/class/block/\(name)"
            guard let target = try files.link(path) else { continue }
            block.link(name, target)
            block.attribute("\(name)/dev", try files.bytes(path + "/dev"))
            for holder in try (files.entries(path + "/holders") ?? []).sorted() {
                block.link("\(name)/holders/\(holder)", "../../\(holder)")
            }
        }
        text += block.text
    }

    /// An attribute that may not be readable: the recording has it when the kernel gives it.
    private func readable(_ path: String) -> [UInt8]? { (try? files.bytes(path)) ?? nil }

    /// `../../../devices/pci0000:00/…` as umockdev writes it: `/devices/pci0000:00/…`.
    private func devicePath(_ target: String) -> String {
        "/" + target.split(separator: "/").drop { $0 == ".." }.joined(separator: "/")
    }

    // MARK: Netlink and /proc

    private mutating func recordNetlink() throws {
        var connection = try RouteNetlink.open()
        let links = try connection.linkMessages(.virtualFunctions)
        let addresses = try connection.addressMessages()
        let routes = try connection.defaultRouteLinks().sorted().map(String.init).joined(separator: " ")
        device("/netlink/links") { $0.messages(links) }
        device("/netlink/addresses") { $0.messages(addresses) }
        device("/netlink/routes") { $0.attribute("default", routes + "\n") }
        for (number, namespace) in NamespaceScanner(files: files).messages().enumerated() {
            device("/netlink/namespaces/\(number)") { block in
                block.attribute("name", namespace.name.map { $0 + "\n" })
                block.attribute("pid", namespace.pid.map { "\($0)\n" })
                block.attribute("container", namespace.container.map { $0 + "\n" })
                block.messages(namespace.links)
            }
        }
    }

    /// Which tables the firmware has, and whether VFIO goes without interrupt remapping.
    private mutating func recordFirmware() throws {
        // Of the tables only the names: their content is long, and says nothing that is read here.
        let tables = try files.entries("/sys/firmware/acpi/tables") ?? []
        if !tables.isEmpty {
            device("/firmware/acpi/tables") { block in
                for table in tables.sorted() where table.utf8.count == 4 { block.attribute(table, "\n") }
            }
        }
        let path = "/module/vfio_iommu_type1/parameters"
        if let value = try files.bytes("/sys\(path)/allow_unsafe_interrupts") {
            device(path) { $0.attribute("allow_unsafe_interrupts", value) }
        }
    }

    /// What faults are told from beside devices: configuration, the kernel's log, libvirt's records, modules. Of files only
    /// the lines that concern VFs, each at its place.
    private mutating func recordConfiguration() throws {
        var folders: [String: [(name: String, text: String)]] = [:]
        let configuration = ConfigurationFiles.read(files).lines
        for (path, lines) in Dictionary(grouping: configuration, by: \.path) {
            var text = Array(repeating: "", count: lines.map(\.number).max() ?? 0)
            for line in lines { text[line.number - 1] = line.text }
            let slash = path.lastIndex(of: "/") ?? path.startIndex
            folders[String(path[..<slash]), default: []].append(
                (String(path[path.index(after: slash)...]), text.joined(separator: "\n") + "\n"))
        }
        for (folder, entries) in folders.sorted(by: { $0.key < $1.key }) {
            device(folder) { block in
                for entry in entries.sorted(by: { $0.name < $1.name }) { block.attribute(entry.name, entry.text) }
            }
        }
        let log = self.log.filter(RelevantLog.isRelevant)
        if !log.isEmpty { device("/kernel/log") { $0.attribute("lines", log.joined(separator: "\n") + "\n") } }
        let records = try files.entries(LibvirtRecords.folder)?.sorted() ?? []
        if !records.isEmpty {
            device(LibvirtRecords.folder) { block in for name in records { block.attribute(name, "\n") } }
        }
        // That it is there is what counts, not what is in it.
        if try files.entries("/run/systemd/system") != nil {
            device("/run/systemd/system") { $0.attribute(".", "\n") }
        }
        for (manager, folder, links) in try LinkManagers.byFolder(files) {
            device(LinkManagers.running) { $0.attribute(LinkManagers.mark(of: manager), "\n") }
            device(folder) { block in for link in links { block.attribute("\(link.index)", link.line + "\n") } }
        }
        let makers = Set(UnitFiles.makers(configuration).keys)
        for (folder, units) in try UnitFiles.started(files, makers: makers) {
            device(folder) { block in for unit in units { block.attribute(unit, "\n") } }
        }
        if !makers.isEmpty {
            for (folder, names) in try UnitFiles.autostarted(files) {
                device(folder) { block in for name in names { block.attribute(name, "\n") } }
            }
        }
        if let lockdown = try files.bytes("/sys/kernel/security/lockdown") {
            device("/kernel/security") { $0.attribute("lockdown", lockdown) }
        }
        if let has = try KernelModules(files: files).has("vfio-pci"),
            let release = try files.text("/proc/sys/kernel/osrelease")
        {
            device("/lib/modules/\(release)") { $0.attribute("modules.dep", has ? "/vfio-pci.ko:\n" : "\n") }
        }
    }

    private mutating func recordProc() throws {
        let processes = ProcessTable(files: files)
        let (release, commandLine) = (try files.bytes("/proc/sys/kernel/osrelease"), try files.bytes("/proc/cmdline"))
        let swaps = try files.contents("/proc/swaps", limit: 1 << 16)
        let mounts = try (files.wholeText("/proc/self/mountinfo") ?? "").split(separator: "\n").filter { line in
            // Only file systems on block devices: the others' sources can name hosts and users.
            line.contains(" /dev/")
        }.map { line in
            let words = line.split(separator: " ")
            let source = words.firstIndex(of: "-").map { words.dropFirst($0).prefix(3) } ?? []
            return (words.prefix(5) + source).joined(separator: " ")
        }
        let processor = try ProcessorFlags.read(files).map { "flags : \($0.sorted().joined(separator: " "))\n" }
        let bridge = "sys/net/bridge"
        let filters = (try files.entries("/proc/\(bridge)") ?? []).filter { $0.hasPrefix("bridge-nf-call-") }.sorted()
            .map { ($0, readable("/proc/\(bridge)/\($0)")) }
        device("/proc") { block in
            for (name, value) in filters { block.attribute("\(bridge)/\(name)", value) }
            block.attribute("sys/kernel/osrelease", release)
            block.attribute("cmdline", commandLine)
            block.attribute("cpuinfo", processor)
            block.attribute("swaps", swaps)
            block.attribute("self/mountinfo", mounts.joined(separator: "\n") + "\n")
        }
        for pid in processes.pids() {
            let nodes = processes.openFiles(of: pid).filter { $0.hasPrefix("/dev/vfio/") && $0 != "/dev/vfio/vfio" }
            guard !nodes.isEmpty else { continue }
            let (command, domain) = (processes.command(of: pid), processes.domain(of: pid))
            device("/proc/\(pid)") { block in
                block.attribute("comm", command + "\n")
                if let domain {
                    let uuid = domain.uuid.map { ["-uuid", $0] } ?? []
                    let words = ["-name", "guest=\(domain.name)"] + uuid
                    block.hexadecimal("cmdline", Array(words.joined(separator: "\0").utf8))
                }
                for (number, node) in nodes.sorted().enumerated() { block.link("fd/\(number)", node) }
            }
        }
    }

    // MARK: Blocks

    private mutating func device(_ path: String, _ body: (inout Block) -> Void) {
        var block = Block(path: path, subsystem: nil)
        body(&block)
        text += block.text
    }

    /// One device's lines.
    private struct Block {
        private var lines: [String]

        init(path: String, subsystem: String?) {
            lines = ["P: \(path)"]
            if let subsystem { lines.append("E: SUBSYSTEM=\(subsystem)") }
        }

        var text: String { lines.joined(separator: "\n") + "\n\n" }

        mutating func link(_ name: String, _ target: String) { lines.append("L: \(name)=\(target)") }

        mutating func attribute(_ name: String, _ value: String?) { attribute(name, value.map { Array($0.utf8) }) }

        mutating func attribute(_ name: String, _ value: [UInt8]?) {
            guard let value else { return }
            guard value.allSatisfy({ ($0 >= 0x20 && $0 < 0x7f) || $0 == 10 || $0 == 9 }) else {
                hexadecimal(name, value)
                return
            }
            var escaped: [UInt8] = []
            for byte in value {
                switch byte {
                case 10: escaped += Array("\\n".utf8)
                case UInt8(ascii: "\\"): escaped += Array("\\\\".utf8)
                default: escaped.append(byte)
                }
            }
            lines.append("A: \(name)=\(String(decoding: escaped, as: UTF8.self))")
        }

        mutating func hexadecimal(_ name: String, _ value: [UInt8]) {
            guard !value.isEmpty else { return }
            lines.append("H: \(name)=\(hexadecimalPairs(value, separator: ""))")
        }

        mutating func messages(_ messages: [ByteReader]) {
            for (number, message) in messages.enumerated() { hexadecimal("\(number)", Array(message.bytes)) }
        }
    }
}
