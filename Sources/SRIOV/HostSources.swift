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

/// The units of ours that systemd starts by itself.
package enum StartedUnits {
    private static let targets = ["multi-user", "sysinit", "network", "sockets"]

    /// The units, by the folder of the target that wants them.
    package static func byFolder(_ files: any FileTree) throws(PCIError) -> [(folder: String, units: [String])] {
        var found: [(folder: String, units: [String])] = []
        for target in targets {
            let folder = "/etc/systemd/system/\(target).target.wants"
            let units = (try files.entries(folder) ?? []).filter { $0.hasPrefix("sluice") }.sorted()
            if !units.isEmpty { found.append((folder, units)) }
        }
        return found
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
        return words.contains(where: lower.contains)
    }
}
