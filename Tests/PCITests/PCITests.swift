import Testing

@testable import PCI

@Suite struct PCIAddressTests {
    @Test(
        "Addresses are read and written as sysfs does",
        arguments: [
            ("0000:04:10.2", "0000:04:10.2"), ("04:10.2", "0000:04:10.2"), ("0000:ff:1f.7", "0000:ff:1f.7"),
            ("10000:01:00.0", "10000:01:00.0"), ("FFFF:0A:00.0", "ffff:0a:00.0"),
            ("ffffffff:00:00.0", "ffffffff:00:00.0"),
            ("0000:4:0.0", "0000:04:00.0"),
        ])
    func valid(text: String, description: String) {
        #expect(PCIAddress(text)?.description == description)
        #expect(PCIAddress(description)?.description == description)
    }

    @Test(
        "Anything else is none",
        arguments: [
            "", "0000:04:20.0", "0000:04:10.8", "0000:04:10", "000:04:10.0", "0000:104:10.0", "0000:04:10.2.1",
            "g000:04:10.2",
            "0000:04:10.2 ", "0000::10.2", "::.", "123456789:00:00.0", "0000:04:+1.2", "-1:00.0",
        ])
    func invalid(text: String) { #expect(PCIAddress(text) == nil) }

    @Test("A VF's address follows from offset and stride, carried into the bus")
    func virtualFunctions() throws {
        let port = try #require(PCIAddress("0000:04:00.0"))
        #expect(port.virtualFunction(0, offset: 128, stride: 2)?.description == "0000:04:10.0")
        #expect(port.virtualFunction(62, offset: 128, stride: 2)?.description == "0000:04:1f.4")
        #expect(port.virtualFunction(127, offset: 128, stride: 2)?.description == "0000:05:0f.6")
        #expect(port.virtualFunction(0, offset: 4, stride: 1)?.description == "0000:04:00.4")
        #expect(port.virtualFunction(.max, offset: 128, stride: 2) == nil)
        #expect(try #require(PCIAddress("0000:ff:1f.7")).virtualFunction(1, offset: 128, stride: 2) == nil)
    }

    @Test("Models are four digits each")
    func models() {
        #expect(PCIModel("8086:1521")?.description == "8086:1521")
        #expect(PCIModel("0x8086:1521") == nil)
        #expect(PCIModel("8086") == nil)
        #expect(PCIModel("144d:a80A") == PCIModel(vendor: 0x144d, device: 0xa80a))
    }
}

@Suite struct NumberSetTests {
    @Test(
        "Sets are read and written in the kernel's notation",
        arguments: [
            ("0-5,12-17", [0, 1, 2, 3, 4, 5, 12, 13, 14, 15, 16, 17], "0-5,12-17"), ("", [], ""),
            ("6,0-3", [0, 1, 2, 3, 6], "0-3,6"),
            ("1,2,3", [1, 2, 3], "1-3"), ("7\n", [7], "7"),
        ])
    func valid(text: String, numbers: [Int], description: String) throws {
        let set = try #require(NumberSet(text))
        #expect(set.numbers == numbers && set.description == description && set.count == numbers.count)
    }

    @Test(
        "Anything else is none", arguments: ["3-1", "a", "1-", "-1", "1--2", "1,,2", "70000", "0-99999", "+1", "1-2-3"])
    func invalid(text: String) { #expect(NumberSet(text) == nil) }
}

@Suite struct ConfigurationTests {
    private func space(_ entries: [Int: [UInt8]]) -> ConfigurationSpace {
        var bytes = [UInt8](repeating: 0, count: 4096)
        for (offset, part) in entries { bytes.replaceSubrange(offset..<(offset + part.count), with: part) }
        return ConfigurationSpace(bytes: bytes)
    }

