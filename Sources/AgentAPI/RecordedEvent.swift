package import Leasing

/// A place in the ledger's two rows of events: leases' transitions and notes.
package struct EventPosition: Sendable, Hashable, LosslessStringConvertible {
    package var transition: Int64
    package var note: Int64

    package init(transition: Int64, note: Int64) {
        self.transition = transition
        self.note = note
    }

    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false).map { Int64($0) }
        guard parts.count == 2, let transition = parts[0], let note = parts[1], transition >= 0, note >= 0 else {
            return nil
        }
        self.init(transition: transition, note: note)
    }

    package var description: String { "\(transition)-\(note)" }
}

/// Something that happened, and its place in the ledger.
package struct RecordedEvent: Sendable {
    /// What happened.
    package enum Content: Sendable {
        case transition(Transition)
        case note(Note)
    }

    package var position: EventPosition
    package var content: Content

    package init(position: EventPosition, content: Content) {
        self.position = position
        self.content = content
    }

    /// The events of a ledger after a place, in the order of their times; at most some hundred.
    package static func all(
        after start: EventPosition, in ledger: LedgerReader, limit: Int = 250
    ) throws(LeasingError) -> [RecordedEvent] {
        let transitions = try ledger.transitions(after: start.transition, limit: limit)
        let notes = try ledger.notes(after: start.note, limit: limit)
        var position = start
        var events: [RecordedEvent] = []
        var (left, right) = (transitions[...], notes[...])
        while true {
            let takesTransition =
                right.first.map { note in left.first.map { $0.time <= note.time } ?? false } ?? !left.isEmpty
            if takesTransition, let transition = left.popFirst() {
                position.transition = transition.number
                events.append(RecordedEvent(position: position, content: .transition(transition)))
            } else if let note = right.popFirst() {
                position.note = note.number
                events.append(RecordedEvent(position: position, content: .note(note)))
            } else {
                return events
            }
        }
    }
}

/// The latest events, as the agent sends them and the ledger has them.
package struct EventPage: Codable, Sendable, Hashable {
    /// An event: a lease's or another.
    package struct Event: Codable, Sendable, Hashable {
        package var id: String
        package var lease: TransitionView?
        package var note: NoteView?
    }

    package var events: [Event]

    /// The latest events of a ledger, oldest first; none where there is no ledger.
    package init(_ ledger: LedgerReader?, limit: Int) throws(LeasingError) {
        guard let ledger else {
            events = []
            return
        }
        let last = try ledger.lastNumbers()
        let start = EventPosition(
            transition: max(0, last.transition - Int64(limit)), note: max(0, last.note - Int64(limit)))
        events = try RecordedEvent.all(after: start, in: ledger, limit: limit).suffix(limit).map { event in
            switch event.content {
            case .transition(let transition):
                Event(id: "\(event.position)", lease: TransitionView(transition), note: nil)
            case .note(let note): Event(id: "\(event.position)", lease: nil, note: NoteView(note))
            }
        }
    }
}
