/// A link-layer address of any length: 6 bytes on Ethernet, 20 on InfiniBand (at most 32, MAX_ADDR_LEN).
public struct HardwareAddress: Sendable, Hashable {
    /// The bytes in the order they are sent.
    public let bytes: [UInt8]

    /// Keeps at most the first 32 bytes.
    public init(bytes: some Collection<UInt8>) {
        self.bytes = Array(bytes.prefix(32))
    }

    /// The address as an Ethernet one, when it has six bytes.
    public var mac: MACAddress? { bytes.count == 6 ? MACAddress(bytes: bytes) : nil }
}

extension HardwareAddress: CustomStringConvertible {
    /// Lower-case pairs of hexadecimal digits separated by colons.
    public var description: String { hexadecimalPairs(bytes) }
}

/// An InfiniBand globally unique identifier (node or port GUID of a VF).
public struct GUID: Sendable, Hashable {
    /// The number in host byte order, as rtnetlink carries it.
    public let rawValue: UInt64

    /// Makes a GUID of a number in host byte order.
    public init(rawValue: UInt64) { self.rawValue = rawValue }
}

extension GUID: LosslessStringConvertible {
    /// Parses eight pairs of hexadecimal digits separated by colons. Anything else is nil.
    public init?(_ text: some StringProtocol) {
        let pairs = text.split(separator: ":", omittingEmptySubsequences: false)
        guard pairs.count == 8, pairs.allSatisfy({ $0.utf8.count == 2 }) else { return nil }
        var value: UInt64 = 0
        for character in pairs.joined().utf8 {
            guard let digit = hexadecimalValue(character) else { return nil }
            value = value << 4 | UInt64(digit)
        }
        rawValue = value
    }

    /// Eight lower-case pairs of hexadecimal digits separated by colons, most significant first.
    public var description: String {
        hexadecimalPairs((0..<8).map { UInt8(truncatingIfNeeded: rawValue >> (56 - 8 * UInt64($0))) })
    }
}
