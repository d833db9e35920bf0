package import SystemPackage

/// One message of a datagram: `struct nlmsghdr` and what follows it.
package struct Message: Sendable {
    package var type: UInt16
    package var flags: UInt16
    package var sequence: UInt32
    package var payload: ByteReader

    /// NLM_F_DUMP_INTR: the state changed while it was being dumped.
    package var isInterrupted: Bool { flags & 0x10 != 0 }
    /// NLMSG_DONE: the end of a dump.
    package var isDone: Bool { type == 3 }

    /// NLMSG_ERROR, also the acknowledgement: errno (0 is success) and the kernel's text, if it gave one.
    package var acknowledgement: Acknowledgement? {
        if type == 2 {
            guard let error: Int32 = payload.integer() else { return nil }
            // The request's header is always repeated, its body only when the reply is not capped (NLM_F_CAPPED).
            let requestLength = payload.integer(UInt32.self, at: 4) ?? 16
            let echoed = flags & 0x100 != 0 ? 16 : aligned(Int(clamping: requestLength))
            return Acknowledgement(error: error, text: extendedText(after: 4 + echoed))
        }
        if isDone {
            // The end of a dump carries the errno that ended it, and the extended acknowledgement right behind.
            return Acknowledgement(error: payload.integer() ?? 0, text: extendedText(after: 4))
        }
        return nil
    }

    /// NLMSGERR_ATTR_MSG of the attributes at an offset, when NLM_F_ACK_TLVS says that there are any.
    private func extendedText(after offset: Int) -> String? {
        guard flags & 0x200 != 0, let rest = payload.slice(offset, payload.count - offset) else { return nil }
        return rest.attributes.first { $0.type == 1 }?.string
    }

    /// The messages that a datagram holds, up to the first malformed one.
    package static func all(in datagram: [UInt8]) -> [Message] {
        let reader = ByteReader(datagram)
        var messages: [Message] = []
        var offset = 0
        while let length: UInt32 = reader.integer(at: offset), length >= 16,
            let type: UInt16 = reader.integer(at: offset + 4), let flags: UInt16 = reader.integer(at: offset + 6),
            let sequence: UInt32 = reader.integer(at: offset + 8),
            let payload = reader.slice(offset + 16, Int(length) - 16)
        {
            messages.append(Message(type: type, flags: flags, sequence: sequence, payload: payload))
            offset += aligned(Int(length))
        }
        return messages
    }
}

/// The kernel's answer to a request.
package struct Acknowledgement: Sendable, Hashable {
    /// 0 or a negative errno.
    package var error: Int32
    package var text: String?

    package var errno: Errno? { error == 0 ? nil : Errno(rawValue: error == .min ? .max : abs(error)) }
}
