internal import AgentAPI
internal import ArgumentParser
internal import FoundationEssentials
internal import Leasing
internal import PCI
internal import SRIOV

struct Events: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what happens on this host: leases, devices that come and go, drift, applies.",
        discussion: """
            Examples:
              sluice events                        the latest ones
              sluice events --follow               and those to come, from the agent
              sluice events --follow --after 120-7 from a place on: the id in the first column of -o wide
              sluice events -o json                one object a line
            """)

    @Flag(name: .long, help: "Go on with what happens from now on; needs the agent. Ctrl-C ends it.")
    var follow = false
    @Option(name: .long, help: "Begin after the event of this id.") var after: String?
    @Option(name: .long, help: "How many of the latest events are shown.") var last = 20
    @Option(name: .shortAndLong, help: "How to print: table, wide (with ids), json (one object a line).")
    var output = OutputFormat.table
    @OptionGroup var agent: AgentLocation

    func validate() throws {
        if [.yaml, .name].contains(output) { throw ValidationError("events prints table, wide or json.") }
        if !(0...10_000).contains(last) { throw ValidationError("--last \(last): 0 to 10000 events.") }
        if after != nil, !follow { throw ValidationError("--after needs --follow.") }
    }

    func run() throws {
        let client = agent.client
        if follow, client == nil {
            throw LeasingError(
                .unreachable, "no agent answers at \(agent.socket), and only the agent tells what happens",
                remedy: "systemctl start sluiced; without it, sluice events shows what was recorded")
        }
        var place = after
        if after == nil {
            let events = try client.map { try latest($0) } ?? recorded()
            for event in events.suffix(last) { show(event) }
            place = events.last?.id ?? place
        }
        guard follow, let client else { return }
        var id = ""
        try client.lines("/v1/events", lastEventID: place) { line in
            if line.hasPrefix("id: ") { id = String(line.dropFirst(4)) }
            if line.hasPrefix("data: "), let event = EventLine(id: id, data: String(line.dropFirst(6))) { show(event) }
            return !Output.hasFailed
        }
    }

    private func latest(_ client: AgentClient) throws -> [EventLine] {
        let page: EventPage = try client.get("/v1/events/latest?limit=\(last)")
        return page.events.compactMap { EventLine($0) }
    }

    private func recorded() throws -> [EventLine] {
        try EventPage(LedgerReader.open(in: agent.stateDirectory), limit: last).events.compactMap { EventLine($0) }
    }

    private func show(_ event: EventLine) {
        switch output {
        case .json: Output.line(event.data)
        case .wide: Output.line("\(event.id)  \(event.text)")
        default: Output.line(event.text)
        }
    }
}

/// An event as it is printed.
private struct EventLine {
    var id: String
    var text: String
    var data: String

    init?(id: String, data: String) {
        let bytes = Data(data.utf8)
        (self.id, self.data) = (id, data)
        if let transition = try? JSONDecoder().decode(TransitionView.self, from: bytes) {
            text = Self.text(transition)
        } else if let note = try? JSONDecoder().decode(NoteView.self, from: bytes) {
            text = "\(note.time)  \(note.kind)  \(note.subject)  \(note.text)"
        } else {
            return nil
        }
    }

    init?(_ event: EventPage.Event) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        id = event.id
        if let lease = event.lease, let data = try? encoder.encode(lease) {
            (text, self.data) = (Self.text(lease), String(decoding: data, as: UTF8.self))
        } else if let note = event.note, let data = try? encoder.encode(note) {
            text = "\(note.time)  \(note.kind)  \(note.subject)  \(note.text)"
            self.data = String(decoding: data, as: UTF8.self)
        } else {
            return nil
        }
    }

    private static func text(_ transition: TransitionView) -> String {
        "\(transition.time)  lease \(transition.lease)  \(transition.address)  \(transition.from ?? "new") → \(transition.to)"
            + "  \(transition.consumer)  (\(transition.actor): \(transition.cause))"
    }
}
