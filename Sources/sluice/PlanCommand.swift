internal import AgentAPI
internal import ArgumentParser
internal import HostFile
internal import Leasing
internal import SRIOV

/// What plan and apply have in common.
struct PlanOptions: ParsableArguments {
    @OptionGroup var declaration: HostFileOptions

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Only this port or device, by netdev or address; may be given several times.", valueName: "pf"),
        completion: .custom { _, _, _ in Completion.ports() })
    var only: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Take functions from this holder: a domain's name, pid:N, a namespace's or bridge's name, as plan shows them.",
            valueName: "holder"),
        completion: .custom { _, _, _ in Completion.holders() })
    var evict: [String] = []

    @OptionGroup var agent: AgentLocation

    var stateDirectory: StateDirectory { agent.stateDirectory }

    /// The plan for a kernel's host, and the apply that was interrupted before it.
    func plan(
        _ kernel: any HostKernel, _ declared: DeclaredHost, leases: [Lease], isLive: Bool, isApplying: Bool = false
    ) throws -> (plan: Plan, interrupted: Journal.Interrupted?) {
        var options = Planner.Options()
        options.isRecorded = !isLive
        options.evicted = Set(evict)
        options.only = Set(only)
        var interrupted: Journal.Interrupted?
        if isLive {
            do throws(SRIOVError) {
                interrupted = try Journal.interrupted(in: stateDirectory)
                options.interrupted = interrupted?.owed ?? [:]
                options.busy = try DeviceClaim.unreturned(
                    in: stateDirectory, deadline: isApplying ? .seconds(30) : nil)
                options.knownSerials = try KnownSerials(state: stateDirectory, files: kernel.files).current()
            } catch {
                // An ordinary user may plan, and is told what could not be seen.
                if isRoot || isApplying { throw error }
            }
        }
        var host = try HostReader(kernel: kernel).read(knownSerials: options.knownSerials)
        host.add(leases)
        let plan = try Planner.plan(to: declared, with: leases, on: host, kernel: kernel, options: options)
        try options.check(plan, on: host)
        return (plan, interrupted)
    }

    /// What is sent to the agent for a host file.
    func body() throws -> PlanBody {
        let (text, name) = try HostFileOptions.read(declaration.file)
        return PlanBody(hostFile: text, name: name, only: only, evict: evict)
    }
}

struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Show the steps from the host as it is to the host file, and change nothing.",
        discussion: """
            Examples:
              sluice plan                                       for /etc/sluice/host.yaml
              sluice plan -f host.yaml --only eno49
              sluice plan -f host.yaml --snapshot other.txt     for a recorded host

            Exit status: 0 nothing to do, 2 there are steps, 3 something is refused.
            """)

    @OptionGroup var options: PlanOptions
    @OptionGroup var source: HostOptions
    @Option(name: .shortAndLong, help: "How to print: table, json, yaml.") var output = OutputFormat.table

    func validate() throws {
        if [.wide, .name].contains(output) { throw ValidationError("plan prints table, json or yaml.") }
    }

    func run() throws {
        // Mistakes in the file are told without anybody's help.
        let declared = try HostFileOptions.load(options.declaration.file)
        var summary: String?
        let view: PlanView
        let client = source.isLive ? options.agent.client : nil
        if let client {
            view = try client.send("POST", "/v1/plans", options.body())
        } else {
            let leases = source.isLive ? try options.agent.recordedLeases() : []
            let (plan, interrupted) = try options.plan(
                try source.kernel(), declared, leases: leases, isLive: source.isLive)
            view = PlanView(plan)
            summary = interrupted?.summary
        }
        if output == .json || output == .yaml {
            try Output.encode(view, as: output)
        } else {
            if let summary { Output.line(summary + "\n") }
            // Without root the processes of others are not seen, and "free" would be a guess.
            let isSure = !source.isLive || isRoot || client != nil
            Output.line(view.text(knowsHolders: isSure) + (view.isEmpty ? "" : " Nothing has been changed."))
            if !isSure { Output.error("Not run as root: who has a function open could not be seen.") }
        }
        if view.hasRefusals { throw Status.refused }
        if !view.isEmpty { throw Status.changes }
    }
}

