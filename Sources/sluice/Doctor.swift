internal import AgentAPI
internal import ArgumentParser
internal import Diagnosis
internal import SRIOV

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what is wrong with the host, why, and how to mend it.",
        discussion: """
            Examples:
              sluice doctor                      what is wrong here
              sluice doctor -o json              for programs
              sluice doctor --snapshot FILE      what was wrong with a recorded host
              sluice doctor --explain host.noIOMMU
              sluice doctor --message 'error: internal error: No more available PCI slots'

            Exit status: 0 nothing is wrong; 2 something will fail when it is needed; 3 something does not work.
            """)

    @OptionGroup var source: HostOptions
    @OptionGroup var format: OutputOptions
    @OptionGroup var agent: AgentLocation
    @Option(name: .long, help: "Explain a message of libvirt, QEMU or the kernel instead of looking at the host.")
    var message: String?
    @Option(
        name: .long, help: ArgumentHelp("Explain a fault, and show it where this host has it.", valueName: "id"),
        completion: .list(Explanation.all.map(\.id)))
    var explain: String?

    func validate() throws {
        if message != nil, explain != nil { throw ValidationError("--message and --explain exclude each other.") }
    }

    func run() throws {
        if let message { return try explain(message) }
        let explanation = try explain.map { try Self.explanation($0) }
        let (host, kernel) = try source.host(agent)
        if format.output == .table || format.output == .wide { source.tellWhatIsHidden() }
        let faults = try Diagnosis.faults(of: host, KernelFacts(reading: kernel.files))
        if let explanation { return try show(explanation, faults.filter { $0.id == explanation.id }) }
        try show(faults)
    }

    private static func explanation(_ id: String) throws -> Explanation {
        guard let found = Explanation.all.first(where: { $0.id.lowercased() == id.lowercased() }) else {
            let known = Explanation.all.map(\.id).joined(separator: ", ")
            throw ValidationError("There is no fault \(id.prefix(100)). Known are: \(known)")
        }
        return found
    }

    /// A fault in general, and as this host has it.
    private func show(_ explanation: Explanation, _ faults: [Fault]) throws {
        switch format.output {
        case .json, .yaml: try Output.encode(ExplanationView(explanation, faults), as: format.output)
        case .name: Output.line(explanation.id)
        case .table, .wide:
            let lines =
                explanation.causes.map { ("cause", $0) } + explanation.remedies.map { ("remedy", $0) }
                + explanation.messages.map { ("message", $0) }
            Output.line(([explanation.title + "  [\(explanation.id)]"] + Self.indented(lines)).joined(separator: "\n"))
            Output.line("")
            for fault in faults { Output.line(text(fault)) }
            if faults.isEmpty {
                Output.line("\(Output.colour("✓", .green)) this host does not have it, as far as can be seen")
            }
        }
    }

    private func explain(_ message: String) throws {
        guard let fault = KnownMessage.fault(in: message) else {
            throw ValidationError("The message is not known. Documentation/faults.md lists those that are.")
        }
        switch format.output {
        case .json, .yaml: try Output.encode(FaultView(fault), as: format.output)
        case .name: Output.line(fault.id)
        case .table, .wide: Output.line(text(fault))
        }
    }

    private func show(_ faults: [Fault]) throws {
        switch format.output {
        case .json, .yaml: try Output.encode(faults.map(FaultView.init), as: format.output)
        case .name: for fault in faults { Output.line(fault.id) }
        case .table, .wide:
            for fault in faults { Output.line(text(fault)) }
            if faults.isEmpty {
                Output.line("\(Output.colour("✓", .green)) nothing is wrong that can be seen from here")
            }
        }
        if let worst = faults.first { throw worst.severity == .error ? Status.refused : Status.changes }
    }

    private func text(_ fault: Fault) -> String {
        let mark = fault.severity == .error ? Output.colour("✗", .red) : Output.colour("!", .yellow)
        let lines =
            fault.evidence.map { ("evidence", $0) } + [("cause", fault.cause)] + fault.remedies.map { ("remedy", $0) }
        return (["\(mark) \(fault.title)  [\(fault.id)]"] + Self.indented(lines)).joined(separator: "\n")
    }

    /// Lines with a word before the first of each kind.
    private static func indented(_ lines: [(String, String)]) -> [String] {
        var last = ""
        return lines.map { word, line in
            let label = word == last ? "" : word
            last = word
            return "    " + label + String(repeating: " ", count: 10 - label.count) + line
        }
    }
}
