internal import CLinux

/// A connection to one generic-netlink family, resolved by its name.
package struct GenericNetlink: ~Copyable, Sendable {
    private var socket: NetlinkSocket
    private let family: UInt16

    /// Opens a connection to a family. Fails with ENOENT when the kernel does not have it.
    package static func open(family name: String) throws(NetlinkError) -> GenericNetlink {
        var socket = try NetlinkSocket.open(NETLINK_GENERIC)
        var builder = MessageBuilder(type: UInt16(GENL_ID_CTRL), flags: UInt16(NLM_F_ACK))
        builder.append(UInt32(3 | 1 << 8))  // CTRL_CMD_GETFAMILY, version 1
        builder.attribute(2, name)  // CTRL_ATTR_FAMILY_NAME
        let operation = "find the netlink family \(name)"
        let answers = try socket.query(builder, operation)
        for answer in answers {
            guard let body = answer.payload.slice(4, answer.payload.count - 4) else { continue }
            for attribute in body.attributes where attribute.type == 1 {  // CTRL_ATTR_FAMILY_ID
                if let family: UInt16 = attribute.integer() { return GenericNetlink(socket: socket, family: family) }
            }
        }
        throw NetlinkError(.malformed, operation, text: "the answer has no family")
    }

    /// A message of the family: header and `struct genlmsghdr`.
    package func message(command: UInt8, flags: Int32 = NLM_F_ACK) -> MessageBuilder {
        var builder = MessageBuilder(type: family, flags: UInt16(flags))
        builder.append(UInt32(command) | 1 << 8)
        return builder
    }

    /// The attributes of each answer.
    package mutating func query(
        _ builder: MessageBuilder, _ operation: String
    ) throws(NetlinkError) -> [AttributeSequence] {
        try socket.query(builder, operation).compactMap { $0.payload.slice(4, $0.payload.count - 4)?.attributes }
    }

    package mutating func request(_ builder: MessageBuilder, _ operation: String) throws(NetlinkError) {
        try socket.request(builder, operation)
    }
}
