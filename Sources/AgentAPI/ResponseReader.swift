/// Reads an HTTP/1.1 response from a stream: status line, headers, and a body by length, in chunks, or to the end.
///
/// Total on any input: what is malformed or beyond the bounds is nil.
package struct ResponseReader {
    private let read: (UnsafeMutableRawBufferPointer) -> Int
    private var buffer: [UInt8] = []
    private var remaining = 0
    private var isEnded = false

    /// The longest head and the longest body that are taken, bytes.
    static let headLimit = 64 << 10
    static let bodyLimit = 64 << 20

    /// What stands before the body.
    package struct Head: Sendable, Hashable {
        package var status: Int
        package var length: Int?
        package var isChunked: Bool
    }

    /// Reads through a closure that fills a buffer and returns how much it has put there, 0 at the end.
    package init(read: @escaping (UnsafeMutableRawBufferPointer) -> Int) { self.read = read }

    private mutating func fill() -> Bool {
        let chunk = [UInt8](unsafeUninitializedCapacity: 16 << 10) { buffer, count in
            count = max(0, read(UnsafeMutableRawBufferPointer(buffer)))
        }
        buffer += chunk
        return !chunk.isEmpty
    }

    private mutating func line() -> String? {
        while true {
            if let end = buffer.firstIndex(of: 10) {
                let line = String(decoding: buffer[..<end], as: UTF8.self)
                buffer.removeSubrange(...end)
                return line.last == "\r" ? String(line.dropLast()) : line
            }
            guard buffer.count < Self.headLimit, fill() else { return nil }
        }
    }

    /// The head.
    package mutating func head() -> Head? {
        guard let words = line()?.split(separator: " "), words.count > 1, words[0].hasPrefix("HTTP/1."),
            let status = Int(words[1]), (100...599).contains(status)
        else { return nil }
        var head = Head(status: status, length: nil, isChunked: false)
        for _ in 0..<200 {
            guard let line = line() else { return nil }
            if line.isEmpty {
                remaining = head.length ?? 0
                return head
            }
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            switch line[..<colon].lowercased() {
            case "content-length":
                guard let length = Int(value), (0...Self.bodyLimit).contains(length) else { return nil }
                head.length = length
            case "transfer-encoding": head.isChunked = value.lowercased() == "chunked"
            default: break
            }
        }
        return nil
    }

    /// The whole body.
    package mutating func body(_ head: Head) -> [UInt8]? {
        var body: [UInt8] = []
        while let part = part(head) {
            body += part
            guard body.count <= Self.bodyLimit else { return nil }
        }
        // What broke off is not an answer.
        return isEnded ? body : nil
    }

    /// The next part of the body; nil at its end.
    package mutating func part(_ head: Head) -> [UInt8]? {
        if isEnded { return nil }
        if head.isChunked { return chunk() }
        if head.length != nil {
            if remaining == 0 {
                isEnded = true
                return nil
            }
            if buffer.isEmpty, !fill() { return nil }
            let part = Array(buffer.prefix(remaining))
            buffer.removeFirst(part.count)
            remaining -= part.count
            return part
        }
        if buffer.isEmpty, !fill() {
            isEnded = true
            return nil
        }
        defer { buffer = [] }
        return buffer
    }

    private mutating func chunk() -> [UInt8]? {
        guard let line = line(), let size = Int(line.prefix { $0 != ";" }, radix: 16),
            (0...Self.bodyLimit).contains(size)
        else { return nil }
        while buffer.count < size { guard fill() else { return nil } }
        let part = Array(buffer.prefix(size))
        buffer.removeFirst(size)
        guard self.line() != nil || size == 0 else { return nil }
        if size == 0 {
            isEnded = true
            return nil
        }
        return part
    }
}
