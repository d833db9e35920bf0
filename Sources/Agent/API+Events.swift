internal import AgentAPI
internal import HTTPTypes
internal import HummingbirdCore
internal import Leasing
internal import NIOCore

extension API {
    /// The latest events.
    func latestEvents(_ request: Request) async throws -> Response {
        let text = parameter("limit", of: request) ?? "20"
        guard let limit = Int(text), (0...10_000).contains(limit) else {
            throw LeasingError(
                .badRequest, "limit \"\(text.prefix(100))\" is not understood", remedy: "give a number of 0–10000")
        }
        let keeper = keeper
        return try Self.response(try await keeper.reading { try EventPage(keeper.ledger.reader, limit: limit) })
    }

    /// Server-sent events: from now on, or from the position that the client names as the last it got.
    func events(_ request: Request) throws -> Response {
        var position = keeper.hub.position
        let header = request.headers[HTTPField.Name("Last-Event-ID") ?? .ifMatch]
        if let text = header ?? parameter("after", of: request) {
            guard let given = EventPosition(text) else {
                throw LeasingError(
                    .badRequest, "\"\(text.prefix(100))\" is not the id of an event",
                    remedy: "give the id of the last event that was received, or leave it out")
            }
            position = given
        }
        let (keeper, start) = (keeper, position)
        let requestBody = request.body
        let body = ResponseBody { writer in
            // Listening begins before the ledger is read, so that nothing falls between the two.
            let (live, end) = keeper.hub.listen()
            try await requestBody.consumeWithInboundCloseHandler { _ in
                var position = start
                try await writer.write(ByteBuffer(string: ": from \(start)\n\n"))
                while true {
                    let after = position
                    let missed = try await keeper.reading {
                        try RecordedEvent.all(after: after, in: keeper.ledger.reader).map(AgentEvent.init)
                    }
                    for event in missed { try await writer.write(ByteBuffer(string: event.text)) }
                    guard let last = missed.last else { break }
                    position = last.position
                }
                for await event in live {
                    let isNew =
                        event.position.transition > position.transition || event.position.note > position.note
                    guard isNew else { continue }
                    position = event.position
                    try await writer.write(ByteBuffer(string: event.text))
                }
            } onInboundClosed: {
                end()
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-cache"], body: body)
    }
}
