internal import FoundationEssentials
internal import Glibc
package import Leasing
package import SRIOV

/// A caller of the agent's API over its Unix socket: one request a connection, blocking.
///
/// The command line and the CNI executable start in milliseconds, which an event loop and a TLS library would not; the
/// agent speaks plain HTTP/1.1 on its socket, and answers with a length or in chunks.
package struct AgentClient: Sendable {
    /// The agent's usual socket.
    package static let defaultSocket = "/run/sluice/sluice.sock"

    private let path: String
    private let timeoutSeconds: Int

    /// Calls the agent at a socket. nil when nobody answers there.
    package init?(socket: String = AgentClient.defaultSocket, timeoutSeconds: Int = 300) {
        path = socket
        self.timeoutSeconds = timeoutSeconds
        guard let descriptor = Self.connect(socket, timeoutSeconds) else { return nil }
        close(descriptor)
    }

    /// A text as a part of a target (RFC 3986, section 2).
    package static func escaped(_ text: String) -> String {
        text.utf8.map { byte in
            let isPlain =
                UnicodeScalar(byte).properties.isAlphabetic || (48...57).contains(byte) || "-._~".utf8.contains(byte)
            return isPlain && byte < 128
                ? String(UnicodeScalar(byte)) : "%" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
    }

    /// An answer.
    package struct Response: Sendable {
        package var status: Int
        package var body: [UInt8]
    }

    /// Asks for a resource, and decodes it.
    ///
    /// Throws the agent's own error, or `agent.unreachable`.
    package func get<Value: Decodable>(_ target: String, as type: Value.Type = Value.self) throws(LeasingError) -> Value
    {
        try decode(try exchange("GET", target, body: nil, headers: []))
    }

    /// Sends a body, and decodes the answer.
    ///
    /// Throws the agent's own error, or `agent.unreachable`.
    package func send<Value: Decodable>(
        _ method: String, _ target: String, _ body: (some Encodable)? = String?.none, idempotencyKey: String? = nil,
        as type: Value.Type = Value.self
    ) throws(LeasingError) -> Value {
        do {
            let bytes = try body.map { Array(try JSONEncoder().encode($0)) }
            let headers = idempotencyKey.map { ["Idempotency-Key: \($0)"] } ?? []
            return try decode(try exchange(method, target, body: bytes ?? [], headers: headers))
        } catch let error as LeasingError {
            throw error
        } catch {
            throw LeasingError(.badRequest, "the request cannot be written as JSON: \(error)")
        }
    }

    private func decode<Value: Decodable>(_ response: Response) throws(LeasingError) -> Value {
        do {
            if (200..<300).contains(response.status) {
                return try JSONDecoder().decode(Value.self, from: Data(response.body))
            }
            throw try JSONDecoder().decode(Problem.self, from: Data(response.body)).error
        } catch let error as LeasingError {
            throw error
        } catch {
            throw unreachable("answered \(response.status) with something else than expected")
        }
    }

    // MARK: HTTP

    private func exchange(
        _ method: String, _ target: String, body: [UInt8]?, headers: [String]
    ) throws(LeasingError) -> Response {
        guard let descriptor = Self.connect(path, timeoutSeconds) else { throw unreachable("does not answer") }
        defer { close(descriptor) }
        try send(descriptor, request(method, target, body: body, headers: headers))
        var reader = ResponseReader { buffer in recv(descriptor, buffer.baseAddress, buffer.count, 0) }
        guard let head = reader.head(), let body = reader.body(head) else { throw unreachable("broke off its answer") }
        return Response(status: head.status, body: body)
    }

    /// Asks for a stream of server-sent events and calls the closure with each line, until it returns false, or the
    /// agent ends, or nothing has come for some seconds; 0 waits for ever.
    package func lines(
        _ target: String, lastEventID: String?, quietSeconds: Int = 0, _ each: (String) -> Bool
    ) throws(LeasingError) {
        let headers = lastEventID.map { ["Last-Event-ID: \($0)"] } ?? []
        try stream("GET", target, body: nil, headers: headers, quietSeconds: quietSeconds, each)
    }

    /// Applies through the agent, and tells each step as it begins and ends.
    ///
    /// Throws the agent's own error, or `agent.unreachable`; the apply goes on without its client.
    package func apply(_ body: PlanBody, onEvent: (ApplyEvent) -> Void) throws(LeasingError) -> [DeviceReport] {
        guard let bytes = try? JSONEncoder().encode(body) else {
            throw LeasingError(.badRequest, "the request cannot be written as JSON")
        }
        var reader = ApplyEventReader()
        try stream("POST", "/v1/applies", body: Array(bytes), headers: []) { line in
            if let event = reader.read(line) { onEvent(event) }
            return reader.result == nil
        }
        guard let result = reader.result else { throw unreachable("broke off its answer; the apply goes on") }
        return try result.get()
    }

    private func stream(
        _ method: String, _ target: String, body: [UInt8]?, headers: [String], quietSeconds: Int = 0,
        _ each: (String) -> Bool
    ) throws(LeasingError) {
        guard let descriptor = Self.connect(path, quietSeconds) else { throw unreachable("does not answer") }
        defer { close(descriptor) }
        let headers = ["Accept: text/event-stream"] + headers
        try send(descriptor, request(method, target, body: body, headers: headers))
        var reader = ResponseReader { buffer in recv(descriptor, buffer.baseAddress, buffer.count, 0) }
        guard let head = reader.head() else { throw unreachable("broke off its answer") }
        guard head.status == 200 else {
            let failed: String = try decode(Response(status: head.status, body: reader.body(head) ?? []))
            throw unreachable(failed)
        }
        var text: [UInt8] = []
        while let part = reader.part(head) {
            text += part
            while let end = text.firstIndex(of: 10) {
                let line = String(decoding: text[..<end], as: UTF8.self)
                text.removeSubrange(...end)
                guard each(line) else { return }
            }
        }
    }

    private func request(_ method: String, _ target: String, body: [UInt8]?, headers: [String]) -> [UInt8] {
        var lines = ["\(method) \(target) HTTP/1.1", "Host: localhost", "Connection: close"] + headers
        if let body { lines += ["Content-Type: application/json", "Content-Length: \(body.count)"] }
        // A line break in a header would begin another one.
        let head = lines.map { $0.filter { !$0.isNewline } }.joined(separator: "\r\n") + "\r\n\r\n"
        return Array(head.utf8) + (body ?? [])
    }

    private func send(_ descriptor: Int32, _ bytes: [UInt8]) throws(LeasingError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(truncatingIfNeeded: MSG_NOSIGNAL))
            }
            if sent < 0, errno == EINTR { continue }
            guard sent > 0 else { throw unreachable("does not take the request") }
            rest = rest.dropFirst(sent)
        }
    }

    private static func connect(_ path: String, _ timeoutSeconds: Int) -> Int32? {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        let result = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            close(descriptor)
            return nil
        }
        if timeoutSeconds > 0 {
            var time = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        }
        return descriptor
    }

    private func unreachable(_ what: String) -> LeasingError {
        LeasingError(
            .unreachable, "the agent at \(path) \(what)",
            remedy: "systemctl status sluiced tells whether it runs; journalctl -u sluiced what it says")
    }
}
