/// Reads numbers and attributes from a range of bytes, never beyond its end. A value that is not there is nil.
package struct ByteReader: Sendable {
    package let bytes: ArraySlice<UInt8>

    package init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }
    package init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

    package var count: Int { bytes.count }

    /// A number in host byte order, as netlink carries all but a few.
    package func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self, at offset: Int = 0) -> Value? {
        let size = MemoryLayout<Value>.size
        guard offset >= 0, offset <= bytes.count - size else { return nil }
        return bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Value.self) }
    }

    /// The bytes from an offset on, at most `length` of them; nil when there are fewer.
    package func slice(_ offset: Int, _ length: Int) -> ByteReader? {
        guard offset >= 0, length >= 0, offset <= bytes.count, length <= bytes.count - offset else { return nil }
        let start = bytes.startIndex + offset
        return ByteReader(bytes[start..<(start + length)])
    }

    /// Text up to the first NUL or the end. Invalid UTF-8 becomes replacement characters.
    package var string: String {
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// The attributes that the bytes consist of.
    package var attributes: AttributeSequence { AttributeSequence(reader: self) }
}

/// One attribute: `struct nlattr` and its payload.
package struct Attribute: Sendable {
    /// The type without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER.
    package var type: UInt16
    package var payload: ByteReader
    /// Where the attribute starts in the reader it came from.
    package var offset: Int

    package var string: String { payload.string }
    package func integer<Value: FixedWidthInteger>(_ type: Value.Type = Value.self) -> Value? {
        payload.integer(type)
    }
}

/// Walks attributes and ends at the first that is malformed, as the kernel's own `nla_for_each_attr` does.
package struct AttributeSequence: Sequence, IteratorProtocol, Sendable {
    var reader: ByteReader
    var offset = 0

    init(reader: ByteReader) { self.reader = reader }

    package mutating func next() -> Attribute? {
        guard let length: UInt16 = reader.integer(at: offset), let type: UInt16 = reader.integer(at: offset + 2),
            length >= 4, let payload = reader.slice(offset + 4, Int(length) - 4)
        else { return nil }
        defer { offset += aligned(Int(length)) }
        return Attribute(type: type & 0x3fff, payload: payload, offset: offset)
    }
}

/// Rounds a length up to the four bytes that netlink aligns to.
package func aligned(_ length: Int) -> Int { (length + 3) & ~3 }

/// Builds a netlink message: header, fixed part, attributes.
package struct MessageBuilder: Sendable {
    package private(set) var bytes: [UInt8]

    /// Starts a message of a type with the flags NLM_F_REQUEST and those given.
    package init(type: UInt16, flags: UInt16) {
        bytes = []
        bytes.reserveCapacity(256)
        append(UInt32(0))  // length, filled in by `finished`
        append(type)
        append(flags | 1)
        append(UInt32(0))  // sequence number, filled in by the socket
        append(UInt32(0))  // port: 0 is the kernel's
    }

    package mutating func append<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    /// An attribute of any payload; a payload longer than an attribute's u16 can say is the caller's error and cut.
    package mutating func attribute(_ type: UInt16, _ payload: some Collection<UInt8>) {
        let payload = payload.prefix(Int(UInt16.max) - 4)
        append(UInt16(truncatingIfNeeded: payload.count + 4))
        append(type)
        bytes.append(contentsOf: payload)
        pad()
    }

    package mutating func attribute<Value: FixedWidthInteger>(_ type: UInt16, _ value: Value) {
        append(UInt16(truncatingIfNeeded: MemoryLayout<Value>.size + 4))
        append(type)
        append(value)
        pad()
    }

    /// A string attribute, with the NUL that the kernel's policies ask for.
    package mutating func attribute(_ type: UInt16, _ text: String) {
        attribute(type, Array(text.utf8) + [0])
    }

    /// A nested attribute; its contents are what the closure appends.
    package mutating func nest(_ type: UInt16, _ contents: (inout MessageBuilder) -> Void) {
        let start = bytes.count
        append(UInt16(0))
        append(type | 0x8000)  // NLA_F_NESTED
        contents(&self)
        store(UInt16(truncatingIfNeeded: bytes.count - start), at: start)
    }

    /// The message with its length and a sequence number filled in.
    package func finished(sequence: UInt32) -> [UInt8] {
        var message = self
        message.store(UInt32(truncatingIfNeeded: bytes.count), at: 0)
        message.store(sequence, at: 8)
        return message.bytes
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    private mutating func store<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        withUnsafeBytes(of: value) { source in
            for (index, byte) in source.enumerated() { bytes[offset + index] = byte }
        }
    }
}
