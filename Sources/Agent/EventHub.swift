internal import AgentAPI
internal import FoundationEssentials
internal import Leasing
internal import Synchronization

/// Something that happened, as it is sent to those who listen.
struct AgentEvent: Sendable {
    /// Where it is in the ledger: a client that returns with it gets what it has missed.
    var position: EventPosition
    /// `lease`, `function`, `drift`, `apply`, `error`.
    var kind: String
    /// A JSON object.
    var data: String

    init(_ transition: Transition, at position: EventPosition) {
        self.position = position
        kind = "lease"
        data = AgentEvent.json(TransitionView(transition))
    }

    init(_ note: Note, at position: EventPosition) {
        self.position = position
        kind = note.kind
        data = AgentEvent.json(NoteView(note))
    }

    private static func json(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // These values have nothing that JSON cannot hold.
        return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    /// The event as server-sent events have it.
    var text: String { "id: \(position)\nevent: \(kind)\ndata: \(data)\n\n" }
}

/// A place in the ledger's two rows of events: leases' transitions and notes.
struct EventPosition: Sendable, Hashable, LosslessStringConvertible {
    var transition: Int64
    var note: Int64

    init(transition: Int64, note: Int64) {
        self.transition = transition
        self.note = note
    }

    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
        guard parts.count == 2, let transition = parts[0], let note = parts[1], transition >= 0, note >= 0 else {
            return nil
        }
        self.init(transition: transition, note: note)
    }

    var description: String { "\(transition)-\(note)" }
}

/// Hands events to all who listen, each at its own pace.
final class EventHub: Sendable {
    private struct State {
        var position = EventPosition(transition: 0, note: 0)
        var next = 0
        var listeners: [Int: AsyncStream<AgentEvent>.Continuation] = [:]
    }

    private let state = Mutex(State())

    /// Where the last event is.
    var position: EventPosition { state.withLock { $0.position } }

    func start(at position: EventPosition) { state.withLock { $0.position = position } }

    func publish(_ transitions: [Transition]) {
        state.withLock { state in
            for transition in transitions {
                state.position.transition = max(state.position.transition, transition.number)
                let event = AgentEvent(transition, at: state.position)
                for listener in state.listeners.values { listener.yield(event) }
            }
        }
    }

    func publish(_ note: Note) {
        state.withLock { state in
            state.position.note = max(state.position.note, note.number)
            let event = AgentEvent(note, at: state.position)
            for listener in state.listeners.values { listener.yield(event) }
        }
    }

    /// A stream of what happens from now on; a listener that falls far behind loses the oldest, and comes back with the
    /// position of the last one that it got.
    func listen() -> AsyncStream<AgentEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: AgentEvent.self, bufferingPolicy: .bufferingNewest(4096))
        let number = state.withLock { state in
            state.next += 1
            state.listeners[state.next] = continuation
            return state.next
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.listeners.removeValue(forKey: number) }
        }
        return stream
    }

    /// Ends all streams.
    func close() {
        let listeners = state.withLock { Array($0.listeners.values) }
        for listener in listeners { listener.finish() }
    }
}
