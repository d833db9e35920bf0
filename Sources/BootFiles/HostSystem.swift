public import PCI

/// What rules a host's boot: its distribution, who configures its network, and what loads its kernel.
public struct HostSystem: Sendable, Hashable {
    /// Who configures ports.
    public var network = Network.none
    /// Who gives the kernel its command line.
    public var bootLoader = BootLoader.none
    /// Who makes the initramfs.
    public var initramfs = Initramfs.none
    /// Whose IOMMU it is; nil when that is not known.
    public var iommu: IOMMU?
    /// Whether AppArmor confines QEMU.
    public var hasAppArmor = false
    /// Where AppArmor's rules for QEMU have VFIO's nodes already, by somebody else.
    public var vfioRule: String?
    /// libvirt's daemons, as units.
    public var libvirtUnits: [String] = []
    /// Whether libvirt is told not to change the owner of VFIO's nodes.
    public var hasStaticOwnership = false
    /// The agent's unit file, where it is installed.
    public var agentUnit: String?
    /// Words that are on the kernel's command line already, or will be at the next boot.
    public var kernelWords: Set<String> = []
    /// Words that some of the kernels have already, where each has its own.
    public var someKernelWords: Set<String> = []
    /// Whether systemd-boot's entries are made of a file of ours to change.
    public var hasCommandLineFile = false
    /// Whether somebody else has enabled the agent.
    public var isAgentEnabled = false
    /// Whether files have labels of SELinux.
    public var hasSELinux = false
    /// The network's configuration, by file.
    public var networkFiles: [String: String] = [:]

    /// Who configures a host's ports.
    public enum Network: String, Sendable, Hashable, CaseIterable {
        /// netplan, which writes for networkd or NetworkManager.
        case netplan
        /// NetworkManager.
        case networkManager = "networkmanager"
        /// systemd-networkd.
        case networkd
        /// Debian's ifupdown.
        case ifupdown
        /// Nobody that is known.
        case none
    }

    /// Who gives the kernel its command line.
    public enum BootLoader: String, Sendable, Hashable, CaseIterable {
        /// GRUB with Debian's folder of drop-ins.
        case grub
        /// Boot Loader Specification entries, changed with grubby.
        case grubby
        /// systemd-boot, whose entries kernel-install writes.
        case systemdBoot = "systemd-boot"
        /// Pop!_OS' kernelstub.
        case kernelstub
        /// Nobody that is known.
        case none
    }

    /// Who makes a host's initramfs.
    public enum Initramfs: String, Sendable, Hashable, CaseIterable {
        /// Debian's initramfs-tools.
        case initramfsTools = "initramfs-tools"
        /// dracut.
        case dracut
        /// Nobody that is known.
        case none
    }

    /// The kinds of IOMMU that the kernel has words for.
    public enum IOMMU: String, Sendable, Hashable, CaseIterable {
        case intel, amd, arm
    }

    /// Nothing is known.
    public init() {}

    // MARK: Known systems

    /// The names that `named` takes.
    public static let names = [
        "debian", "debian-12", "debian-13", "ubuntu", "ubuntu-22.04", "ubuntu-24.04", "rhel", "rhel-9", "rocky-9",
    ]

    /// A distribution as its installer leaves it, with Sluice as a package; nil for one that is not known.
    public static func named(_ name: String) -> HostSystem? {
        guard names.contains(name) else { return nil }
        var system = HostSystem()
        system.agentUnit = "/usr/lib/systemd/system/sluiced.service"
        switch name.prefix(while: { $0 != "-" }) {
        case "rhel", "rocky":
            (system.network, system.bootLoader, system.initramfs) = (.networkManager, .grubby, .dracut)
            system.hasSELinux = true
            system.libvirtUnits = ["virtnetworkd.service", "virtqemud.service"]
        case "ubuntu":
            (system.network, system.bootLoader, system.initramfs) = (.netplan, .grub, .initramfsTools)
            (system.hasAppArmor, system.libvirtUnits) = (true, ["libvirtd.service"])
        default:
            (system.network, system.bootLoader, system.initramfs) = (.ifupdown, .grub, .initramfsTools)
            (system.hasAppArmor, system.libvirtUnits) = (true, ["libvirtd.service"])
        }
        return system
    }

