internal import CLinux
internal import Glibc
internal import SystemPackage

/// An IPv4 or IPv6 address with the length of its network's prefix: `192.0.2.7/24`.
public struct IPPrefix: Sendable, Hashable {
    /// 4 bytes (IPv4) or 16 (IPv6), in the order they are sent.
    public let bytes: [UInt8]
    /// How many of the bits are the network's.
    public let length: UInt8

    /// Whether it is an IPv6 address.
    public var isIPv6: Bool { bytes.count == 16 }

    /// Reads `ADDRESS/LENGTH`, or an address alone, which is a host's (/32, /128). Anything else is nil.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let family = text.contains(":") ? AF_INET6 : AF_INET
        var bytes = [UInt8](repeating: 0, count: family == AF_INET6 ? 16 : 4)
        guard let address = parts.first, inet_pton(family, String(address), &bytes) == 1 else { return nil }
        var length = UInt8(bytes.count * 8)
        if parts.count > 1 {
            guard let number = UInt8(parts[1]), number <= length, "\(number)" == parts[1] else { return nil }
            length = number
        }
        self.bytes = bytes
        self.length = length
    }

    /// Takes 4 or 16 bytes; nil for another number, and for a length beyond them.
    init?(_ bytes: [UInt8], _ length: UInt8) {
        guard bytes.count == 4 || bytes.count == 16, Int(length) <= bytes.count * 8 else { return nil }
        (self.bytes, self.length) = (bytes, length)
    }

    /// The same without the bits that are not the network's.
    public var network: IPPrefix {
        let masked = bytes.enumerated().map { index, byte in
            let rest = Int(length) - index * 8
            return rest >= 8 ? byte : rest <= 0 ? 0 : byte & ~(0xff >> UInt8(rest))
        }
        return IPPrefix(masked, length) ?? self
    }

    /// Whether an address is of this network.
    public func contains(_ address: IPPrefix) -> Bool {
        address.bytes.count == bytes.count && IPPrefix(address.bytes, length)?.network == network
    }

    /// The address to which all of an IPv4 network listen; nil where a network has none (RFC 3021).
    var broadcast: [UInt8]? {
        guard !isIPv6, length < 31 else { return nil }
        let address = bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let all = address | (length == 0 ? .max : UInt32.max >> UInt32(length))
        return (0..<4).map { UInt8(truncatingIfNeeded: all >> (24 - 8 * UInt32($0))) }
    }
}

/// A route by way of one link.
public struct LinkRoute: Sendable, Hashable {
    /// Where it leads.
    public var destination: IPPrefix
    /// By way of whom; nil when the network is the link's own.
    public var gateway: IPPrefix?
    /// Maximum transmission unit, bytes; nil is the link's.
    public var mtu: UInt32?
    /// What is told to peers as the maximum segment size, bytes; nil leaves it to the kernel.
    public var advertisedMSS: UInt32?
    /// Lower ones are preferred; nil leaves it to the kernel.
    public var priority: UInt32?
    /// The table; nil is the main one.
    public var table: UInt32?
    /// How far it reaches (rtnetlink(7), rtm_scope); nil is the link's without a gateway, and everywhere with one.
    public var scope: UInt8?

    /// A route that leaves all else to the kernel.
    public init(to destination: IPPrefix, by gateway: IPPrefix? = nil) {
        self.destination = destination
        self.gateway = gateway
    }
}

extension RouteNetlink {
    /// Gives a link an address. One that it has already is no error.
    ///
    /// An IPv6 address may be used at once: that nobody else has it is the business of whoever gives it out.
    public mutating func add(_ address: IPPrefix, toLink index: Int32) throws(NetlinkError) {
        var builder = MessageBuilder(type: UInt16(RTM_NEWADDR), flags: UInt16(NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE))
        // struct ifaddrmsg: family, prefix length, flags, scope, index.
        builder.append(UInt8(address.isIPv6 ? 10 : 2))
        builder.append(address.length)
        builder.append(UInt8(0))
        builder.append(UInt8(0))
        builder.append(UInt32(bitPattern: index))
        builder.attribute(2, address.bytes)  // IFA_LOCAL
        builder.attribute(1, address.bytes)  // IFA_ADDRESS
        if let broadcast = address.broadcast { builder.attribute(4, broadcast) }  // IFA_BROADCAST
        if address.isIPv6 { builder.attribute(8, UInt32(0x02)) }  // IFA_FLAGS, IFA_F_NODAD
        try socket.request(builder, "give link \(index) the address \(address)")
    }

