internal import CLinux
internal import Glibc
internal import SystemPackage

/// A connection to rtnetlink: reads and changes the links of one network namespace.
///
/// Requests are sent one after the other; whoever works on several devices at once opens a connection for each.
public struct RouteNetlink: ~Copyable, Sendable {
    var socket: NetlinkSocket

    /// Opens a connection in the calling thread's network namespace.
    public static func open() throws(NetlinkError) -> RouteNetlink {
        RouteNetlink(socket: try NetlinkSocket.open(NETLINK_ROUTE))
    }

    // MARK: Reading

    /// What a link is asked to report of its VFs.
    public enum Detail: Sendable, Hashable {
        /// Nothing. What resolving a name asks for: VFs cost the driver time, each of them.
        case linksOnly
        /// Their settings.
        case virtualFunctions
        /// Their settings and counters.
        case statistics

        /// RTEXT_FILTER_VF 1, RTEXT_FILTER_SKIP_STATS 8.
        var filter: UInt32 {
            switch self {
            case .linksOnly: 8
            case .virtualFunctions: 1 | 8
            case .statistics: 1
            }
        }
    }

    /// All links of the namespace.
    public mutating func links(_ detail: Detail = .linksOnly) throws(NetlinkError) -> [Link] {
        try linkMessages(detail).compactMap { Link($0) }
    }

    /// The same as the kernel's messages: what a snapshot records, to be read by `Link.init` later.
    package mutating func linkMessages(_ detail: Detail) throws(NetlinkError) -> [ByteReader] {
        var builder = MessageBuilder.link(UInt16(RTM_GETLINK), flags: UInt16(NLM_F_DUMP), index: 0)
        builder.attribute(LinkAttribute.filter, detail.filter)
        return try socket.query(builder, "list the links")
            .filter { $0.type == UInt16(RTM_NEWLINK) }.map(\.payload)
    }

    /// One link by its index.
    public mutating func link(index: Int32, _ detail: Detail = .linksOnly) throws(NetlinkError) -> Link {
        var builder = MessageBuilder.link(UInt16(RTM_GETLINK), flags: UInt16(NLM_F_ACK), index: index)
        builder.attribute(LinkAttribute.filter, detail.filter)
        return try single(builder, "read link \(index)")
    }

    /// One link by its name or an alternative name.
    public mutating func link(named name: String, _ detail: Detail = .linksOnly) throws(NetlinkError) -> Link {
        guard (1...127).contains(name.utf8.count) else {
            throw NetlinkError(
                .malformed, "read link \(name)", errno: .invalidArgument, text: "a name has 1 to 127 bytes")
        }
        var builder = MessageBuilder.link(UInt16(RTM_GETLINK), flags: UInt16(NLM_F_ACK), index: 0)
        if name.utf8.count < 16 {
            builder.attribute(LinkAttribute.name, name)
        } else {
            builder.attribute(LinkAttribute.alternativeName, name)
        }
        builder.attribute(LinkAttribute.filter, detail.filter)
        do throws(NetlinkError) {
            return try single(builder, "read link \(name)")
        } catch  where error.errno?.rawValue == ENODEV && name.utf8.count < 16 {
            // A short name may be an alternative one too.
            var builder = MessageBuilder.link(UInt16(RTM_GETLINK), flags: UInt16(NLM_F_ACK), index: 0)
            builder.attribute(LinkAttribute.alternativeName, name)
            builder.attribute(LinkAttribute.filter, detail.filter)
            return try single(builder, "read link \(name)")
        }
    }

    private mutating func single(_ builder: MessageBuilder, _ operation: String) throws(NetlinkError) -> Link {
        let messages = try socket.query(builder, operation)
        guard let link = messages.lazy.compactMap({ Link($0.payload) }).first else {
            throw NetlinkError(.malformed, operation, text: "the answer has no link")
        }
        return link
    }

    /// The addresses of the namespace's links.
    public mutating func addresses() throws(NetlinkError) -> [LinkAddress] {
        try addressMessages().compactMap { LinkAddress($0) }
    }

    /// The same as the kernel's messages.
    package mutating func addressMessages() throws(NetlinkError) -> [ByteReader] {
        var builder = MessageBuilder(type: UInt16(RTM_GETADDR), flags: UInt16(NLM_F_DUMP))
        builder.append(UInt64(0))  // struct ifaddrmsg, any family
        return try socket.query(builder, "list the addresses").map(\.payload)
    }

    /// The indexes of the links that carry a default route of the main table, IPv4 or IPv6.
    public mutating func defaultRouteLinks() throws(NetlinkError) -> Set<Int32> {
        var links: Set<Int32> = []
        for family in [UInt8(2), 10] {
            var builder = MessageBuilder(type: UInt16(RTM_GETROUTE), flags: UInt16(NLM_F_DUMP))
            builder.append(UInt32(family))
            builder.append(UInt64(0))  // the rest of struct rtmsg
            for message in try socket.query(builder, "list the routes") {
                links.formUnion(defaultRouteOutputs(message.payload))
            }
        }
        return links
    }

    // MARK: Changing

