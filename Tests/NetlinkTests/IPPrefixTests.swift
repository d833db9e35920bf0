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

@Suite struct LinkRouteTests {
    /// An RTM_NEWROUTE message's payload, as the kernel dumps it.
    private func message(
        _ destination: IPPrefix, kind: UInt8 = 1, flags: UInt32 = 0, _ attributes: (inout MessageBuilder) -> Void
    ) -> ByteReader {
        var builder = MessageBuilder(type: 24, flags: 0)
        // Family, lengths of destination and source, type of service, table (252 is one with a longer number), protocol,
        // scope (253 is the link), kind.
        for byte in [destination.isIPv6 ? 10 : 2, destination.length, 0, 0, 252, 3, 253, kind] { builder.append(byte) }
        builder.append(flags)
        if destination.length > 0 { builder.attribute(1, destination.bytes) }
        builder.attribute(15, UInt32(1000))
        attributes(&builder)
        return ByteReader(Array(builder.bytes.dropFirst(16)))
    }

    @Test("What a route says of itself is read, and compared as far as somebody wants it")
    func read() throws {
        let destination = try #require(IPPrefix("10.9.0.0/16"))
        let found = LinkRoute.all(
            message(destination) { builder in
                builder.attribute(4, Int32(7))
                builder.attribute(5, [10, 7, 0, 1])
                builder.attribute(6, UInt32(50))
                builder.nest(8) { metrics in
                    metrics.attribute(2, UInt32(1400))
                    metrics.attribute(8, UInt32(1300))
                }
            }, byLink: 7)
        let route = try #require(found.first)
        var wanted = LinkRoute(to: try #require(IPPrefix("10.9.1.2/16")), by: IPPrefix("10.7.0.1"))
        #expect(found.count == 1 && wanted.isMet(by: route))
        (wanted.mtu, wanted.advertisedMSS, wanted.priority) = (1400, 1300, 50)
        (wanted.table, wanted.scope) = (1000, 253)
        #expect(wanted.isMet(by: route) && wanted != route)
        for part in [\LinkRoute.mtu, \.advertisedMSS, \.priority, \.table] {
            var other = wanted
            other[keyPath: part] = 8
            #expect(!other.isMet(by: route), "\(other)")
            // The kernel's own choice.
            other[keyPath: part] = 0
            #expect(other.isMet(by: route), "\(other)")
        }
        var other = wanted
        other.scope = 200
        #expect(!other.isMet(by: route))
        other = wanted
        other.gateway = nil
        #expect(!other.isMet(by: route))
    }

    @Test("Several gateways are several routes; those by other links, of other kinds, and cut ones are none")
    func several() throws {
        let destination = try #require(IPPrefix("::/0"))
        let gateways = [("fd00::1", 7), ("fd00::2", 7), ("fd00::3", 8)]
        func multipath(_ kind: UInt8, _ flags: UInt32 = 0) throws -> ByteReader {
            var hops: [UInt8] = []
            for (gateway, link) in gateways {
                // struct rtnexthop: length, flags, hops, link; then the gateway.
                hops += [28, 0, 0, 0, UInt8(link), 0, 0, 0, 20, 0, 5, 0] + (try #require(IPPrefix(gateway))).bytes
            }
            return message(destination, kind: kind, flags: flags) { $0.attribute(9, hops) }
        }
        let found = LinkRoute.all(try multipath(1), byLink: 7)
        #expect(found.map(\.gateway) == [IPPrefix("fd00::1"), IPPrefix("fd00::2")], "\(found)")
        #expect(found.allSatisfy { $0.destination == destination && $0.table == 1000 })
        // Of the link's own addresses; learned from others.
        #expect(
            try LinkRoute.all(multipath(2), byLink: 7).isEmpty && LinkRoute.all(multipath(1, 0x200), byLink: 7).isEmpty)
        let whole = try multipath(1).bytes
        for length in whole.indices {
            #expect(LinkRoute.all(ByteReader(Array(whole[..<length])), byLink: 7).count <= 2)
        }
    }
}
