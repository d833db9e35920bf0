/// An Ethernet hardware address, `02:5c:00:00:00:01`.
public struct MACAddress: Sendable, Hashable, Comparable {
    /// The six octets, the first one in bits 40…47; bits 48…63 are zero.
    public let rawValue: UInt64

    /// Makes an address of the low 48 bits of a number.
    public init(rawValue: UInt64) {
        self.rawValue = rawValue & 0xffff_ffff_ffff
    }

    /// Takes the first six of the bytes; nil when there are fewer.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count >= 6 else { return nil }
        rawValue = bytes.prefix(6).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The six octets in the order they are sent.
    public var bytes: [UInt8] {
        (0..<6).map { UInt8(truncatingIfNeeded: rawValue >> (40 - 8 * UInt64($0))) }
    }

    /// Whether all octets are zero: so drivers report a VF that has no address assigned by its PF.
    public var isZero: Bool { rawValue == 0 }

    /// Whether the group bit is set; such an address cannot be assigned to an interface.
    public var isMulticast: Bool { rawValue >> 40 & 1 == 1 }

    /// Numeric order of the octets.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension MACAddress: LosslessStringConvertible {
    /// Parses six pairs of hexadecimal digits, all separated by colons or all by hyphens. Anything else is nil.
    public init?(_ text: some StringProtocol) {
        let characters = Array(text.utf8)
        guard characters.count == 17 else { return nil }
        let separator = characters[2]
        guard separator == UInt8(ascii: ":") || separator == UInt8(ascii: "-") else { return nil }
        var value: UInt64 = 0
        for (position, character) in characters.enumerated() {
            if position % 3 == 2 {
                guard character == separator else { return nil }
            } else {
                guard let digit = hexadecimalValue(character) else { return nil }
                value = value << 4 | UInt64(digit)
            }
        }
        rawValue = value
    }

    /// Lower-case pairs of digits separated by colons.
    public var description: String { hexadecimalPairs(bytes) }
}

/// The value of one hexadecimal digit, nil for any other character.
package func hexadecimalValue(_ character: UInt8) -> UInt8? {
    switch character {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
    default: nil
    }
}

/// Bytes as lower-case pairs of hexadecimal digits, separated by colons unless told otherwise.
package func hexadecimalPairs(_ bytes: some Sequence<UInt8>, separator: String = ":") -> String {
    let digits = Array("0123456789abcdef".utf8)
    return bytes.map { byte in
        String(decoding: [digits[Int(byte >> 4)], digits[Int(byte & 15)]], as: UTF8.self)
    }.joined(separator: separator)
}
