internal import CLinux
internal import Glibc

/// The names of vendors and devices from pci.ids (Debian package pci.ids). Without the file, numbers.
public struct PCINames: Sendable {
    private var vendors: [UInt16: String] = [:]
    private var devices: [PCIModel: String] = [:]

    /// Where distributions keep the file.
    public static let paths = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/var/lib/pciutils/pci.ids"]

    /// No names at all.
    public init() {}

    /// Takes the names of some models out of the file's bytes. It has 40,000 lines, so they are not walked: a vendor's
    /// line is searched for, and a device's among those that follow it.
    public init(_ bytes: [UInt8], for models: some Sequence<PCIModel>) {
        bytes.withUnsafeBytes { buffer in
            let text = Text(bytes: buffer)
            for (vendor, models) in Dictionary(grouping: Set(models), by: \.vendor) {
                guard let line = text.restOfLine(after: fourDigits(vendor), in: 0..<buffer.count) else { continue }
                vendors[vendor] = text.name(at: line)
                let section = line..<text.endOfSection(after: line)
                for model in models {
                    devices[model] = text.restOfLine(after: "\t" + fourDigits(model.device), in: section).map(text.name)
                }
            }
        }
    }

    /// Reads the first of the usual files that is there.
    public static func load(for models: some Sequence<PCIModel>, files: any FileTree) -> PCINames {
        for path in paths {
            // Names are a convenience: a file that cannot be read is as good as none.
            if let bytes = try? files.contents(path, limit: 8 << 20) { return PCINames(bytes, for: models) }
        }
        return PCINames()
    }

    /// The vendor's name, or its number.
    public func vendor(_ vendor: UInt16) -> String { vendors[vendor] ?? fourDigits(vendor) }

    /// The device's name, or its number.
    public func device(_ model: PCIModel) -> String { devices[model] ?? fourDigits(model.device) }

    /// Vendor and device in a few words: "Intel 82576 Gigabit Network Connection", or `8086:10c9`.
    public func shortName(_ model: PCIModel) -> String {
        guard let vendor = vendors[model.vendor], let device = devices[model] else { return model.description }
        // "Intel Corporation" and the like add nothing.
        let noise: Set<String> = [
            "Corporation", "Corp.", "Corp", "Inc.", "Inc", "Co.", "Co.,", "Ltd", "Ltd.", "Limited", "Technologies",
            "Technology", "Semiconductor", "Electronics", "Group",
        ]
        var words = vendor.split(separator: " ").map(String.init)
        while words.count > 1, let last = words.last, noise.contains(last) { words.removeLast() }
        let first = words.joined(separator: " ").filter { $0 != "," }
        return "\(first) \(device)"
    }

    /// The file's text: a vendor's line begins with its number, below it those of its devices with a tab, below each of
    /// them those of its subsystems with two.
    private struct Text {
        let bytes: UnsafeRawBufferPointer

        /// Where the line that begins with a word and a blank goes on, searched for in a range of whole lines.
        func restOfLine(after word: String, in range: Range<Int>) -> Int? {
            let line = Array("\n\(word) ".utf8)
            guard let start = bytes.baseAddress else { return nil }
            // The first line of all has no end of another before it.
            if range.lowerBound == 0, bytes.starts(with: line.dropFirst()) { return line.count - 1 }
            return memmem(start + range.lowerBound, range.count, line, line.count).map {
                UnsafeRawPointer($0) - start + line.count
            }
        }

        /// Where the next line begins that is neither a device's nor a subsystem's, a comment or empty.
        func endOfSection(after position: Int) -> Int {
            var position = position
            while let newline = newline(after: position) {
                position = newline + 1
                guard position < bytes.count else { break }
                let first = bytes[position]
                if first != UInt8(ascii: "\t"), first != UInt8(ascii: "#"), first != UInt8(ascii: "\n") {
                    return newline
                }
            }
            return bytes.count
        }

        /// The rest of a line.
        func name(at position: Int) -> String {
            let rest = bytes[position..<(newline(after: position) ?? bytes.count)].drop { $0 == 0x20 || $0 == 0x09 }
            // A hostile file must not reach the terminal as control characters.
            return String(decoding: rest.filter { $0 >= 0x20 && $0 != 0x7f }, as: UTF8.self)
        }

        private func newline(after position: Int) -> Int? {
            guard let start = bytes.baseAddress else { return nil }
            return memchr(start + position, 10, bytes.count - position).map { UnsafeRawPointer($0) - start }
        }
    }
}