    /// Sets a link administratively up or down, and nothing else.
    public mutating func setUp(_ isUp: Bool, link index: Int32) throws(NetlinkError) {
        let builder = MessageBuilder.link(
            UInt16(RTM_NEWLINK), flags: UInt16(NLM_F_ACK), index: index, linkFlags: isUp ? .up : [], mask: .up)
        try socket.request(builder, "set link \(index) \(isUp ? "up" : "down")")
    }

    /// Sets the maximum transmission unit, bytes.
    public mutating func setMTU(_ mtu: UInt32, link index: Int32) throws(NetlinkError) {
        try change(index, "set the MTU of link \(index) to \(mtu)") { $0.attribute(LinkAttribute.mtu, mtu) }
    }

    /// Keeps the kernel from giving the link an IPv6 link-local address when it comes up (addr_gen_mode none).
    public mutating func disableIPv6AddressGeneration(link index: Int32) throws(NetlinkError) {
        try change(index, "turn off IPv6 address generation of link \(index)") { builder in
            builder.nest(LinkAttribute.afSpec) { families in
                families.nest(10) { $0.attribute(8, UInt8(1)) }  // AF_INET6, IFLA_INET6_ADDR_GEN_MODE, none
            }
        }
    }

    /// Renames a link. Older kernels refuse while it is up.
    public mutating func rename(link index: Int32, to name: String) throws(NetlinkError) {
        try change(index, "rename link \(index) to \(name)") { $0.attribute(LinkAttribute.name, name) }
    }

    /// Moves a link to the network namespace of an open descriptor, with a new name in the same message when one is
    /// given, so that names cannot clash there.
    public mutating func move(
        link index: Int32, toNamespace descriptor: Int32, newName: String? = nil
    ) throws(NetlinkError) {
        try change(index, "move link \(index) to another network namespace") { builder in
            builder.attribute(LinkAttribute.namespaceDescriptor, descriptor)
            if let newName { builder.attribute(LinkAttribute.name, newName) }
        }
    }

    /// Sets the hardware address of a link. The kernel tells the network of all its IP addresses then, also when the
    /// hardware address is the same, where arp_notify and ndisc_notify are on.
    public mutating func setAddress(_ address: MACAddress, link index: Int32) throws(NetlinkError) {
        try change(index, "set the MAC address of link \(index) to \(address)") {
            $0.attribute(LinkAttribute.address, address.bytes)
        }
    }

    /// Takes an alternative name away from a link.
    public mutating func removeAlternativeName(_ name: String, link index: Int32) throws(NetlinkError) {
        var builder = MessageBuilder.link(109, flags: UInt16(NLM_F_ACK), index: index)  // RTM_DELLINKPROP
        builder.nest(LinkAttribute.propertyList) { $0.attribute(LinkAttribute.alternativeName, name) }
        try socket.request(builder, "take the name \(name) away from link \(index)")
    }

    /// Enslaves a link to a master (a bridge or a bond), or frees it with 0.
    public mutating func setMaster(_ master: Int32, link index: Int32) throws(NetlinkError) {
        try change(index, "set the master of link \(index)") { $0.attribute(LinkAttribute.master, master) }
    }

    /// Sets all settings of all the VFs given, in as few messages as the kernel's limits allow: one for some 300 VFs.
    ///
    /// The kernel works through a message in order and stops at the first refusal, with the settings before it in
    /// effect and no word which it was; see `setEach` for that.
    public mutating func set(_ changes: [VirtualFunctionChange], of index: Int32) throws(NetlinkError) {
        var rest = changes[...]
        while !rest.isEmpty {
            var taken = 0
            var builder = MessageBuilder.link(UInt16(RTM_SETLINK), flags: UInt16(NLM_F_ACK), index: index)
            builder.nest(LinkAttribute.virtualFunctionList) { list in
                // A list's length has 16 bits; the settings of one VF need less than 400 bytes.
                let limit = list.bytes.count + 64_000
                while taken < rest.count, list.bytes.count < limit {
                    list.append(rest[rest.startIndex + taken])
                    taken += 1
                }
            }
            try socket.request(builder, "set \(taken) VFs of link \(index)")
            rest = rest.dropFirst(taken)
        }
    }

    /// Sets each setting with a message of its own and returns what was refused, so that one VF's or one setting's
    /// refusal does not stop the others.
    public mutating func setEach(
        _ changes: [VirtualFunctionChange], of index: Int32
    ) -> [(change: VirtualFunctionChange, error: NetlinkError)] {
        var refused: [(change: VirtualFunctionChange, error: NetlinkError)] = []
        for change in changes.flatMap(\.separated) {
            do throws(NetlinkError) {
                try set([change], of: index)
            } catch {
                var error = error
                error.operation = "set \(change.names.joined(separator: ", ")) of VF \(change.index)"
                refused.append((change, error))
            }
        }
        return refused
    }

    private mutating func change(
        _ index: Int32, _ operation: String, _ body: (inout MessageBuilder) -> Void
    ) throws(NetlinkError) {
        var builder = MessageBuilder.link(UInt16(RTM_NEWLINK), flags: UInt16(NLM_F_ACK), index: index)
        body(&builder)
        try socket.request(builder, operation)
    }
}