    /// Adds a route by way of a link, before others of the same destination and priority. The same one is no error.
    public mutating func add(_ route: LinkRoute, byLink index: Int32) throws(NetlinkError) {
        var builder = MessageBuilder(
            type: UInt16(RTM_NEWROUTE), flags: UInt16(NLM_F_ACK | NLM_F_CREATE))
        // struct rtmsg: family, dst_len, src_len, tos, table, protocol (boot), scope (link 253), type (unicast), flags.
        builder.append(UInt8(route.destination.isIPv6 ? 10 : 2))
        builder.append(route.destination.length)
        builder.append(UInt16(0))
        let table = route.table ?? 254
        builder.append(UInt8(truncatingIfNeeded: table < 256 ? table : 0))
        builder.append(UInt8(3))
        builder.append(route.scope ?? (route.gateway == nil && !route.destination.isIPv6 ? 253 : 0))
        builder.append(UInt8(1))
        builder.append(UInt32(0))
        builder.attribute(1, route.destination.bytes)  // RTA_DST
        if let gateway = route.gateway { builder.attribute(5, gateway.bytes) }  // RTA_GATEWAY
        builder.attribute(4, index)  // RTA_OIF
        builder.attribute(15, table)  // RTA_TABLE
        if let priority = route.priority { builder.attribute(6, priority) }  // RTA_PRIORITY
        if route.mtu != nil || route.advertisedMSS != nil {
            builder.nest(8) { metrics in  // RTA_METRICS: RTAX_MTU, RTAX_ADVMSS
                if let mtu = route.mtu { metrics.attribute(2, mtu) }
                if let size = route.advertisedMSS { metrics.attribute(8, size) }
            }
        }
        do throws(NetlinkError) {
            try socket.request(builder, "add the route to \(route.destination)")
        } catch  where error.errno == .fileExists {}
    }

    /// The routes by way of a link, in all tables.
    public mutating func routes(byLink index: Int32) throws(NetlinkError) -> Set<LinkRoute> {
        var builder = MessageBuilder(type: UInt16(RTM_GETROUTE), flags: UInt16(NLM_F_DUMP))
        builder.append(UInt32(0))
        builder.append(UInt64(0))  // the rest of struct rtmsg
        let messages = try socket.query(builder, "list the routes")
        return Set(messages.flatMap { LinkRoute.all($0.payload, byLink: index) })
    }
}

extension LinkRoute {
    /// Reads an RTM_NEWROUTE message: the routes by way of the link, which are several where there are several gateways.
    static func all(_ payload: ByteReader, byLink index: Int32) -> [LinkRoute] {
        // Neither those of the link's own addresses (RTN_LOCAL) nor what the kernel has learned (RTM_F_CLONED).
        guard let family: UInt8 = payload.integer(), family == 2 || family == 10,
            let length: UInt8 = payload.integer(at: 1), let table: UInt8 = payload.integer(at: 4),
            let scope: UInt8 = payload.integer(at: 6), let kind: UInt8 = payload.integer(at: 7), kind == 1,
            let flags: UInt32 = payload.integer(at: 8), flags & 0x200 == 0,
            let body = payload.slice(12, payload.count - 12)
        else { return [] }
        let size = family == 10 ? 16 : 4
        let bytes = body.attributes.first { $0.type == 1 }.map { Array($0.payload.bytes) }  // RTA_DST
        guard let destination = IPPrefix(bytes ?? [UInt8](repeating: 0, count: size), length) else { return [] }
        var route = LinkRoute(to: destination)
        (route.table, route.scope) = (UInt32(table), scope)
        for attribute in body.attributes {
            switch attribute.type {
            case 6: route.priority = attribute.integer()  // RTA_PRIORITY
            case 8:  // RTA_METRICS: RTAX_MTU, RTAX_ADVMSS
                for metric in attribute.payload.attributes {
                    if metric.type == 2 { route.mtu = metric.integer() }
                    if metric.type == 8 { route.advertisedMSS = metric.integer() }
                }
            case 15: route.table = attribute.integer() ?? route.table  // RTA_TABLE
            default: break
            }
        }
        return nextHops(body).filter { $0.link == index }.map { hop in
            route.gateway = hop.gateway.flatMap { IPPrefix($0, UInt8(size * 8)) }
            return route
        }
    }

    /// Whether the kernel's route is this one, as far as this one says: what it leaves to the kernel may be anything, and
    /// so may a zero, which the kernel takes for that.
    public func isMet(by route: LinkRoute) -> Bool {
        func agrees(_ wanted: UInt32?, _ found: UInt32?) -> Bool { wanted ?? 0 == 0 || wanted == found }
        return route.destination == destination.network && route.gateway == gateway
            && agrees(table, route.table) && agrees(mtu, route.mtu)
            && agrees(advertisedMSS, route.advertisedMSS) && agrees(priority, route.priority)
            // Of IPv6 the kernel keeps no scope.
            && (destination.isIPv6 || agrees(scope.map(UInt32.init), route.scope.map(UInt32.init)))
    }
}

extension IPPrefix: CustomStringConvertible {
    /// `ADDRESS/LENGTH` in the usual notation.
    public var description: String { LinkAddress.text(bytes) + "/\(length)" }
}