    // MARK: Reading

    /// Looks at the files of a host or of its image.
    ///
    /// - Parameters:
    ///   - files: The files.
    ///   - isLive: Whether it runs: its IOMMU can be seen then.
    ///   - ours: Words of the command line that are there because they were added here.
    ///   - skipping: Files of ours, which are no configuration of somebody else's.
    public init(reading files: any FileTree, isLive: Bool, ours: Set<String> = [], skipping: Set<String> = []) {
        let reader = SystemReader(files: files)
        network = reader.network
        bootLoader = reader.bootLoader
        initramfs = reader.initramfs
        iommu = isLive ? reader.iommu : nil
        hasAppArmor = reader.has("/etc/apparmor.d/abstractions/libvirt-qemu")
        vfioRule = reader.vfioRule
        libvirtUnits = ["libvirtd.service", "virtnetworkd.service", "virtqemud.service"].filter {
            reader.unit($0) != nil
        }
        hasStaticOwnership = reader.lines("/etc/libvirt/qemu.conf").contains {
            $0.filter { !$0.isWhitespace } == "dynamic_ownership=0"
        }
        agentUnit = reader.unit("sluiced.service", skipping: skipping)
        let words = reader.kernelWords(bootLoader, skipping: skipping)
        (kernelWords, someKernelWords) = (words.all.subtracting(ours), words.some.subtracting(ours))
        hasCommandLineFile = reader.has("/etc/kernel/cmdline")
        let link = "/etc/systemd/system/multi-user.target.wants/sluiced.service"
        isAgentEnabled = !skipping.contains(link) && reader.has(link)
        hasSELinux = reader.lines("/etc/selinux/config").contains {
            $0.hasPrefix("SELINUX=") && !$0.hasSuffix("disabled")
        }
        networkFiles = reader.networkFiles(skipping: skipping)
    }

    /// Where somebody configures a port already: `FILE:LINE`.
    func place(configuring port: BootPort) -> String? {
        let names = [port.name, port.mac.map { "\($0)" }].compactMap { $0?.lowercased() }
        for (path, text) in networkFiles.sorted(by: { $0.key < $1.key }) {
            for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                guard let first = line.first(where: { !$0.isWhitespace }), first != "#", first != ";" else { continue }
                let words = line.lowercased().split { !($0.isLetter || $0.isNumber || "-_.:".contains($0)) }
                    .map { $0.hasSuffix(":") ? $0.dropLast() : $0 }
                if words.contains(where: { names.contains(String($0)) }) { return "\(path):\(number + 1)" }
            }
        }
        return nil
    }
}

/// Reads what tells one system from another.
struct SystemReader {
    let files: any FileTree

    func has(_ path: String) -> Bool {
        ((try? files.bytes(path)) ?? nil) != nil || ((try? files.entries(path)) ?? nil) != nil
            || ((try? files.link(path)) ?? nil) != nil
    }

    private func text(_ path: String) -> String? { (try? files.wholeText(path)) ?? nil }

    func lines(_ path: String) -> [Substring] { text(path)?.split(separator: "\n") ?? [] }

    private func names(_ path: String) -> [String] { ((try? files.entries(path)) ?? nil)?.sorted() ?? [] }

    private static let unitFolders = [
        "/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
    ]

    /// Where a unit is.
    func unit(_ name: String, skipping: Set<String> = []) -> String? {
        Self.unitFolders.map { "\($0)/\(name)" }.first { !skipping.contains($0) && has($0) }
    }

    private func isEnabled(_ unit: String) -> Bool {
        ["multi-user", "network", "sysinit"].contains { has("/etc/systemd/system/\($0).target.wants/\(unit)") }
    }

    /// The file that lets QEMU open any group's node.
    var vfioRule: String? {
        let folder = "/etc/apparmor.d/abstractions/libvirt-qemu"
        let paths = [folder] + names("\(folder).d").map { "\(folder).d/\($0)" }
        return paths.first { path in
            lines(path).contains { line in
                let line = line.drop(while: \.isWhitespace)
                return line.hasPrefix("/dev/vfio/*") || line.hasPrefix("/dev/vfio/[0-9]*")
            }
        }
    }

