internal import Glibc

/// The names of vendors and devices from pci.ids (Debian package pci.ids). Without the file, numbers.
public struct PCINames: Sendable {
    private var vendors: [UInt16: String] = [:]
    private var devices: [PCIModel: String] = [:]

    /// Where distributions keep the file.
    public static let paths = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids", "/var/lib/pciutils/pci.ids"]

    /// No names at all.
    public init() {}

    /// Takes the names of some models out of the file's bytes; the rest of its 40,000 lines is passed over.
    public init(_ bytes: [UInt8], for models: some Sequence<PCIModel>) {
        let wanted = Set(models)
        let wantedVendors = Set(wanted.map(\.vendor))
        bytes.withUnsafeBytes { buffer in
            var vendor: UInt16?
            var start = 0
            while start < buffer.count {
                let rest = UnsafeRawBufferPointer(rebasing: buffer[start...])
                let newline = rest.baseAddress.flatMap { memchr($0, 10, rest.count) }.map(UnsafeRawPointer.init)
                let end = start + (newline.flatMap { end in rest.baseAddress.map { end - $0 } } ?? rest.count)
                defer { start = end + 1 }
                let line = UnsafeRawBufferPointer(rebasing: buffer[start..<end])
                guard let first = line.first, first != 35 else { continue }  // "#"
                if first == 67, line.count > 1, line[1] == 32 { break }  // "C ": the classes follow the vendors
                if first != 9 {
                    vendor = Self.identifier(line, at: 0).flatMap { wantedVendors.contains($0) ? $0 : nil }
                    if let vendor { vendors[vendor] = Self.name(line, from: 4) }
                } else if let vendor, line.count > 1, line[1] != 9, let device = Self.identifier(line, at: 1) {
                    let model = PCIModel(vendor: vendor, device: device)
                    if wanted.contains(model) { devices[model] = Self.name(line, from: 5) }
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

    private static func identifier(_ line: UnsafeRawBufferPointer, at offset: Int) -> UInt16? {
        guard line.count >= offset + 4 else { return nil }
        return hexadecimal(String(decoding: line[offset..<(offset + 4)], as: UTF8.self))
            .map(UInt16.init(truncatingIfNeeded:))
    }

    private static func name(_ line: UnsafeRawBufferPointer, from offset: Int) -> String {
        let rest = line.dropFirst(offset).drop { $0 == 32 || $0 == 9 }
        // A hostile file must not reach the terminal as control characters.
        return String(decoding: rest.filter { $0 >= 0x20 && $0 != 0x7f }, as: UTF8.self)
    }
}