    @Test("The serial number is found behind other capabilities")
    func serial() {
        // AER (1) at 0x100 points to 0x140, where the serial number (3) is.
        let space = space([
            0x100: [1, 0, 2, 0x14], 0x140: [3, 0, 1, 0, 0x84, 0xc2, 0x89, 0xff, 0xff, 0x01, 0xb9, 0x5c],
        ])
        #expect(space.deviceSerialNumber == "5c-b9-01-ff-ff-89-c2-84")
    }

    @Test("A list that loops, leads outside or is cut off has no serial number")
    func hostile() {
        #expect(space([0x100: [1, 0, 1, 0x10]]).deviceSerialNumber == nil)
        #expect(space([0x100: [1, 0, 0xf1, 0xff]]).deviceSerialNumber == nil)
        #expect(ConfigurationSpace(bytes: [UInt8](repeating: 0xff, count: 64)).deviceSerialNumber == nil)
        #expect(ConfigurationSpace(bytes: []).deviceSerialNumber == nil)
        #expect(ConfigurationSpace(bytes: [UInt8](repeating: 0xff, count: 4096)).deviceSerialNumber == nil)
    }

    @Test("Vital product data gives name and fields, and ends where it is cut")
    func product() throws {
        let name = Array("Intel(R) X710".utf8)
        let fields: [UInt8] =
            Array("PN".utf8) + [6] + Array("G12345".utf8) + Array("SN".utf8) + [4] + Array("5CB9".utf8)
            + Array("RV".utf8) + [1, 0x55]
        let bytes: [UInt8] = [0x82, UInt8(name.count), 0] + name + [0x90, UInt8(fields.count), 0] + fields + [0x78]
        let data = try #require(VitalProductData(bytes))
        #expect(data.name == "Intel(R) X710" && data.serialNumber == "5CB9" && data.fields["PN"] == "G12345")
        #expect(data.fields["RV"] == nil)
        for length in 0..<bytes.count { _ = VitalProductData(Array(bytes[..<length])) }
        #expect(VitalProductData([0x78]) == nil)
    }
}

@Suite struct PCINamesTests {
    private let text = """
        # comment
        8086  Intel Corporation
        \t10c9  82576 Gigabit Network Connection
        \t\t8086 a03c  Gigabit ET Dual Port Server Adapter
        144d  Samsung Electronics Co Ltd
        \ta80a  NVMe SSD Controller PM9A1/PM9A3/980PRO
        C 02  Network controller
        \t00  Ethernet controller
        """

    @Test("Names are those of the models asked for; others are numbers")
    func names() throws {
        let model = try #require(PCIModel("8086:10c9"))
        let other = try #require(PCIModel("8086:1521"))
        let names = PCINames(Array(text.utf8), for: [model, other])
        #expect(names.shortName(model) == "Intel 82576 Gigabit Network Connection")
        #expect(names.shortName(other) == "8086:1521")
        #expect(names.vendor(0x144d) == "144d")
        #expect(PCINames().device(model) == "10c9")
    }

    @Test("A file with control characters does not reach the terminal")
    func hostile() {
        let names = PCINames(
            Array("8086  \u{1b}[31mIntel\u{7}\n\t10c9  x\n".utf8), for: [PCIModel(vendor: 0x8086, device: 0x10c9)])
        #expect(names.vendor(0x8086) == "[31mIntel")
    }

    @Test(
        "A text is found byte for byte",
        arguments: [
            ("abc", "bc", true), ("abc", "cb", false), ("abc", "", true), ("", "a", false), ("", "", true),
            ("ünïcode", "ï", true), ("a\r\nb", "\n", true),
        ])
    func bytes(_ whole: String, _ part: String, _ isThere: Bool) {
        #expect(whole.hasBytes(of: part) == isThere && whole[...].hasBytes(of: part) == isThere)
    }

    @Test("Lines end where a line feed is, whatever stands before it")
    func byteLines() {
        #expect("a\n\nb\r\nc".byteLines == ["a", "", "b\r", "c"] && "".byteLines == [""])
    }
}
