internal import Glibc
public import PCI
internal import Synchronization

/// The files of a recorded host, in umockdev's text format.
///
/// A blank line ends a device; `P:` is its path, `A:` an attribute, `L:` a link, `H:` an attribute in hexadecimal,
/// `E:`, `N:` and `S:` what udev knows. A snapshot has devices in the same form for what umockdev does not record:
/// `/kernel/iommu_groups/…`, `/proc/…`, `/netlink/…`.
public struct RecordedTree: FileTree {
    /// The largest recording that is read, bytes.
    public static let maximumSize = 256 << 20

    private let blocks: [String: Block]
    /// Where each PCI function is: `/devices/pci0000:00/…/0000:04:00.0`.
    private let functions: [String: String]
    /// Where each netdev is.
    private let netdevs: [String: String]
    /// The names below every folder that is not itself an attribute: children of device paths.
    private let children: [String: Set<String>]

    /// Reads a recording. Throws `snapshot.malformed` with the line's number.
    public init(_ bytes: [UInt8]) throws(SRIOVError) {
        guard bytes.count <= Self.maximumSize else {
            throw SRIOVError(.badRecording, "the recording is larger than \(Self.maximumSize >> 20) MiB")
        }
        var blocks: [String: Block] = [:]
        var functions: [String: String] = [:]
        var netdevs: [String: String] = [:]
        var children: [String: Set<String>] = [:]
        var lines = Lines(bytes)
        var path: String?
        var start = 0
        func finish(at end: Int) {
            guard let path else { return }
            blocks[path] = Block(bytes[start..<end])
        }
        while let (line, number) = lines.next() {
            guard line.count > 0 else {
                finish(at: line.startIndex)
                path = nil
                continue
            }
            guard line.count >= 3, line[line.startIndex + 1] == UInt8(ascii: ":"), Self.isKind(line[line.startIndex])
            else {
                if line.first == UInt8(ascii: "#") || line.first == UInt8(ascii: "@") { continue }
                throw SRIOVError(
                    .badRecording, "line \(number) is not of the form \"X: …\" with X one of P, A, E, L, H, N, S",
                    remedy: "a recording is made by sluice snapshot or umockdev-record")
            }
            if line[line.startIndex] == UInt8(ascii: "P") {
                finish(at: line.startIndex)
                let text = String(decoding: line.dropFirst(3), as: UTF8.self)
                guard text.hasPrefix("/"), text.utf8.count <= 4096 else {
                    throw SRIOVError(.badRecording, "line \(number): the path does not begin with /")
                }
                path = text
                start = line.endIndex
                let slash = text.utf8.lastIndex(of: UInt8(ascii: "/")) ?? text.startIndex
                let last = String(text[text.utf8.index(after: slash)...])
                guard !last.isEmpty else { continue }
                if PCIAddress(last) != nil { functions[last] = text }
                if text[..<slash].hasSuffix("/net") { netdevs[last] = text }
                Self.addParents(of: text, to: &children)
            } else if path == nil {
                throw SRIOVError(.badRecording, "line \(number) belongs to no device: a P: line comes first")
            }
        }
        finish(at: bytes.count)
        self.blocks = blocks
        self.functions = functions
        self.netdevs = netdevs
        self.children = children
    }

    /// The letters that lines begin with. Recordings have tens of thousands of lines.
    private static func isKind(_ letter: UInt8) -> Bool {
        switch letter {
        case UInt8(ascii: "P"), UInt8(ascii: "A"), UInt8(ascii: "E"), UInt8(ascii: "L"), UInt8(ascii: "H"),
            UInt8(ascii: "N"), UInt8(ascii: "S"), UInt8(ascii: "D"):
            true
        default: false
        }
    }