// MARK: - For people

extension PlanView {
    var isEmpty: Bool { modules.isEmpty && devices.allSatisfy { $0.steps.isEmpty && $0.refusals.isEmpty } }
    var hasRefusals: Bool { devices.contains { !$0.refusals.isEmpty } }
    var stepCount: Int { devices.reduce(modules.count) { $0 + $1.steps.count } }

    /// The plan, a block a device, and a closing line.
    func text(knowsHolders: Bool = true) -> String {
        var blocks = warnings.map { Output.colour("!", .yellow) + " " + $0.text }
        if !modules.isEmpty {
            blocks.append("load the module\(modules.count == 1 ? "" : "s") \(modules.joined(separator: ", "))")
        }
        blocks += devices.filter { !$0.steps.isEmpty || !$0.refusals.isEmpty }.map { $0.text(knowsHolders) }
        return (blocks + [summary]).joined(separator: "\n")
    }

    private var summary: String {
        if isEmpty { return "Nothing to do: the host is as declared." }
        func counted(_ count: Int, _ word: String) -> String { "\(count) \(word)\(count == 1 ? "" : "s")" }
        let working = devices.filter { !$0.steps.isEmpty }.count
        let refusals = devices.reduce(0) { $0 + $1.refusals.count }
        var text = working == 0 ? "No steps" : "\(counted(stepCount, "step")) on \(counted(working, "device"))"
        if refusals > 0 { text += "; \(refusals) refused" }
        return text + "."
    }

    /// What is refused, without the steps.
    var refusalText: String {
        var plan = self
        plan.modules = []
        plan.warnings = []
        plan.devices = devices.filter { !$0.refusals.isEmpty }.map { device in
            var device = device
            device.steps = []
            return device
        }
        return plan.text()
    }
}

extension PlanView.WarningView {
    var text: String { "\(message)  [\(code)]" + (remedy.map { "\n  → \($0)" } ?? "") }
}

extension PlanView.DeviceView {
    fileprivate func text(_ knowsHolders: Bool) -> String {
        let held = refusals.contains { !$0.holders.isEmpty }
        let isFree = knowsHolders && !held && !steps.isEmpty && !isHeld
        var lines = [
            Output.colour(name, .bold) + (address.map { " \($0)" } ?? "") + (isFree ? " (free of holders)" : "")
        ]
        let width = steps.map(\.title.count).max() ?? 0
        for (number, step) in steps.enumerated() {
            let pad = String(repeating: " ", count: width - step.title.count + 4)
            lines.append("  \(number + 1)  \(step.title)\(pad)\(Output.colour(step.reason, .dim))")
        }
        for refusal in refusals { lines += refusal.lines }
        return lines.joined(separator: "\n")
    }
}

extension PlanView.RefusalView {
    fileprivate var lines: [String] {
        var lines = ["  \(Output.colour("✗", .red))  \(message)  [\(code)]"]
        let names = holders.map(\.function.count).max() ?? 0
        let descriptions = holders.map(\.holder.description.count).max() ?? 0
        for held in holders {
            let name = held.function + String(repeating: " ", count: names - held.function.count)
            let holder = held.holder.description
            lines.append(
                "       \(name)  \(holder)\(String(repeating: " ", count: descriptions - holder.count))  \(held.remedy)"
            )
        }
        if let remedy { lines.append("     → \(remedy)") }
        return lines
    }
}

extension Journal.Interrupted {
    /// One sentence that there is an apply that did not end.
    var summary: String {
        let steps = devices.flatMap(\.steps)
        let done = steps.count { $0.progress == .done }
        return
            "An apply of \(file) was interrupted after \(done) of \(steps.count) steps; what it left is part of this plan."
    }
}
