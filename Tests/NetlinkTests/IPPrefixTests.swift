import Testing

@testable import Netlink

@Suite struct IPPrefixTests {
    @Test(
        "Addresses with a prefix's length, and alone",
        arguments: [
            ("10.1.2.3/24", "10.1.2.3/24"), ("10.1.2.3", "10.1.2.3/32"), ("fd00::7/64", "fd00::7/64"),
            ("::1", "::1/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ])
    func read(text: String, written: String) throws {
        #expect(try #require(IPPrefix(text)).description == written)
    }

    @Test(
        "Anything else is none",
        arguments: ["", "10.1.2", "10.1.2.3/33", "10.1.2.3/", "10.1.2.3/+8", "fd00::/129", "x/8", "1.2.3.4/08"])
    func refused(text: String) { #expect(IPPrefix(text) == nil) }

    @Test("The broadcast address of a network; none of two hosts, none of IPv6")
    func broadcast() throws {
        #expect(IPPrefix("10.1.2.3/24")?.broadcast == [10, 1, 2, 255])
        #expect(IPPrefix("10.1.2.3/0")?.broadcast == [255, 255, 255, 255])
        #expect(IPPrefix("10.1.2.3/31")?.broadcast == nil && IPPrefix("fd00::1/64")?.broadcast == nil)
    }
}
