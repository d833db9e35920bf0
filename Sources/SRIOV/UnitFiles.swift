package import PCI

/// What the host's own unit files say of when VFs are made, and when libvirt is started.
package enum UnitFiles {
    /// Where the host has its own.
    package static let folder = "/etc/systemd/system"
    /// libvirt's daemons that start machines and networks by themselves.
    package static let libvirt: Set = ["libvirtd.service", "virtqemud.service", "virtnetworkd.service"]

    /// The units that are started at boot, of those that are ours, libvirt's or named: by the folder that makes systemd
    /// start them.
    package static func started(
        _ files: any FileTree, makers: Set<String>
    ) throws(PCIError) -> [(folder: String, units: [String])] {
        var found: [(folder: String, units: [String])] = []
        for name in (try files.entries(folder) ?? []).sorted()
        where name.hasSuffix(".target.wants") || name.hasSuffix(".target.requires") {
            let units = (try files.entries("\(folder)/\(name)") ?? []).filter { unit in
                unit.hasPrefix("sluice") || libvirt.contains(unit) || makers.contains(unit)
            }.sorted()
            if !units.isEmpty { found.append(("\(folder)/\(name)", units)) }
        }
        return found
    }

    /// The units that some lines of configuration are of, and that make VFs: those in `folder`, and rc.local's.
    package static func makers(_ lines: [ConfigurationLine]) -> [String: ConfigurationLine] {
        var makers: [String: ConfigurationLine] = [:]
        for line in lines where line.text.lowercased().contains("sriov_numvfs") {
            let words = line.path.dropFirst(folder.count + 1)
            if line.path.hasPrefix("\(folder)/"), !words.contains("/") {
                // A description makes none.
                if line.setting?.key.hasPrefix("Exec") ?? false { makers[String(words)] = line }
            } else if line.path.hasSuffix("/rc.local") {
                makers["rc-local.service"] = line
            }
        }
        return makers
    }

    /// The lines of the host's unit files that order others by units that make VFs: what those are `Before=`, and whatever
    /// names them elsewhere.
    package static func order(of makers: Set<String>, _ files: any FileTree) throws(PCIError) -> [ConfigurationLine] {
        guard !makers.isEmpty else { return [] }
        var lines: [ConfigurationLine] = []
        for name in (try files.entries(folder) ?? []).sorted() {
            // UNIT, or the drop-ins of one: UNIT.d/NAME.conf.
            let isFolder = name.hasSuffix(".d")
            guard isFolder || [".service", ".target", ".socket"].contains(where: name.hasSuffix) else { continue }
            let paths =
                isFolder
                ? (try files.entries("\(folder)/\(name)") ?? []).filter { $0.hasSuffix(".conf") }.sorted()
                    .map { "\(folder)/\(name)/\($0)" }
                : ["\(folder)/\(name)"]
            let isMaker = makers.contains(isFolder ? String(name.dropLast(2)) : name)
            for path in paths {
                lines += ConfigurationFiles.lines(of: path, in: files) { line in
                    isMaker && line.setting?.key == "Before" || !isMaker && makers.contains(where: line.text.contains)
                }
            }
        }
        return lines
    }
}

extension ConfigurationLine {
    /// The line as `KEY = VALUE`, as systemd reads it; nil when it is none.
    package var setting: (key: Substring, value: Substring)? {
        guard let mark = text.firstIndex(of: "=") else { return nil }
        let key = text[..<mark]
        return (key.prefix { !$0.isWhitespace }, text[text.index(after: mark)...].drop(while: \.isWhitespace))
    }
}
