internal import AgentAPI
internal import HTTPTypes
internal import HummingbirdCore
internal import Leasing
internal import NIOCore

extension API {
    /// Server-sent events: from now on, or from the position that the client names as the last it got.
    func events(_ request: Request) throws -> Response {
        var position = keeper.hub.position
        let header = request.headers[HTTPField.Name("Last-Event-ID") ?? .ifMatch]
        if let text = try header ?? parameter("after", of: request) {
            guard let given = EventPosition(text) else {
                throw LeasingError(
                    .badRequest, "\"\(text.prefix(100))\" is not the id of an event",
                    remedy: "give the id of the last event that was received, or leave it out")
            }
            position = given
        }
        let (keeper, start) = (keeper, position)
        let body = ResponseBody { writer in
            // Listening begins before the ledger is read, so that nothing falls between the two.
            let live = keeper.hub.listen()
            var position = start
            try await writer.write(ByteBuffer(string: "retry: 1000\n\n"))
            while true {
                let missed = try keeper.events(after: position)
                for event in missed { try await writer.write(ByteBuffer(string: event.text)) }
                guard let last = missed.last else { break }
                position = last.position
            }
            for await event in live {
                let isNew =
                    event.position.transition > position.transition || event.position.note > position.note
                guard isNew else { continue }
                position.transition = max(position.transition, event.position.transition)
                position.note = max(position.note, event.position.note)
                try await writer.write(ByteBuffer(string: event.text))
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-cache"], body: body)
    }
}

extension HostKeeper {
    /// Events of the ledger after a position: at most some hundred, in the order of their times.
    func events(after position: EventPosition) throws -> [AgentEvent] {
        let transitions = try ledger.transitions(after: position.transition, limit: 250)
        let notes = try ledger.notes(after: position.note, limit: 250)
        var position = position
        var events: [AgentEvent] = []
        var (left, right) = (transitions[...], notes[...])
        while true {
            let takesTransition =
                right.first.map { note in left.first.map { $0.time <= note.time } ?? false } ?? !left.isEmpty
            if takesTransition, let transition = left.popFirst() {
                position.transition = transition.number
                events.append(AgentEvent(transition, at: position))
            } else if let note = right.popFirst() {
                position.note = note.number
                events.append(AgentEvent(note, at: position))
            } else {
                return events
            }
        }
    }
}
