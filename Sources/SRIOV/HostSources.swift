internal import Glibc
public import PCI

/// The processor's words for virtualization.
public enum ProcessorFlags {
    private static let known: Set<String> = ["vmx", "svm", "hypervisor"]

    /// `vmx` (Intel) or `svm` (AMD), and `hypervisor` in a virtual machine; nil where the processor has no such words.
    ///
    /// Throws when /proc/cpuinfo is there and cannot be read.
    public static func read(_ files: any FileTree) throws(PCIError) -> Set<String>? {
        // The first processor is within the first pages.
        guard let bytes = try files.contents("/proc/cpuinfo", limit: 1 << 14) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("flags") }) else { return nil }
        return Set(line.split(separator: " ").map(String.init)).intersection(known)
    }
}

/// The modules of the running kernel.
public struct KernelModules {
    private let files: any FileTree

    /// The modules of a host.
    public init(files: any FileTree) { self.files = files }

    /// Whether the kernel has a module: loaded, built in or to be loaded; nil when that cannot be told.
    ///
    /// Throws when files that are there cannot be read.
    public func has(_ name: String) throws(PCIError) -> Bool? {
        let file = name.replacing("-", with: "_")
        if try files.entries("/sys/module/\(file)") != nil { return true }
        guard let release = try files.text("/proc/sys/kernel/osrelease") else { return nil }
        // The list of modules is long, and the agent asks at each look: where they usually are is looked at first.
        let usual = try files.entries("/lib/modules/\(release)/kernel/drivers/vfio/pci") ?? []
        if usual.contains(where: { $0.hasPrefix("\(name).ko") }) { return true }
        var isKnown = false
        for list in ["modules.dep", "modules.builtin"] {
            guard let bytes = try files.contents("/lib/modules/\(release)/\(list)", limit: 1 << 22) else { continue }
            isKnown = true
            // …/vfio-pci.ko.xz: …
            if bytes.firstRange(of: Array("/\(name).ko".utf8)) != nil { return true }
        }
        return isKnown ? false : nil
    }
}

/// What libvirt writes down of a VF before it sets it, and sets again when its domain ends
/// (virHostdevSaveNetConfig in src/hypervisor/virhostdev.c).
public enum LibvirtRecords {
    /// Where the records are.
    public static let folder = "/run/libvirt/hostdevmgr"

    /// The VF that a record is of: `PORT_vfN`.
    public static func function(_ name: String, on host: Host) -> Function? {
        guard let mark = name.firstRange(of: "_vf"), let index = Int(name[mark.upperBound...]) else { return nil }
        let port = name[..<mark.lowerBound]
        return host.functions.first { $0.index == index && $0.physicalFunctionName.map { $0[...] } == port }
    }
}

/// The programs that configure links, as they themselves have written down.
package enum LinkManagers {
    /// A manager's unit, its folder with a file a link, named by its index, and how the lines begin that say that it
    /// configures the link (nm_config_device_state_write in NetworkManager, link_save in systemd-networkd).
    private static let kinds: [(unit: String, folder: String, lines: [String])] = [
        ("NetworkManager", "/run/NetworkManager/devices", ["connection-uuid="]),
        ("systemd-networkd", "/run/systemd/netif/links", ["ADMIN_STATE=configured", "ADMIN_STATE=configuring"]),
    ]
    /// Where systemd keeps a link for each unit that runs. The files of a manager stay when it ends.
    package static let running = "/run/systemd/units"

    package static func mark(of manager: String) -> String { "invocation:\(manager).service" }

    /// The managers that run, with the links that they configure and the lines that say so. Only some links are looked at,
    /// unless none are given: hosts with containers have thousands.
    package static func byFolder(
        _ files: any FileTree, links wanted: Set<Int32>? = nil
    ) throws(PCIError) -> [(manager: String, folder: String, links: [(index: Int32, line: String)])] {
        var found: [(manager: String, folder: String, links: [(index: Int32, line: String)])] = []
        guard wanted?.isEmpty != true else { return found }
        let units = try files.entries(running) ?? []
        for (unit, folder, beginnings) in kinds where units.contains(mark(of: unit)) {
            var links: [(index: Int32, line: String)] = []
            var indexes = wanted ?? []
            if wanted == nil { indexes = Set((try files.entries(folder) ?? []).compactMap { Int32($0) }) }
            for index in indexes.sorted() {
                let lines = (try files.text("\(folder)/\(index)") ?? "").split(separator: "\n")
                let line = lines.first { line in beginnings.contains { line.hasPrefix($0) } }
                if let line { links.append((index, String(line))) }
            }
            if !links.isEmpty { found.append((unit, folder, links)) }
        }
        return found
    }
}

