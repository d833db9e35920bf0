internal import Glibc

/// The agent's socket.
enum Agent {
    private static let socketPath = "/run/sluice/sluice.sock"
    /// libvirt waits, with the domain locked: an agent that hangs counts as away. One that starts answers in half a minute.
    private static let patience = timeval(tv_sec: 45, tv_usec: 0)
    /// The longest answer that is read, bytes.
    private static let answerLimit = 1 << 20

    enum Answer {
        case done
        case refused(String)
        case away(String)
    }

    /// Posts fields as a JSON object, and returns what the agent says in words.
    static func tell(json fields: [(String, String)]) -> Answer {
        let body = "{" + fields.map { "\(quoted($0)):\(quoted($1))" }.joined(separator: ",") + "}"
        let request =
            "POST /v1/hooks HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n" + body
        guard let reply = exchange(request) else {
            return .away(
                """
                no agent answers at \(socketPath)  [agent.unreachable]
                  → without it a machine starts all the same, and without what only the agent sets; systemctl start sluiced
                """)
        }
        // HTTP/1.1 409 Conflict
        let status = reply.split(separator: " ", maxSplits: 2).dropFirst().first.flatMap { Int($0) }
        let text = reply.firstRange(of: "\r\n\r\n").map { String(reply[$0.upperBound...]) } ?? ""
        switch status {
        case 200?: return .done
        // It has not been told, or cannot answer: that says nothing of the machine. (500 is what the host refuses.)
        case 403?, 413?, 502?, 503?, 504?: return .away(text)
        case nil: return .away("the agent's answer is not understood  [agent.unreachable]")
        default: return .refused(text)
        }
    }

    /// Sends a request and reads the answer to its end; nil when there is none.
    private static func exchange(_ request: String) -> String? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var patience = patience
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socketPath.utf8) }
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard connected == 0 else { return nil }
        var rest = Array(request.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(truncatingIfNeeded: MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            rest = rest.dropFirst(count)
        }
        let reply = readAll(descriptor, limit: answerLimit)
        return reply.isEmpty ? nil : reply
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// Reads a descriptor to its end, or to a limit; what is not UTF-8 is replaced.
func readAll(_ descriptor: Int32, limit: Int) -> String {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while bytes.count < limit {
        let count = read(descriptor, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        bytes += buffer[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// The document that libvirt writes, up to what the agent takes.
func standardInput() -> String { readAll(0, limit: 8 << 20) }

/// Whether `/etc/sluice/libvirt-hook` has the line `refuse`.
func refusesWithoutAgent() -> Bool {
    let descriptor = open("/etc/sluice/libvirt-hook", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return readAll(descriptor, limit: 64 << 10).split(separator: "\n").contains { line in
        line.drop { $0 == " " || $0 == "\t" }.hasPrefix("refuse")
    }
}

/// Says something to whoever starts a virtual machine.
func complain(_ text: String) {
    let bytes = Array("sluice: \(text)\n".utf8)
    _ = write(2, bytes, bytes.count)
}