    var network: HostSystem.Network {
        if names("/etc/netplan").contains(where: { $0.hasSuffix(".yaml") }) { return .netplan }
        if isEnabled("NetworkManager.service") { return .networkManager }
        if isEnabled("systemd-networkd.service") { return .networkd }
        if has("/etc/network/interfaces"), unit("networking.service") != nil { return .ifupdown }
        return has("/usr/sbin/netplan") ? .netplan : .none
    }

    var bootLoader: HostSystem.BootLoader {
        if has("/etc/kernelstub/configuration") { return .kernelstub }
        if has("/usr/sbin/grubby") || has("/sbin/grubby") { return .grubby }
        if has("/usr/sbin/update-grub") || has("/sbin/update-grub") { return .grub }
        if has("/etc/kernel/cmdline") || has("/boot/loader/loader.conf") || has("/efi/loader/loader.conf") {
            return .systemdBoot
        }
        return .none
    }

    var initramfs: HostSystem.Initramfs {
        if has("/usr/sbin/update-initramfs") || has("/sbin/update-initramfs") { return .initramfsTools }
        if has("/usr/bin/dracut") || has("/usr/sbin/dracut") { return .dracut }
        return .none
    }

    /// The firmware's table tells; without one, or with the IOMMU off in the firmware, the processor does.
    var iommu: HostSystem.IOMMU? {
        let tables = names("/sys/firmware/acpi/tables")
        if tables.contains("DMAR") { return .intel }
        if tables.contains("IVRS") { return .amd }
        guard let bytes = (try? files.contents("/proc/cpuinfo", limit: 1 << 14)) ?? nil else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        if text.contains("GenuineIntel") { return .intel }
        if text.contains("AuthenticAMD") || text.contains("HygonGenuine") { return .amd }
        return text.contains("CPU implementer") ? .arm : nil
    }

    /// The words that every kernel's boot has, and those that one of them has, from where people and tools write them.
    func kernelWords(
        _ bootLoader: HostSystem.BootLoader, skipping: Set<String>
    ) -> (all: Set<String>, some: Set<String>) {
        func words(_ line: Substring) -> [String] {
            line.split { $0.isWhitespace || "\"',[]{}".contains($0) }.map(String.init)
        }
        switch bootLoader {
        case .grub:
            let dropIns = names("/etc/default/grub.d").filter { $0.hasSuffix(".cfg") }
                .map { "/etc/default/grub.d/\($0)" }
            let places = ["/etc/default/grub"] + dropIns.filter { !skipping.contains($0) }
            let found = Set(places.flatMap(lines).filter { $0.hasPrefix("GRUB_CMDLINE_LINUX") }.flatMap(words))
            return (found, found)
        case .systemdBoot:
            let found = Set(words((text("/etc/kernel/cmdline") ?? "")[...]))
            return (found, found)
        case .kernelstub:
            let found = Set(words((text("/etc/kernelstub/configuration") ?? "")[...]))
            return (found, found)
        case .grubby:
            let entries = names("/boot/loader/entries").filter { $0.hasSuffix(".conf") }
                .flatMap { lines("/boot/loader/entries/\($0)") }.filter { $0.hasPrefix("options ") }
                .map { Set(words($0)) }
            guard let first = entries.first else { return ([], []) }
            return (
                entries.dropFirst().reduce(first) { $0.intersection($1) },
                entries.dropFirst().reduce(first) { $0.union($1) }
            )
        case .none: return ([], [])
        }
    }

    func networkFiles(skipping: Set<String>) -> [String: String] {
        let folders = [
            ("/etc/netplan", ".yaml"), ("/etc/systemd/network", ".network"),
            ("/etc/NetworkManager/system-connections", ".nmconnection"), ("/etc/network/interfaces.d", ""),
            ("/etc/sysconfig/network-scripts", ""),
        ]
        var found: [String: String] = [:]
        let paths = folders.flatMap { folder, end in
            names(folder).filter { $0.hasSuffix(end) }.map { "\(folder)/\($0)" }
        }
        for path in paths + ["/etc/network/interfaces"] where !skipping.contains(path) { found[path] = text(path) }
        return found
    }
}