    private static func addParents(of path: String, to children: inout [String: Set<String>]) {
        var rest = path[...]
        // By bytes: a recording has thousands of paths, and characters are slow.
        while let slash = rest.utf8.lastIndex(of: UInt8(ascii: "/")) {
            let parent = String(rest[..<slash])
            guard children[parent, default: []].insert(String(rest[rest.index(after: slash)...])).inserted else {
                return
            }
            rest = rest[..<slash]
        }
    }

    // MARK: FileTree

    /// See `FileTree`.
    public func bytes(_ path: String) throws(PCIError) -> [UInt8]? { try contents(path, limit: 4096) }

    /// See `FileTree`.
    public func contents(_ path: String, limit: Int) throws(PCIError) -> [UInt8]? {
        guard let (block, rest) = find(path), case .bytes(let bytes) = block.entry(rest) else { return nil }
        return Array(bytes.prefix(limit))
    }

    /// See `FileTree`.
    public func link(_ path: String) throws(PCIError) -> String? {
        if let name = path.suffix(after: "/sys/bus/pci/devices/"), let device = functions[name] {
            return "../../.." + device
        }
        if let name = path.suffix(after: "/sys/class/net/"), let device = netdevs[name] { return "../.." + device }
        guard let (block, rest) = find(path), case .link(let text) = block.entry(rest) else { return nil }
        return text
    }

    /// See `FileTree`.
    public func entries(_ path: String) throws(PCIError) -> [String]? {
        if path == "/sys/bus/pci/devices" { return Array(functions.keys) }
        if path == "/sys/class/net" { return Array(netdevs.keys) }
        if let names = groupEntries(path) { return names }
        let own = resolve(path)
        var names = children[own] ?? []
        if let (block, rest) = find(path) { names.formUnion(block.names(below: rest)) }
        return names.isEmpty ? nil : Array(names)
    }

    /// umockdev does not record /sys/kernel/iommu_groups; the functions' links say the same.
    private func groupEntries(_ path: String) -> [String]? {
        let root = "/sys/kernel/iommu_groups"
        guard path.hasPrefix(root), children["/kernel/iommu_groups"] == nil else { return nil }
        let parts = path.dropFirst(root.utf8.count).split(separator: "/")
        guard parts.isEmpty || (parts.count == 2 && parts[1] == "devices") else { return nil }
        var names: Set<String> = []
        for (address, device) in functions {
            guard case .link(let text) = blocks[device]?.entry("iommu_group"),
                let group = text.split(separator: "/").last
            else { continue }
            if parts.isEmpty {
                names.insert(String(group))
            } else if parts[0] == group {
                names.insert(address)
            }
        }
        return names.isEmpty ? nil : Array(names)
    }

    /// The path as recorded: without /sys, and with the links of /sys/bus and /sys/class followed.
    private func resolve(_ path: String) -> String {
        for (folder, places) in [("/sys/bus/pci/devices/", functions), ("/sys/class/net/", netdevs)] {
            guard let rest = path.suffix(after: folder) else { continue }
            let end = rest.utf8.firstIndex(of: UInt8(ascii: "/")) ?? rest.endIndex
            guard let device = places[String(rest[..<end])] else { return path }
            return device + rest[end...]
        }
        return path.suffix(after: "/sys") ?? path
    }

    /// The device that a path belongs to, and the rest of the path: an attribute's name, which may have slashes.
    private func find(_ path: String) -> (Block, String)? {
        let resolved = resolve(path)
        var device = resolved[...]
        while true {
            if let block = blocks[String(device)] {
                return (block, String(resolved.utf8[device.endIndex...].drop { $0 == UInt8(ascii: "/") }) ?? "")
            }
            guard let slash = device.utf8.lastIndex(of: UInt8(ascii: "/")), slash != device.startIndex else {
                return nil
            }
            device = device[..<slash]
        }
    }

    // MARK: Devices

    private enum Entry {
        case bytes([UInt8])
        case link(String)
    }

    /// A device's lines, taken apart when it is first asked for: most devices of a recording never are.
    private final class Block: Sendable {
        private let text: ArraySlice<UInt8>
        private let parsed = Mutex<[String: Entry]?>(nil)

