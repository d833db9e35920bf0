internal import AgentAPI
internal import ArgumentParser
internal import Diagnosis
internal import PCI
internal import SRIOV

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what is wrong with the host, why, and how to mend it.",
        discussion: """
            Examples:
              sluice doctor                      what is wrong here
              sluice doctor -o json              for programs
              sluice doctor --snapshot FILE      what was wrong with a recorded host
              sluice doctor --list               all faults that are known
              sluice doctor --explain host.noIOMMU
              sluice doctor --message 'error: internal error: No more available PCI slots'
              sluice doctor --fix                mend what can be mended, each after a question
              sluice doctor --fix pf.down --yes

            Exit status: 0 nothing is wrong; 2 something will fail when it is needed; 3 something does not work.
            """)

    @OptionGroup var source: HostOptions
    @OptionGroup var format: OutputOptions
    @OptionGroup var agent: AgentLocation
    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp(
            "The host file that the host is compared with (default: \(HostFileOptions.defaultPath), if there is one).",
            valueName: "file"),
        completion: .file(extensions: ["yaml", "yml"]))
    var file: String?
    @Option(
        name: .long, help: "Explain a message of libvirt, QEMU, the kernel or OpenStack instead of looking at the host."
    )
    var message: String?
    @Option(
        name: .long, help: ArgumentHelp("Explain a fault, and show it where this host has it.", valueName: "id"),
        completion: .list(FaultKind.all.map(\.id)))
    var explain: String?
    @Flag(name: .long, help: "List the faults that are known.") var list = false
    @Flag(name: .long, help: ArgumentHelp("With --list: as Documentation/generated/faults.md.", visibility: .hidden))
    var markdown = false
    @Flag(name: .long, help: "Mend what can be mended: all of it, or the faults that are named.") var fix = false
    @Flag(name: .shortAndLong, help: "With --fix: do not ask.") var yes = false
    @Argument(
        help: ArgumentHelp("With --fix: the faults to mend.", valueName: "id"),
        completion: .list(FaultKind.all.filter { $0.fix != nil }.map(\.id)))
    var ids: [String] = []

    func validate() throws {
        if [message != nil, explain != nil, list, fix].count(where: \.self) > 1 {
            throw ValidationError("--message, --explain, --list and --fix exclude each other.")
        }
        if fix, !source.isLive { throw ValidationError("--fix mends this host only: leave --root and --snapshot out.") }
        if !fix, yes || !ids.isEmpty { throw ValidationError("Faults are named and --yes is given with --fix only.") }
        for id in ids + [explain].compactMap(\.self) where FaultKind.named(id) == nil {
            let known = FaultKind.all.map(\.id).joined(separator: ", ")
            throw ValidationError("There is no fault \(id.prefix(100)). Known are: \(known)")
        }
    }

    func run() throws {
        if let message { return try explain(message) }
        if list { return try FaultList.print(as: markdown ? nil : format.output) }
        if [.table, .wide].contains(format.output) { source.tellWhatIsHidden() }
        let faults = try faults()
        if let explain, let kind = FaultKind.named(explain) {
            return try show(kind, faults.filter { $0.id == kind.id })
        }
        if fix { return try mend(faults) }
        try show(faults)
    }

    // MARK: Looking

    /// What is wrong. The agent knows more than can be seen from here: libvirt's networks and machines, and the pools.
    private func faults() throws -> [FaultView] {
        if source.isLive, file == nil, let client = agent.client { return try client.get("/v1/faults") }
        let (host, facts) = try look()
        return Diagnosis.faults(of: host, facts).map(FaultView.init)
    }

    private func look() throws -> (Host, HostFacts) {
        let (host, kernel) = try source.host(agent)
        var facts = HostFacts(
            reading: kernel.files, log: source.isLive ? HostLog.lines() : nil)
        let isThere = try LiveFileTree().bytes(HostFileOptions.defaultPath) != nil
        if let file = file ?? (source.isLive && isThere ? HostFileOptions.defaultPath : nil) {
            let leases = source.isLive ? try agent.recordedLeases() : []
            var options = try PlanOptions.parse(["-f", file, "--state", agent.state])
            options.agent = agent
            do {
                let plan = try options.plan(
                    kernel, try HostFileOptions.load(file), leases: leases, isLive: source.isLive
                ).plan
                facts.plan = plan
                facts.handedOut = Set(
                    plan.devices.compactMap(\.address).flatMap { host.virtualFunctions(of: $0).map(\.pci.address) })
            } catch  where self.file == nil {
                // What else is wrong is told all the same.
                Output.error("The host is not compared with its host file: \(error)")
            }
        }
        return (host, facts)
    }

    // MARK: Mending

    private func mend(_ faults: [FaultView]) throws {
        let wanted = Set(ids.map { $0.lowercased() })
        let named = faults.filter { wanted.isEmpty || wanted.contains($0.id.lowercased()) }
        // What others on the host may want otherwise is changed only when it is named.
        let fixable = named.filter { $0.fix != nil && (!wanted.isEmpty || $0.id != "bridge.filtered") }
        if named.isEmpty {
            Output.line("\(Output.colour("✓", .green)) nothing is wrong that can be seen from here")
            return
        }
        var isDone = true
        var repaired: Set<FaultRepair.Action> = []
        for fault in fixable {
            let action = try FaultRepair.action(for: fault, file: file, agent: agent)
            // One apply mends all that differs of a port.
            guard repaired.insert(action).inserted else { continue }
            Output.line(text(fault))
            do {
                if try !FaultRepair(agent: agent, asks: !yes).carryOut(action) { isDone = false }
            } catch let status as ExitCode {
                // An apply has said itself what it has not done.
                if status != .success { isDone = false }
            }
        }
        for fault in named where !fixable.contains(fault) {
            Output.line(text(fault))
            isDone = false
        }
        // Whether it has helped is seen by looking again.
        let rest = try self.faults().filter { fault in
            fixable.contains { $0.id == fault.id && $0.subject == fault.subject }
        }
        for fault in rest where isDone { Output.error("\(fault.title) [\(fault.id)] is still so") }
        if !isDone || !rest.isEmpty { throw Status.refused }
        Output.line("\(Output.colour("✓", .green)) mended, and looked at again")
    }

    // MARK: Telling

    /// A fault in general, and as this host has it.
    private func show(_ kind: FaultKind, _ faults: [FaultView]) throws {
        switch format.output {
        case .json, .yaml: try Output.encode(ExplanationView(kind, faults), as: format.output)
        case .name: Output.line(kind.id)
        case .table, .wide:
            let lines =
                kind.allCauses.map { ("cause", $0) } + kind.allRemedies.map { ("remedy", $0) }
                + [kind.fix.map { ("--fix", $0) }, kind.detection.map { ("found by", $0) }].compactMap(\.self)
                + kind.messages.map { ("message", $0.parts.joined(separator: " … ")) }
            Output.line(([kind.title + "  [\(kind.id)]"] + Self.indented(lines)).joined(separator: "\n"))
            Output.line("")
            for fault in faults { Output.line(text(fault)) }
            if faults.isEmpty {
                Output.line("\(Output.colour("✓", .green)) this host does not have it, as far as can be seen")
            }
        }
    }

    private func explain(_ message: String) throws {
        // What the host knows of the devices in it is added where the host can be read.
        let looked = try? look()
        guard let fault = KnownMessage.fault(in: message, on: looked?.0, looked?.1).map(FaultView.init) else {
            throw ValidationError("The message is not known. Documentation/faults.md lists those that are.")
        }
        switch format.output {
        case .json, .yaml: try Output.encode(fault, as: format.output)
        case .name: Output.line(fault.id)
        case .table, .wide: Output.line(text(fault))
        }
    }

    private func show(_ faults: [FaultView]) throws {
        switch format.output {
        case .json, .yaml: try Output.encode(faults, as: format.output)
        case .name: for fault in faults { Output.line(fault.id) }
        case .table, .wide:
            for fault in faults { Output.line(text(fault)) }
            if faults.isEmpty {
                Output.line("\(Output.colour("✓", .green)) nothing is wrong that can be seen from here")
            }
        }
        if let worst = faults.first {
            throw worst.severity == Fault.Severity.error.rawValue ? Status.refused : Status.changes
        }
    }

    private func text(_ fault: FaultView) -> String {
        let isError = fault.severity == Fault.Severity.error.rawValue
        let mark = isError ? Output.colour("✗", .red) : Output.colour("!", .yellow)
        // A message is no fault of this host: there is nothing here to mend.
        let fix = message == nil ? fault.fix.map { [("remedy", "sluice doctor --fix \(fault.id)  \($0)")] } ?? [] : []
        let lines =
            fault.evidence.map { ("evidence", $0) } + [("cause", fault.cause)] + fix
            + fault.remedies.map { ("remedy", $0) }
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
