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
              sluice doctor --message 'error: internal error: No more available PCI slots'

            Exit status: 0 nothing is wrong; 2 something will fail when it is needed; 3 something does not work.
            """)

    @OptionGroup var source: HostOptions
    @OptionGroup var format: OutputOptions
    @OptionGroup var agent: AgentLocation
    @Option(name: .long, help: "Explain a message of libvirt, QEMU or the kernel instead of looking at the host.")
    var message: String?

    func run() throws {
        if let message { return try explain(message) }
        let (host, kernel) = try source.host(agent)
        if format.output == .table || format.output == .wide { source.tellWhatIsHidden() }
        try show(Diagnosis.faults(of: host, KernelFacts(reading: kernel.files)))
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
        var last = ""
        return
            (["\(mark) \(fault.title)  [\(fault.id)]"]
            + lines.map { word, line in
                let label = word == last ? "" : word
                last = word
                return "    " + label + String(repeating: " ", count: 10 - label.count) + line
            }).joined(separator: "\n")
    }
}
