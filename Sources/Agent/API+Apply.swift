internal import AgentAPI
internal import HTTPTypes
internal import HummingbirdCore
internal import Leasing
internal import NIOCore
internal import SRIOV

extension API {
    /// The steps from the host as it is to a host file: the agent's own, or one that is sent.
    func plan(_ request: Request) async throws -> Response {
        let body: PlanBody = try await decode(request, PlanBody.keys)
        return try Self.response(PlanView(try await keeper.plan(body)))
    }

    /// Applies the agent's own host file, and tells each step when events are accepted.
    func apply(_ request: Request) async throws -> Response {
        let body: PlanBody = try await decode(request, PlanBody.keys)
        guard request.headers[.accept]?.contains("text/event-stream") ?? false else {
            return try Self.response(ApplyView(try await keeper.apply(body)))
        }
        let keeper = keeper
        let stream = ResponseBody { writer in
            let (events, continuation) = AsyncStream.makeStream(of: ServerSentEvent.self)
            try await withThrowingTaskGroup { group in
                group.addTask {
                    // It goes on when the client leaves: what has begun is finished.
                    defer { continuation.finish() }
                    do {
                        let reports = try await keeper.apply(body) { continuation.yield(ServerSentEvent($0)) }
                        continuation.yield(ServerSentEvent("result", ApplyView(reports)))
                    } catch {
                        continuation.yield(ServerSentEvent("problem", Self.problem(error)))
                    }
                }
                for await event in events { try await writer.write(ByteBuffer(string: event.text)) }
                try await group.waitForAll()
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-cache"], body: stream)
    }
}

/// An event without a place in the ledger: the progress of one request.
private struct ServerSentEvent: Sendable {
    var text: String

    init(_ kind: String, _ value: some Encodable) {
        text = "event: \(kind)\ndata: \(eventData(value))\n\n"
    }

    init(_ event: ApplyEvent) {
        switch event {
        case .stepBegins(let device, let number, let count, let title):
            self.init("step", ApplyStepView(device: device, number: number, of: count, title: title, failures: nil))
        case .stepEnded(let device, let number, let count, let title, let errors):
            self.init(
                "step",
                ApplyStepView(device: device, number: number, of: count, title: title, failures: errors.count))
        case .deviceEnded(let report): self.init("device", ApplyView.DeviceView(report))
        }
    }
}
