internal import Glibc
internal import PCI

/// What AppArmor lets a domain's QEMU open, as far as that concerns paths of device nodes.
///
/// libvirt writes a profile for each domain before QEMU starts (virt-aa-helper), and that includes what an administrator
/// has written. The syntax is that of apparmor.d(5).
struct AppArmorProfile {
    private static let folder = "/etc/apparmor.d"
    /// More files than any profile includes; a circle of includes ends here.
    private static let maximumFiles = 200

    private struct Rule {
        var path: String
        var isDenied: Bool
    }

    /// The rules that let something be read and written, and those that forbid one of the two.
    private var rules: [Rule] = []
    /// Whether what is forbidden is only logged.
    private(set) var isComplaining = false

    /// Reads the profile of a domain; nil when there is none, so that nothing can be said.
    init?(ofDomain uuid: String, files: any FileTree = LiveFileTree()) {
        self.init("libvirt/libvirt-\(uuid)", files)
    }

    /// Reads a profile below `/etc/apparmor.d` with all that it includes; nil when it cannot be read.
    init?(_ name: String, _ files: any FileTree) {
        var waiting = [name]
        var known: Set<String> = [name]
        while let next = waiting.popLast() {
            let path = "\(Self.folder)/\(next)"
            guard let text = (try? files.wholeText(path)) ?? nil else {
                if next == name { return nil }
                // A folder stands for all of its files, but for hidden ones and those that editors leave.
                let entries = ((try? files.entries(path)) ?? nil) ?? []
                let included = entries.filter { !$0.hasPrefix(".") && !$0.hasSuffix("~") }.map { "\(next)/\($0)" }
                for name in included where known.count < Self.maximumFiles && known.insert(name).inserted {
                    waiting.append(name)
                }
                continue
            }
            for line in text.split(separator: "\n") {
                let line = line.trimmingPrefix { $0.isWhitespace }
                if let included = Self.include(line) {
                    if known.count < Self.maximumFiles, known.insert(included).inserted { waiting.append(included) }
                } else if line.hasPrefix("profile "), line.contains("complain") {
                    isComplaining = true
                } else if let rule = Self.rule(line) {
                    rules.append(rule)
                }
            }
        }
    }

    /// Whether QEMU may read and write a path.
    func allows(_ path: String) -> Bool {
        isComplaining || !denies(path) && rules.contains { !$0.isDenied && Self.matches($0.path, path) }
    }

    /// Whether a rule forbids it, whatever else is allowed.
    func denies(_ path: String) -> Bool {
        !isComplaining && rules.contains { $0.isDenied && Self.matches($0.path, path) }
    }

    /// `#include <x>`, `include <x>`, `include if exists <x>`
    private static func include(_ line: Substring) -> String? {
        guard line.hasPrefix("#include") || line.hasPrefix("include"),
            let start = line.firstIndex(where: { $0 == "<" || $0 == "\"" }),
            let end = line.lastIndex(where: { $0 == ">" || $0 == "\"" }), start < end
        else { return nil }
        let name = line[line.index(after: start)..<end]
        return String(name.hasPrefix(folder + "/") ? name.dropFirst(folder.utf8.count + 1) : name)
    }

    /// `[audit] [deny] [owner] PATH PERMISSIONS,`
    private static func rule(_ line: Substring) -> Rule? {
        var words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
        guard let last = words.last, last.hasSuffix(","), words.count <= 6 else { return nil }
        words[words.count - 1] = last.dropLast()
        let isDenied = words.contains("deny")
        words.removeAll { ["audit", "deny", "allow", "owner", "file"].contains($0) }
        guard words.count == 2 else { return nil }
        let path = words[0].filter { $0 != "\"" }
        guard path.hasPrefix("/") else { return nil }
        let (reads, writes) = (words[1].contains("r"), words[1].contains("w"))
        return isDenied
            ? reads || writes ? Rule(path: path, isDenied: true) : nil
            : reads && writes ? Rule(path: path, isDenied: false) : nil
    }

    /// `*` ends at a slash, `**` does not, and `{a,b}` is one of several.
    private static func matches(_ pattern: String, _ path: String) -> Bool {
        guard let open = pattern.firstIndex(of: "{"), let close = pattern[open...].firstIndex(of: "}") else {
            return fnmatch(pattern, path, pattern.contains("**") ? 0 : FNM_PATHNAME) == 0
        }
        let (before, after) = (pattern[..<open], pattern[pattern.index(after: close)...])
        return pattern[pattern.index(after: open)..<close].split(separator: ",", omittingEmptySubsequences: false)
            .contains { matches("\(before)\($0)\(after)", path) }
    }
}
