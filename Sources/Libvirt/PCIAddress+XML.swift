public import PCI

extension PCIAddress {
    /// An address as libvirt writes it: `<address domain='0x0000' bus='0x41' slot='0x10' function='0x2'/>`. nil when
    /// something is missing or out of range.
    public init?(_ element: XMLElement) {
        func number(_ name: String) -> UInt32? {
            guard let text = element[name] else { return name == "domain" ? 0 : nil }
            return text.hasPrefix("0x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text)
        }
        guard let domain = number("domain"), let bus = number("bus").flatMap({ UInt8(exactly: $0) }),
            let device = number("slot"), device < 32, let function = number("function"), function < 8
        else { return nil }
        self.init(domain: domain, bus: bus, device: UInt8(device), function: UInt8(function))
    }

    /// The address as libvirt writes it.
    public var element: XMLElement {
        func text(_ value: some BinaryInteger, digits: Int) -> String {
            let number = String(UInt64(value), radix: 16)
            return "0x" + String(repeating: "0", count: max(0, digits - number.count)) + number
        }
        return XMLElement(
            "address",
            [
                "type": "pci", "domain": text(domain, digits: 4), "bus": text(bus, digits: 2),
                "slot": text(device, digits: 2), "function": text(function, digits: 1),
            ])
    }
}
