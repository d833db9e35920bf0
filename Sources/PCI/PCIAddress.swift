/// A PCI function's address, `0000:04:10.2`: domain, bus, device and function.
///
/// The domain has 32 bits because VMD and Hyper-V number theirs above 0xffff.
public struct PCIAddress: Sendable, Hashable, Comparable {
    /// The domain (segment).
    public let domain: UInt32
    /// The bus.
    public let bus: UInt8
    /// The device, 0…31.
    public let device: UInt8
    /// The function, 0…7.
    public let function: UInt8

    /// Makes an address; nil when the device is above 31 or the function above 7.
    public init?(domain: UInt32 = 0, bus: UInt8, device: UInt8, function: UInt8) {
        guard device < 32, function < 8 else { return nil }
        self.domain = domain
        self.bus = bus
        self.device = device
        self.function = function
    }

    /// The routing identifier: bus, device and function in 16 bits.
    public var routingID: UInt16 { UInt16(bus) << 8 | UInt16(device) << 3 | UInt16(function) }

    /// The address of the VF with an index: routing identifier + offset + index × stride, carried into the bus number
    /// (PCIe SR-IOV, First VF Offset and VF Stride). Nil when it lies beyond the domain's last bus.
    public func virtualFunction(_ index: Int, offset: Int, stride: Int) -> PCIAddress? {
        let (product, overflow) = index.multipliedReportingOverflow(by: stride)
        guard !overflow, index >= 0, (0...0xffff).contains(product), (0...0xffff).contains(offset) else { return nil }
        let identifier = Int(routingID) + offset + product
        guard identifier <= 0xffff else { return nil }
        return PCIAddress(
            domain: domain, bus: UInt8(identifier >> 8), device: UInt8(identifier >> 3 & 31),
            function: UInt8(identifier & 7))
    }

    /// Order by domain, bus, device and function.
    public static func < (left: Self, right: Self) -> Bool {
        (left.domain, left.routingID) < (right.domain, right.routingID)
    }
}

extension PCIAddress: LosslessStringConvertible {
    /// Parses `DDDD:BB:DD.F`; the domain may be left out, and has four to eight digits. Anything else is nil.
    public init?(_ text: some StringProtocol) {
        // By bytes: every name in a recording is tried.
        let text = Substring(text)
        let bytes = text.utf8
        guard let dot = bytes.lastIndex(of: UInt8(ascii: ".")),
            let slot = bytes[..<dot].lastIndex(of: UInt8(ascii: ":"))
        else { return nil }
        let middle = bytes[..<slot].lastIndex(of: UInt8(ascii: ":"))
        let deviceText = text[bytes.index(after: slot)..<dot]
        let busText = text[(middle.map { bytes.index(after: $0) } ?? text.startIndex)..<slot]
        let functionText = text[bytes.index(after: dot)...]
        guard (1...2).contains(deviceText.utf8.count), functionText.utf8.count == 1,
            let device = hexadecimal(deviceText), let function = hexadecimal(functionText),
            (1...2).contains(busText.utf8.count), let bus = hexadecimal(busText), device < 32, function < 8
        else { return nil }
        var domain: UInt32 = 0
        if let middle {
            let text = text[..<middle]
            guard (4...8).contains(text.utf8.count), let value = hexadecimal(text) else { return nil }
            domain = value
        }
        self.init(domain: domain, bus: UInt8(bus), device: UInt8(device), function: UInt8(function))
    }

    /// `DDDD:BB:DD.F` in lower-case hexadecimal digits, as sysfs writes it.
    public var description: String {
        // By hand: the hot path of every listing, and String(format:) would bring Foundation.
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(12)
        var shift: UInt32 = domain > 0xffff ? 28 : 12
        while domain > 0xffff, domain >> shift == 0 { shift -= 4 }
        while true {
            text.append(digits[Int(domain >> shift & 15)])
            if shift == 0 { break }
            shift -= 4
        }
        text.append(UInt8(ascii: ":"))
        text.append(digits[Int(bus >> 4)])
        text.append(digits[Int(bus & 15)])
        text.append(UInt8(ascii: ":"))
        text.append(digits[Int(device >> 4)])
        text.append(digits[Int(device & 15)])
        text.append(UInt8(ascii: "."))
        text.append(digits[Int(function)])
        return String(decoding: text, as: UTF8.self)
    }
}

/// A number of at most eight hexadecimal digits and nothing else.
func hexadecimal(_ text: some StringProtocol) -> UInt32? {
    guard !text.isEmpty, text.utf8.count <= 8 else { return nil }
    var value: UInt32 = 0
    for character in text.utf8 {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(character - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(character - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(character - UInt8(ascii: "A") + 10)
        default: return nil
        }
    }
    return value
}
