internal import Glibc
internal import PCI

/// What AppArmor lets a domain's QEMU open, as far as that concerns paths of device nodes.
///
/// libvirt writes a profile for each domain before QEMU starts (virt-aa-helper), and that includes what an administrator
/// has written. The syntax is that of apparmor.d(5). What is not understood counts in QEMU's favour: a rule that was
/// overlooked would keep a machine from its start, and one that is missing QEMU tells of itself.
struct AppArmorProfile {
    private static let folder = "/etc/apparmor.d"
    /// More files than any profile includes; a circle of includes ends here.
    private static let maximumFiles = 200
    /// Files that the parser leaves out of a folder: editors and package managers leave them.
    private static let leftOut = ["~", ".dpkg-old", ".dpkg-new", ".dpkg-dist", ".orig", ".rej", ".rpmsave", ".rpmnew"]

    /// The patterns of what may be read or written, and of what is forbidden.
    private var allowed: [String] = []
    private var denied: [String] = []
    /// Whether there is something that may allow more than is understood.
    private var isUnclear = false
    /// Whether what is forbidden is only logged.
    private(set) var isComplaining = false

    /// Reads the profile of a domain; nil when there is none, so that nothing can be said.
    init?(ofDomain uuid: String, files: any FileTree = LiveFileTree()) {
        let name = "libvirt/libvirt-\(uuid)"
        var waiting = [name]
        var known: Set<String> = [name]
        while let next = waiting.popLast() {
            let path = next.hasPrefix("/") ? next : "\(Self.folder)/\(next)"
            guard let text = (try? files.wholeText(path)) ?? nil else {
                if next == name { return nil }
                // A folder stands for all of its files.
                for entry in ((try? files.entries(path)) ?? nil) ?? [] where !entry.hasPrefix(".") {
                    guard !Self.leftOut.contains(where: entry.hasSuffix) else { continue }
                    if known.insert("\(next)/\(entry)").inserted { waiting.append("\(next)/\(entry)") }
                }
                continue
            }
            for included in read(text, isProfile: next == name) where known.insert(included).inserted {
                waiting.append(included)
            }
            if known.count > Self.maximumFiles {
                isUnclear = true
                break
            }
        }
    }

    /// Whether QEMU may open a path, as far as that can be told.
    func allows(_ path: String) -> Bool {
        isComplaining || !denies(path) && (isUnclear || allowed.contains { Self.matches($0, path) })
    }

    /// Whether a rule forbids it, whatever else is allowed.
    func denies(_ path: String) -> Bool { !isComplaining && denied.contains { Self.matches($0, path) } }

    /// Takes the rules of a file over, and returns what it includes.
    private mutating func read(_ text: String, isProfile: Bool) -> [String] {
        var includes: [String] = []
        // Rules of a profile within the profile are another program's.
        var depth = isProfile ? -1 : 0
        for line in text.split(separator: "\n") {
            let line = line.trimmingPrefix { $0.isWhitespace }
            if let included = Self.include(line) {
                includes.append(included)
                continue
            }
            let rule = line.prefix { $0 != "#" }
            if rule.hasPrefix("profile "), depth < 0, rule.contains("complain") { isComplaining = true }
            if rule.hasPrefix("profile "), depth < 0, rule.contains("unconfined") { isUnclear = true }
            if rule.last(where: { !$0.isWhitespace }) == "{" { depth += 1 }
            if rule.hasPrefix("}") { depth -= 1 }
            if depth == 0 { take(rule) }
        }
        return includes
    }

    /// `[audit] [deny] [owner] PATH PERMISSIONS,`, the last two in either order.
    private mutating func take(_ rule: Substring) {
        var words = rule.split(whereSeparator: \.isWhitespace)
        guard let last = words.last, last.hasSuffix(",") else { return }
        words[words.count - 1] = last.dropLast()
        let isDenied = words.contains("deny")
        words.removeAll { ["audit", "deny", "allow", "owner", "file"].contains($0) }
        let path = words.first { $0.hasPrefix("/") || $0.hasPrefix("\"/") }
        let permissions = words.first { word in word != path && word.allSatisfy { "rwaklmixpucPUC".contains($0) } }
        if let path, let permissions, words.count == 2, !path.contains("@{") {
            guard permissions.contains(where: { "rw".contains($0) }) else { return }
            let pattern = path.filter { $0 != "\"" }
            if isDenied { denied.append(pattern) } else { allowed.append(pattern) }
        } else if !isDenied, rule.contains("vfio") || rule.contains("/dev/") || words.isEmpty || words == ["all"] {
            // Something about devices that is not understood, or a rule for everything.
            isUnclear = true
        }
    }

    /// `#include <x>`, `include "/x"`, `include if exists <x>`
    private static func include(_ line: Substring) -> String? {
        guard line.hasPrefix("#include") || line.hasPrefix("include"),
            let start = line.firstIndex(where: { $0 == "<" || $0 == "\"" }),
            let end = line.lastIndex(where: { $0 == ">" || $0 == "\"" }), start < end
        else { return nil }
        return String(line[line.index(after: start)..<end])
    }

    /// `*` ends at a slash, `**` does not, and `{a,b}` is one of several.
    private static func matches(_ pattern: String, _ path: String) -> Bool {
        // The innermost braces first: they may stand within others.
        guard let close = pattern.firstIndex(of: "}"), let open = pattern[..<close].lastIndex(of: "{") else {
            return fnmatch(pattern, path, pattern.contains("**") ? 0 : FNM_PATHNAME) == 0
        }
        let (before, after) = (pattern[..<open], pattern[pattern.index(after: close)...])
        return pattern[pattern.index(after: open)..<close].split(separator: ",", omittingEmptySubsequences: false)
            .contains { matches("\(before)\($0)\(after)", path) }
    }
}
