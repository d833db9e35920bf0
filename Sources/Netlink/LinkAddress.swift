/// An IP address of a link, with its prefix length.
public struct LinkAddress: Sendable, Hashable {
    /// The link's index.
    public var link: Int32
    /// 4 bytes (IPv4) or 16 (IPv6), in the order they are sent.
    public var bytes: [UInt8]
    /// How many of the bits are the network's.
    public var prefixLength: UInt8

    /// Whether it is an IPv6 link-local address, which the kernel gives every link that comes up.
    public var isLinkLocal: Bool {
        bytes.count == 16 && bytes[0] == 0xfe && bytes[1] & 0xc0 == 0x80
    }

    /// Reads RTM_NEWADDR's payload: `struct ifaddrmsg` and attributes; nil when it has no address.
    package init?(_ payload: ByteReader) {
        guard let family: UInt8 = payload.integer(), let prefix: UInt8 = payload.integer(at: 1),
            let index: UInt32 = payload.integer(at: 4), let body = payload.slice(8, payload.count - 8)
        else { return nil }
        link = Int32(truncatingIfNeeded: index)
        prefixLength = prefix
        var found: [UInt8]?
        for attribute in body.attributes {
            // IFLA: on a point-to-point link IFA_ADDRESS (1) is the peer's and IFA_LOCAL (2) the link's own.
            if attribute.type == 2 || (attribute.type == 1 && found == nil) { found = Array(attribute.payload.bytes) }
        }
        guard let found, found.count == (family == 2 ? 4 : 16) else { return nil }
        bytes = found
    }
}

extension LinkAddress: CustomStringConvertible {
    /// The address in its usual notation with its prefix length, `192.0.2.1/24`; IPv6 without compression of zeros
    /// beyond leading ones.
    public var description: String { Self.text(bytes) + "/\(prefixLength)" }

    /// 4 or 16 bytes in the usual notation.
    static func text(_ bytes: [UInt8]) -> String {
        if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
        return compressed(
            stride(from: 0, to: bytes.count - 1, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) })
    }

    /// RFC 5952: the longest run of two or more zero groups becomes "::".
    private static func compressed(_ groups: [UInt16]) -> String {
        var best = 0..<0
        var start = 0
        for index in 0...groups.count where index == groups.count || groups[index] != 0 {
            if index - start > max(best.count, 1) { best = start..<index }
            start = index + 1
        }
        func text(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
        guard !best.isEmpty else { return text(groups[...]) }
        return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
    }
}

/// The output links of an RTM_NEWROUTE message when it is a default route of the main table.
package func defaultRouteOutputs(_ payload: ByteReader) -> [Int32] {
    // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags.
    guard let destinationLength: UInt8 = payload.integer(at: 1), destinationLength == 0,
        let table: UInt8 = payload.integer(at: 4), table == 254,
        let type: UInt8 = payload.integer(at: 7), type == 1,
        let body = payload.slice(12, payload.count - 12)
    else { return [] }
    return nextHops(body).map(\.link)
}

/// The links by which a route leads, with their gateways; of RTM_NEWROUTE's attributes.
func nextHops(_ body: ByteReader) -> [(link: Int32, gateway: [UInt8]?)] {
    func gateway(_ attributes: ByteReader) -> [UInt8]? {
        attributes.attributes.first { $0.type == 5 }.map { Array($0.payload.bytes) }  // RTA_GATEWAY
    }
    var hops: [(link: Int32, gateway: [UInt8]?)] = []
    for attribute in body.attributes {
        if attribute.type == 4, let output: Int32 = attribute.integer() {  // RTA_OIF
            hops.append((output, gateway(body)))
        }
        if attribute.type == 9 {  // RTA_MULTIPATH: struct rtnexthop has the link at offset 4, and attributes from 8 on
            var offset = 0
            while let length: UInt16 = attribute.payload.integer(at: offset), length >= 8,
                let output: Int32 = attribute.payload.integer(at: offset + 4)
            {
                hops.append((output, attribute.payload.slice(offset + 8, Int(length) - 8).flatMap(gateway)))
                offset += aligned(Int(length))
            }
        }
    }
    return hops
}
