internal import Glibc

/// The agent's socket, for programs that others run in passing: libvirt's hook and the CNI plugin. They pass on what they
/// were given, and start in a millisecond, so this needs nothing but the C library.
package struct AgentSocket: Sendable {
    private static let path = "/run/sluice/sluice.sock"
    /// The longest answer that is read, bytes.
    private static let answerLimit = 4 << 20

    /// How long an answer is waited for, seconds.
    private let patience: Int
    /// What kind of answer is wished.
    private let accepts: String

    /// A socket whose answers are waited for so long. An agent that starts answers in half a minute.
    package init(patience: Int, accepts: String) {
        self.patience = patience
        self.accepts = accepts
    }

    /// What the agent has answered.
    package struct Answer: Sendable {
        /// HTTP's status.
        package var status: Int
        /// The body.
        package var text: String
    }

    /// Posts fields as a JSON object; nil when no agent answers.
    package func post(_ resource: String, _ fields: [(String, String)]) -> Answer? {
        let body = "{" + fields.map { "\(quoted($0)):\(quoted($1))" }.joined(separator: ",") + "}"
        let request =
            "POST \(resource) HTTP/1.1\r\nHost: localhost\r\nAccept: \(accepts)\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n" + body
        // HTTP/1.1 409 Conflict
        guard let reply = exchange(request), let end = find("\r\n\r\n", in: reply),
            let status = reply.utf8.split(separator: UInt8(ascii: " "), maxSplits: 2).dropFirst().first
                .flatMap({ Int(Substring($0)) })
        else { return nil }
        let text = String(reply[end.upperBound...])
        // An agent that ends in the middle has not answered. Names of fields have any case (RFC 9110).
        var length: Int?
        for line in reply[..<end.lowerBound].utf8.split(separator: UInt8(ascii: "\n")) {
            let field = "content-length:".utf8
            guard line.count > field.count, zip(line, field).allSatisfy({ $0 | 0x20 == $1 | 0x20 }) else { continue }
            length = line.dropFirst(field.count).reduce(0) { sum, byte in
                (0x30...0x39).contains(byte) ? sum &* 10 &+ Int(byte - 0x30) : sum
            }
        }
        guard text.utf8.count == length else { return nil }
        return Answer(status: status, text: text)
    }

    /// Sends a request and reads the answer to its end; nil when there is none.
    private func exchange(_ request: String) -> String? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var patience = timeval(tv_sec: patience, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Self.path.utf8) }
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard connected == 0 else { return nil }
        guard writeAll(descriptor, Array(request.utf8)) else { return nil }
        let reply = readAll(descriptor, limit: Self.answerLimit)
        return reply.isEmpty ? nil : reply
    }
}
