package import PCI

/// What the host's own unit files say of when VFs are made, and when libvirt is started.
package enum UnitFiles {
    /// Where the host has its own.
    package static let folder = "/etc/systemd/system"
    /// libvirt's daemons that start machines and networks by themselves.
    package static let libvirt: Set = ["libvirtd.service", "virtqemud.service", "virtnetworkd.service"]
    /// Where systemd's generator has put rc.local's unit, if the script is one that may be run.
    private static let generated = "/run/systemd/generator/multi-user.target.wants"
    private static let scriptUnit = "rc-local.service"
    /// What libvirt starts by itself, a link each. The network `default` has no VFs.
    package static let autostart = ["/etc/libvirt/qemu/autostart", "/etc/libvirt/qemu/networks/autostart"]

    /// The units that are started at boot, of those that are ours, libvirt's or named: by the folder that makes systemd
    /// start them. What is masked is not.
    package static func started(
        _ files: any FileTree, makers: Set<String>
    ) throws(PCIError) -> [(folder: String, units: [String])] {
        var found: [(folder: String, units: [String])] = []
        let folders = (try files.entries(folder) ?? []).sorted().filter {
            $0.hasSuffix(".target.wants") || $0.hasSuffix(".target.requires")
        }.map { "\(folder)/\($0)" }
        for wants in folders + (makers.contains(scriptUnit) ? [generated] : []) {
            var units: [String] = []
            for unit in (try files.entries(wants) ?? []).sorted() {
                guard unit.hasPrefix("sluice") || libvirt.contains(unit) || makers.contains(unit),
                    try files.link("\(folder)/\(unit)") != "/dev/null"
                else { continue }
                units.append(unit)
            }
            if !units.isEmpty { found.append((wants, units)) }
        }
        return found
    }

    /// The names of what libvirt starts by itself, by folder.
    package static func autostarted(_ files: any FileTree) throws(PCIError) -> [(folder: String, names: [String])] {
        var found: [(folder: String, names: [String])] = []
        for folder in autostart {
            let names = (try files.entries(folder) ?? []).filter { $0.hasSuffix(".xml") && $0 != "default.xml" }
                .sorted()
            if !names.isEmpty { found.append((folder, names)) }
        }
        return found
    }

    /// The units that some lines of configuration are of, and that make VFs, with the line that does: those in `folder`, and
    /// rc.local's.
    package static func makers(_ lines: [ConfigurationLine]) -> [String: ConfigurationLine] {
        var makers: [String: ConfigurationLine] = [:]
        for line in lines where line.writesCount {
            let name = String(line.path.dropFirst(folder.count + 1))
            if line.path.hasPrefix("\(folder)/"), !name.contains("/") {
                // What is done at its end makes none.
                guard ["ExecStart", "ExecStartPre", "ExecStartPost"].contains(line.setting?.key) else { continue }
                makers[name] = makers[name] ?? line
            } else if line.path.hasSuffix("/rc.local") {
                makers[scriptUnit] = makers[scriptUnit] ?? line
            }
        }
        return makers
    }

    /// The lines of the host's unit files that order others by units that make VFs: what those are `Before=` and `After=`,
    /// and which order others by them. Of what makes VFs also the lines that have to do with libvirt themselves.
    ///
    /// Throws when one of the files cannot be read: what it says is not known.
    package static func order(of makers: Set<String>, _ files: any FileTree) throws(PCIError) -> [ConfigurationLine] {
        guard !makers.isEmpty else { return [] }
        var lines: [ConfigurationLine] = []
        for path in try paths(files) {
            let name = path.dropFirst(folder.count + 1).split(separator: "/").first.map(String.init) ?? ""
            let isMaker = makers.contains(name.hasSuffix(".d") ? String(name.dropLast(2)) : name)
            lines += try ConfigurationFiles.lines(of: path, in: files) { line in
                isMaker
                    ? line.isOrder || line.startsLibvirt
                    : (line.isOrder || line.setting == nil) && makers.contains(where: line.text.contains)
            }
        }
        if makers.contains(scriptUnit) {
            for path in ["/etc/rc.local", "/etc/rc.d/rc.local"] {
                lines += try ConfigurationFiles.lines(of: path, in: files, where: \.startsLibvirt)
            }
        }
        return lines
    }

    /// The host's unit files: UNIT, and UNIT.d/NAME.conf.
    private static func paths(_ files: any FileTree) throws(PCIError) -> [String] {
        var paths: [String] = []
        for name in (try files.entries(folder) ?? []).sorted() {
            if name.hasSuffix(".d") {
                let names = (try files.entries("\(folder)/\(name)") ?? []).filter { $0.hasSuffix(".conf") }.sorted()
                paths += names.map { "\(folder)/\(name)/\($0)" }
            } else if [".service", ".target", ".socket"].contains(where: name.hasSuffix) {
                paths.append("\(folder)/\(name)")
            }
        }
        return paths
    }
}

extension ConfigurationLine {
    /// The line as `KEY = VALUE`, as systemd reads it; nil when it is none.
    package var setting: (key: Substring, value: Substring)? {
        guard let mark = text.firstIndex(of: "=") else { return nil }
        let key = text[..<mark].prefix { !$0.isWhitespace }
        guard !key.isEmpty, key.allSatisfy({ $0.isLetter }) else { return nil }
        return (key, text[text.index(after: mark)...].drop(while: \.isWhitespace))
    }

    /// Whether it says what a unit is ordered by.
    package var isOrder: Bool { ["Before", "After"].contains(setting?.key) }

    /// Whether it writes a number of VFs: one that only reads makes none.
    fileprivate var writesCount: Bool {
        guard let name = text.firstRange(of: "sriov_numvfs") else { return false }
        let before = text[..<name.lowerBound]
        return before.contains(">") || before.contains("tee ") || before.contains("dd ")
    }

    /// Whether it does something with libvirt, so that it has its own way to come before or after.
    package var startsLibvirt: Bool {
        !isOrder && ["virsh", "libvirt", "virtqemud", "systemctl"].contains(where: text.contains)
    }
}
