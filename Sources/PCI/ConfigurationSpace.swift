/// A function's configuration space, as far as it could be read: 64 bytes for a user, 4096 for root.
public struct ConfigurationSpace: Sendable {
    /// The bytes from offset 0.
    public let bytes: [UInt8]

    /// Wraps the bytes of sysfs's `config`.
    public init(bytes: [UInt8]) { self.bytes = bytes }

    /// The serial number of the extended capability 3, `5c-b9-01-ff-ff-89-c2-84`, most significant byte first;
    /// nil when the device has none or it is all zeros or all ones.
    public var deviceSerialNumber: String? {
        guard let offset = extendedCapability(3), let low = dword(offset + 4), let high = dword(offset + 8) else {
            return nil
        }
        let value = UInt64(high) << 32 | UInt64(low)
        guard value != 0, value != .max else { return nil }
        return (0..<8).map { index -> String in
            let byte = UInt8(truncatingIfNeeded: value >> (56 - 8 * UInt64(index)))
            return byte < 16 ? "0" + String(byte, radix: 16) : String(byte, radix: 16)
        }.joined(separator: "-")
    }

    /// The offset of an extended capability (PCIe base specification, 7.6.3: a list that starts at 0x100).
    func extendedCapability(_ identifier: UInt16) -> Int? {
        var offset = 0x100
        // Each entry is at least four bytes long, so a list that is longer has a loop.
        for _ in 0..<960 {
            guard let header = dword(offset), header != 0, header != .max else { return nil }
            if UInt16(truncatingIfNeeded: header) == identifier { return offset }
            offset = Int(header >> 20) & ~3
            if offset < 0x100 { return nil }
        }
        return nil
    }

    private func dword(_ offset: Int) -> UInt32? {
        guard offset >= 0, offset + 4 <= bytes.count else { return nil }
        return (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
    }
}

/// Vital product data (PCI local bus specification, appendix I): what the board's maker wrote on it.
public struct VitalProductData: Sendable, Hashable {
    /// The product's name.
    public var name: String?
    /// The read-only fields by their two letters: `PN` part number, `SN` serial number, `EC` change level.
    public var fields: [String: String] = [:]

    /// The board's serial number.
    public var serialNumber: String? { fields["SN"] }

    /// Parses the resources; nil when there is neither a name nor a field.
    public init?(_ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            let tag = bytes[offset]
            // A large resource has bit 7 and a 16-bit length, a small one its length in the low three bits.
            guard tag & 0x80 != 0 else {
                if tag >> 3 == 0x0f { break }  // end tag
                offset += 1 + Int(tag & 7)
                continue
            }
            guard offset + 3 <= bytes.count else { break }
            let length = Int(bytes[offset + 1]) | Int(bytes[offset + 2]) << 8
            let body = bytes[(offset + 3)...].prefix(length)
            if tag == 0x82 { name = Self.text(body) }
            if tag == 0x90 { readFields(body) }
            offset += 3 + length
        }
        if name == nil, fields.isEmpty { return nil }
    }

    private mutating func readFields(_ body: ArraySlice<UInt8>) {
        var rest = body
        while rest.count >= 3 {
            let key = Self.text(rest.prefix(2))
            let length = Int(rest[rest.startIndex + 2])
            rest = rest.dropFirst(3)
            // RV is the checksum, the rest of the resource reserved.
            if key != "RV", !key.isEmpty { fields[key] = Self.text(rest.prefix(length)) }
            rest = rest.dropFirst(length)
        }
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        let printable = bytes.filter { (0x20..<0x7f).contains($0) }
        return String(String(decoding: printable, as: UTF8.self).reversed().drop { $0 == " " }.reversed())
    }
}
