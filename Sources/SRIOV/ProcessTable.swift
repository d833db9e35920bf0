internal import PCI

/// The host's processes, as far as they hold devices.
struct ProcessTable {
    let files: any FileTree

    /// The numbers of all processes, ascending. Kernel threads are among them: they have no open files.
    func pids() -> [Int32] {
        // /proc that cannot be read shows no process, which the callers report as "no holder known".
        (((try? files.entries("/proc")) ?? nil) ?? []).compactMap { Int32($0) }.sorted()
    }

    /// What a process has open, as paths; empty when it has ended or may not be looked at.
    func openFiles(of pid: Int32) -> Set<String> {
        let folder = "/proc/\(pid)/fd"
        var paths: Set<String> = []
        for descriptor in ((try? files.entries(folder)) ?? nil) ?? [] {
            guard let path = (try? files.link("\(folder)/\(descriptor)")) ?? nil else { continue }
            if path.hasPrefix("anon_inode:[vfio-device]") {
                if let device = vfioDevice("/proc/\(pid)/fdinfo/\(descriptor)") { paths.insert(device) }
            } else if let node = Self.node(path) {
                paths.insert(node)
            }
        }
        return paths
    }

    /// The device node that a path means: `/dev/vfio/32` also where a chroot (`/srv/jail/dev/vfio/32`) or a node that was
    /// removed while it is open (`/dev/vfio/32 (deleted)`) shows it otherwise. nil is another file.
    static func node(_ path: String) -> String? {
        var path = path[...]
        if path.hasSuffix(" (deleted)") { path = path.dropLast(10) }
        if path.hasBytes(of: "/dev/vfio/"), let jailed = path.firstRange(of: "/dev/vfio/") {
            return String(path[jailed.lowerBound...])
        }
        return path.hasPrefix("/dev/") ? String(path) : nil
    }

    /// The function of an open VFIO device whose group is closed already; kernels since 6.17 tell it.
    private func vfioDevice(_ path: String) -> String? {
        let text = ((try? files.wholeText(path)) ?? nil) ?? ""
        return text.split(separator: "\n").first { $0.hasPrefix("vfio-device-syspath:") }
            .flatMap { $0.split(separator: "/").last.map(String.init) }
    }

    /// The name of the program, 15 bytes at most.
    func command(of pid: Int32) -> String {
        ((try? files.text("/proc/\(pid)/comm")) ?? nil) ?? "?"
    }

    /// The domain's name and UUID when the process is a QEMU that libvirt started (`-name guest=NAME,…`).
    func domain(of pid: Int32) -> (name: String, uuid: String?)? {
        guard let bytes = (try? files.contents("/proc/\(pid)/cmdline", limit: 1 << 20)) ?? nil else { return nil }
        let arguments = bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        func value(of option: String) -> String? {
            arguments.firstIndex(of: option).flatMap { arguments.dropFirst($0 + 1).first }
        }
        guard let text = value(of: "-name"),
            let name = text.split(separator: ",").first(where: { $0.hasPrefix("guest=") })?.dropFirst(6)
        else { return nil }
        return (String(name), value(of: "-uuid"))
    }

    /// The container of a process: the 64 hexadecimal digits in its cgroup's path.
    func container(of pid: Int32) -> String? {
        guard let text = (try? files.text("/proc/\(pid)/cgroup")) ?? nil else { return nil }
        for part in text.split(whereSeparator: { "/-.:\n".contains($0) }) {
            if part.utf8.count == 64, part.allSatisfy({ $0.isHexDigit }) { return String(part) }
        }
        return nil
    }
}
