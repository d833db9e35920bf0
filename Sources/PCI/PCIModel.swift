/// What a PCI function is: `8086:1521`.
public struct PCIModel: Sendable, Hashable {
    /// The vendor's number.
    public let vendor: UInt16
    /// The vendor's number of the device.
    public let device: UInt16

    /// Makes a model of its two numbers.
    public init(vendor: UInt16, device: UInt16) {
        self.vendor = vendor
        self.device = device
    }
}

extension PCIModel: LosslessStringConvertible {
    /// Parses `VVVV:DDDD`, four hexadecimal digits each. Anything else is nil.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.utf8.count == 4 }),
            let vendor = hexadecimal(parts[0]), let device = hexadecimal(parts[1])
        else { return nil }
        self.init(vendor: UInt16(vendor), device: UInt16(device))
    }

    /// `VVVV:DDDD` in lower-case hexadecimal digits.
    public var description: String { "\(fourDigits(vendor)):\(fourDigits(device))" }
}

/// The class code of a PCI function: base class, subclass and programming interface.
public struct PCIClass: Sendable, Hashable {
    /// 24 bits, `0x020000` for an Ethernet controller.
    public let rawValue: UInt32

    /// Makes a class of its 24 bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue & 0xff_ffff }

    /// The base class, 0x02 for network controllers.
    public var base: UInt8 { UInt8(rawValue >> 16) }
    /// Base class and subclass, 0x0200 for Ethernet controllers.
    public var subclass: UInt16 { UInt16(rawValue >> 8) }

    /// Whether it is a network controller, or an InfiniBand one (0x0c06, or 0x0207).
    public var isNetwork: Bool { base == 0x02 || subclass == 0x0c06 }
    /// Whether it is a mass-storage controller.
    public var isStorage: Bool { base == 0x01 }
    /// Whether it is an NVMe controller.
    public var isNVMe: Bool { subclass == 0x0108 }
    /// Whether it is a display controller or a processing accelerator.
    public var isAccelerator: Bool { base == 0x03 || base == 0x12 }
    /// Whether it is a bridge, which cannot be assigned.
    public var isBridge: Bool { base == 0x06 }
}

/// A number as four lower-case hexadecimal digits.
package func fourDigits(_ value: UInt16) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: 4 - text.utf8.count) + text
}