        init(_ text: ArraySlice<UInt8>) { self.text = text }

        func entry(_ name: String) -> Entry? { entries { $0[name] } }

        /// The first components of the names below a folder of attributes; below "" all of them.
        func names(below folder: String) -> [String] {
            let prefix = folder.isEmpty ? "" : folder + "/"
            return entries { entries in
                entries.keys.compactMap { name in
                    guard name.hasPrefix(prefix) else { return nil }
                    let rest = name.utf8.dropFirst(prefix.utf8.count).drop { $0 == UInt8(ascii: "/") }
                    let first = rest.prefix { $0 != UInt8(ascii: "/") }
                    return first.isEmpty ? nil : String(first)
                }
            }
        }

        private func entries<Result: Sendable>(_ body: ([String: Entry]) -> Result) -> Result {
            parsed.withLock { parsed in
                let entries = parsed ?? Self.parse(text)
                parsed = entries
                return body(entries)
            }
        }

        private static func parse(_ text: ArraySlice<UInt8>) -> [String: Entry] {
            var entries: [String: Entry] = [:]
            var lines = Lines(text)
            while let (line, _) = lines.next() {
                guard line.count > 3, let equals = line[(line.startIndex + 3)...].firstIndex(of: UInt8(ascii: "="))
                else { continue }
                let name = String(decoding: line[(line.startIndex + 3)..<equals], as: UTF8.self)
                let value = line[(equals + 1)...]
                switch line[line.startIndex] {
                case UInt8(ascii: "A"): entries[name] = .bytes(unescaped(value))
                case UInt8(ascii: "H"): entries[name] = .bytes(decodedHexadecimal(value))
                case UInt8(ascii: "L"): entries[name] = .link(String(decoding: value, as: UTF8.self))
                default: break
                }
            }
            return entries
        }

        private static func unescaped(_ value: ArraySlice<UInt8>) -> [UInt8] {
            guard value.contains(UInt8(ascii: "\\")) else { return Array(value) }
            var bytes: [UInt8] = []
            var isEscaped = false
            for byte in value {
                if isEscaped {
                    bytes.append(byte == UInt8(ascii: "n") ? 10 : byte)
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else {
                    bytes.append(byte)
                }
            }
            return bytes
        }

        /// Pairs of digits up to the first that is none.
        private static func decodedHexadecimal(_ value: ArraySlice<UInt8>) -> [UInt8] {
            var bytes: [UInt8] = []
            bytes.reserveCapacity(value.count / 2)
            var index = value.startIndex
            while index + 1 < value.endIndex, let high = hexadecimalDigit(value[index]),
                let low = hexadecimalDigit(value[index + 1])
            {
                bytes.append(high << 4 | low)
                index += 2
            }
            return bytes
        }

        private static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
            default: nil
            }
        }
    }
}

/// The lines of a text, without their newlines, and their numbers from 1.
struct Lines {
    private let text: ArraySlice<UInt8>
    private var position: Int
    private var number = 0

    init(_ text: some Collection<UInt8>) {
        self.text = ArraySlice(text)
        position = self.text.startIndex
    }

    mutating func next() -> (line: ArraySlice<UInt8>, number: Int)? {
        guard position < text.endIndex else { return nil }
        let rest = text[position...]
        // memchr, because recordings have megabytes and most of their lines are passed over.
        let length = rest.withUnsafeBytes { bytes -> Int in
            guard let start = bytes.baseAddress, let newline = memchr(start, 10, bytes.count) else {
                return bytes.count
            }
            return UnsafeRawPointer(newline) - start
        }
        number += 1
        defer { position += length + 1 }
        return (rest[position..<(position + length)], number)
    }
}

extension String {
    /// What follows a prefix; nil when the text does not begin with it.
    func suffix(after prefix: String) -> String? {
        hasPrefix(prefix) ? String(utf8.dropFirst(prefix.utf8.count)) : nil
    }
}
