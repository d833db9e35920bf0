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

    init(_ event: RecordedEvent) {
        position = event.position
        switch event.content {
        case .transition(let transition): (kind, data) = ("lease", eventData(TransitionView(transition)))
        case .note(let note): (kind, data) = (note.kind, eventData(NoteView(note)))
        }
    }

    /// The event as server-sent events have it.
    var text: String { "id: \(position)\nevent: \(kind)\ndata: \(data)\n\n" }
}

/// Hands events to all who listen, each at its own pace.
final class EventHub: Sendable {
    fileprivate struct State {
        var position = EventPosition(transition: 0, note: 0)
        var next = 0
        var listeners: [Int: AsyncStream<AgentEvent>.Continuation] = [:]
    }

    private let state = Mutex(State())

    /// Where the last event is.
    var position: EventPosition { state.withLock { $0.position } }

    func start(at position: EventPosition) { state.withLock { $0.position = position } }

    /// Publishes what a commit has written, in the order of the ledger.
    func publish(_ transitions: [Transition], _ notes: [Note]) {
        let overflowing = state.withLock { state in
            var overflowing: [AsyncStream<AgentEvent>.Continuation] = []
            for transition in transitions {
                state.position.transition = transition.number
                overflowing += state.yield(RecordedEvent(position: state.position, content: .transition(transition)))
            }
            for note in notes {
                state.position.note = note.number
                overflowing += state.yield(RecordedEvent(position: state.position, content: .note(note)))
            }
            return overflowing
        }
        // Outside of the lock, which what follows their end takes.
        for listener in overflowing { listener.finish() }
    }

    /// A stream of what happens from now on, and what ends it. It ends by itself when the listener falls far behind: who
    /// comes back with the position of the last event that it got has missed nothing.
    func listen() -> (events: AsyncStream<AgentEvent>, end: @Sendable () -> Void) {
        let (stream, continuation) = AsyncStream.makeStream(
            of: AgentEvent.self, bufferingPolicy: .bufferingOldest(4096))
        let number = state.withLock { state in
            state.next += 1
            state.listeners[state.next] = continuation
            return state.next
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.listeners.removeValue(forKey: number) }
        }
        return (stream, { continuation.finish() })
    }

    /// Ends all streams.
    func close() {
        let listeners = state.withLock { Array($0.listeners.values) }
        for listener in listeners { listener.finish() }
    }
}

extension EventHub.State {
    /// Hands an event to all, and returns the listeners that have no room for it: they get no more.
    fileprivate mutating func yield(_ event: RecordedEvent) -> [AsyncStream<AgentEvent>.Continuation] {
        guard !listeners.isEmpty else { return [] }
        let event = AgentEvent(event)
        var overflowing: [AsyncStream<AgentEvent>.Continuation] = []
        for (number, listener) in listeners {
            guard case .dropped = listener.yield(event) else { continue }
            overflowing.append(listener)
            listeners[number] = nil
        }
        return overflowing
    }
}

/// The data of a server-sent event: a JSON object in one line.
func eventData(_ value: some Encodable) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // These values have nothing that JSON cannot hold.
    return (try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
}
