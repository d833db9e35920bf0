public import PCI

/// A line of a file below /etc that says who makes VFs, or who may open them.
public struct ConfigurationLine: Sendable, Hashable, CustomStringConvertible {
    /// The file.
    public var path: String
    /// The line's number, from 1.
    public var number: Int
    /// The line, without the blanks around it.
    public var text: String

    /// Makes a line.
    public init(path: String, number: Int, text: String) {
        self.path = path
        self.number = number
        self.text = text
    }

    /// `/etc/netplan/50.yaml:7: virtual-function-count: 4`
    public var description: String { "\(path):\(number): \(text)" }
}

/// The lines of the host's configuration that concern VFs. Nothing else of these files is kept: other lines of theirs may
/// hold passwords.
public enum ConfigurationFiles {
    /// A folder's files by the end of their names, or one file; and the words of which a line has one.
    private static let places: [(path: String, suffix: String?, words: [String])] = [
        ("/etc/systemd/network", ".link", ["sr-iov"]), ("/etc/systemd/network", ".network", ["[sr-iov]"]),
        ("/etc/systemd/system", ".service", ["sriov_numvfs"]),
        ("/etc/netplan", ".yaml", ["virtual-function-count"]),
        ("/etc/NetworkManager/system-connections", ".nmconnection", ["total-vfs"]),
        ("/etc/udev/rules.d", ".rules", ["sriov_numvfs", "vfio"]),
        ("/etc/modprobe.d", ".conf", ["max_vfs", "vfio"]),
        ("/etc/network/interfaces", nil, ["sriov_numvfs"]), ("/etc/network/interfaces.d", "", ["sriov_numvfs"]),
        ("/etc/tmpfiles.d", ".conf", ["sriov_numvfs"]), ("/etc/sysfs.conf", nil, ["sriov_numvfs"]),
        ("/etc/sysfs.d", ".conf", ["sriov_numvfs"]), ("/etc/rc.local", nil, ["sriov_numvfs"]),
        ("/etc/rc.d/rc.local", nil, ["sriov_numvfs"]),
        ("/etc/libvirt/qemu.conf", nil, ["dynamic_ownership", "user"]),
        ("/etc/apparmor.d/local/abstractions/libvirt-qemu", nil, ["/dev/vfio"]),
        ("/etc/apparmor.d/abstractions/libvirt-qemu", nil, ["/dev/vfio"]),
        ("/etc/apparmor.d/abstractions/libvirt-qemu.d", "", ["/dev/vfio"]),
    ]

    /// The lines, in the order of the files, and whether all of the files could be read: netplan's and NetworkManager's are
    /// root's. Comments are none. What may not be read has none.
    public static func read(_ files: any FileTree) -> (lines: [ConfigurationLine], isWhole: Bool) {
        var (lines, isWhole): ([ConfigurationLine], Bool) = ([], true)
        for (path, suffix, words) in places {
            guard let paths = try? paths(path, suffix, files) else {
                isWhole = false
                continue
            }
            for path in paths {
                do throws(PCIError) {
                    lines += try self.lines(of: path, in: files) { line in
                        let lower = line.text.lowercased()
                        return words.contains(where: lower.hasBytes)
                    }
                } catch {
                    isWhole = false
                }
            }
        }
        guard let order = try? UnitFiles.order(of: Set(UnitFiles.makers(lines).keys), files) else {
            return (lines, false)
        }
        return (lines + order, isWhole)
    }

    private static func paths(_ path: String, _ suffix: String?, _ files: any FileTree) throws(PCIError) -> [String] {
        guard let suffix else { return [path] }
        let names = try files.entries(path) ?? []
        return names.filter { $0.hasSuffix(suffix) }.sorted().map { "\(path)/\($0)" }
    }

    /// The lines of a file that are wanted. Throws when it is there and cannot be read.
    static func lines(
        of path: String, in files: any FileTree, where isWanted: (ConfigurationLine) -> Bool
    ) throws(PCIError) -> [ConfigurationLine] {
        let text = try files.wholeText(path) ?? ""
        return text.byteLines.enumerated().compactMap { number, line in
            let line = line.trimmingBlanks
            guard !line.isEmpty, !line.hasPrefix("#"), !line.hasPrefix(";") else { return nil }
            let found = ConfigurationLine(path: path, number: number + 1, text: line)
            return isWanted(found) ? found : nil
        }
    }
}

extension Substring {
    fileprivate var trimmingBlanks: String {
        var text = drop(while: \.isWhitespace)
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}
