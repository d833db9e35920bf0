import Testing

@testable import Netlink

@Suite struct MACAddressTests {
    @Test(
        "An address is six pairs of digits with one kind of separator",
        arguments: [
            ("94:57:a5:5a:d9:c0", 0x9457_a55a_d9c0 as UInt64), ("94-57-A5-5A-D9-C0", 0x9457_a55a_d9c0),
            ("00:00:00:00:00:00", 0),
            ("ff:ff:ff:ff:ff:ff", 0xffff_ffff_ffff),
        ])
    func valid(text: String, value: UInt64) throws {
        let address = try #require(MACAddress(text))
        #expect(address.rawValue == value)
        #expect(MACAddress(address.description) == address)
        #expect(MACAddress(bytes: address.bytes) == address)
    }

    @Test(
        "Anything else is none",
        arguments: [
            "", "94:57:a5:5a:d9", "94:57:a5:5a:d9:c0:11", "94:57-a5:5a:d9:c0", "9457a55ad9c0", "94:57:a5:5a:d9:g0",
            "94:57:a5:5a:d9:c", " 94:57:a5:5a:d9:c0", "94:57:a5:5a:d9:c０", ":::::::::::::::::",
        ])
    func invalid(text: String) { #expect(MACAddress(text) == nil) }

    @Test("A GUID is eight pairs of digits")
    func guid() {
        #expect(GUID("00:11:22:33:44:55:66:77")?.rawValue == 0x0011_2233_4455_6677)
        #expect(GUID(rawValue: 0x0011_2233_4455_6677).description == "00:11:22:33:44:55:66:77")
        #expect(GUID("00:11:22:33:44:55:66") == nil)
        #expect(GUID("0:011:22:33:44:55:66:77") == nil)
    }

    @Test(
        "IPv6 addresses are written as RFC 5952 says",
        arguments: [
            ([0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1], "2001:db8::1/64"),
            ([UInt8](repeating: 0, count: 16), "::/64"),
            (
                [0xfe, 0x80] + [UInt8](repeating: 0, count: 6) + [2, 0x5c, 0, 0xff, 0xfe, 0, 0, 1],
                "fe80::25c:ff:fe00:1/64"
            ),
            ([0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0], "1:0:2::3:0:0/64"),
        ])
    func address(bytes: [UInt8], text: String) throws {
        // struct ifaddrmsg, then IFA_ADDRESS.
        let message: [UInt8] = [10, 64, 0, 0, 3, 0, 0, 0, 20, 0, 1, 0] + bytes
        #expect(try #require(LinkAddress(ByteReader(message))).description == text)
    }
}