/// What the audit daemon has written down: where it runs, denials are not in the kernel's log.
public enum AuditLog {
    private static let path = "/var/log/audit/audit.log"
    /// How much of it is looked at, bytes from its end.
    private static let limit = 1 << 20

    /// The denials since the host was booted that concern VFs, oldest first; empty where they cannot be read.
    public static func denials() -> [String] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        if lseek(descriptor, -off_t(limit), SEEK_END) < 0 { lseek(descriptor, 0, SEEK_SET) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < 2 * limit {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        var (now, up) = (timespec(), timespec())
        clock_gettime(CLOCK_REALTIME, &now)
        clock_gettime(CLOCK_BOOTTIME, &up)
        return denials(in: String(decoding: bytes, as: UTF8.self), since: now.tv_sec - up.tv_sec)
    }

    /// The denials of a log since a time, in seconds since 1970.
    package static func denials(in text: String, since boot: Int) -> [String] {
        text.split(separator: "\n").filter { line in
            // type=AVC msg=audit(1700000000.123:45): apparmor="DENIED" …
            guard line.hasPrefix("type=AVC "), line.contains("apparmor=\"DENIED\"") || line.contains("avc:  denied"),
                let mark = line.firstRange(of: "msg=audit("),
                let time = Int(line[mark.upperBound...].prefix { $0 != "." && $0 != ":" })
            else { return false }
            return time >= boot && RelevantLog.isRelevant(String(line))
        }.map { line in
            // What the daemon appends for people (log_format = ENRICHED) begins with a group separator.
            String(line.prefix { $0 != "\u{1d}" })
        }
    }
}

/// What was said on this host since it was booted that concerns VFs: by the kernel, whose log is a ring and is continued
/// into the past by the journal, and by the audit daemon.
public enum HostLog {
    /// The messages, each kind oldest first; empty where they cannot be read.
    public static func lines() -> [String] {
        KernelLog.sinceBoot(where: RelevantLog.isRelevant) + AuditLog.denials()
    }
}

/// The kernel's messages that faults are told from.
public enum RelevantLog {
    /// Where a recorded host has them, a line each.
    public static let path = "/sys/kernel/log/lines"

    private static let words = [
        "sr-iov", "vfs ", "mmio resources", "iommu", "dmar", "amd-vi", "interrupt remapping", "vfio", "/dev/vfio",
        "lockdown:", "rlimit_memlock", "sriov",
    ]

    /// Whether a message concerns VFs, IOMMUs, or what keeps programs from them.
    public static func isRelevant(_ line: String) -> Bool {
        let lower = line.lowercased()
        return words.contains(where: lower.hasBytes) || isRename(line)
    }

    /// Of a card's netdev: `igb 0000:01:00.0 ens10: renamed from eth0`. Those of containers' own have no address.
    public static func isRename(_ line: String) -> Bool {
        guard line.hasBytes(of: ": renamed from "), let mark = line.firstRange(of: ": renamed from ") else {
            return false
        }
        return line[..<mark.lowerBound].split(separator: " ").contains { PCIAddress(String($0)) != nil }
    }
}
