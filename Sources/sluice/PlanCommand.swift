internal import AgentAPI
internal import ArgumentParser
internal import HostFile
internal import Netlink
internal import PCI
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

    @Option(
        name: .long, help: ArgumentHelp("Where the program keeps its records.", valueName: "dir"),
        completion: .directory)
    var state = "/var/lib/sluice"

    var stateDirectory: StateDirectory { StateDirectory(path: state) }

    /// The plan for a kernel's host, and the apply that was interrupted before it.
    func plan(
        _ kernel: any HostKernel, _ declared: DeclaredHost, isLive: Bool, isApplying: Bool = false
    ) throws -> (plan: Plan, interrupted: Journal.Interrupted?) {
        var options = Planner.Options()
        options.isRecorded = !isLive
        options.evicted = Set(evict)
        options.only = Set(only)
        var interrupted: Journal.Interrupted?
        if isLive {
            interrupted = try Journal.interrupted(in: stateDirectory)
            options.interrupted = interrupted?.owed ?? [:]
            options.busy = try DeviceClaim.unreturned(in: stateDirectory, deadline: isApplying ? .seconds(30) : nil)
            options.knownSerials = try KnownSerials(state: stateDirectory, files: kernel.files).current()
        }
        let host = try HostReader(kernel: kernel).read()
        var modes: [PCIAddress: Devlink.EswitchMode] = [:]
        if declared.physicalFunctions.contains(where: { $0.eswitchMode != nil }) {
            for port in host.physicalFunctions where port.pci.driver != nil {
                // A driver that cannot be asked has no mode to change to; the planner says so.
                if let mode = (try? kernel.eswitchMode(of: port.pci.address)) ?? nil { modes[port.pci.address] = mode }
            }
        }
        let plan = Planner(host: host, files: kernel.files, options: options).plan(to: declared, eswitchModes: modes)
        try check(plan, declared, host)
        return (plan, interrupted)
    }

    /// A name that means nothing is a mistake, not a wish that nothing happen.
    private func check(_ plan: Plan, _ declared: DeclaredHost, _ host: Host) throws {
        // Two entries for one device contradict each other: which of them is meant is not for us to guess.
        let twice = plan.devices.flatMap(\.refusals).filter { $0.error.code == .deviceClaimedTwice }
        if let first = twice.first { throw first.error }
        for name in only where !plan.devices.contains(where: { $0.name == name || $0.address.map { "\($0)" } == name })
        {
            throw ValidationError("--only \(name): the host file declares no such device.")
        }
        let holders = host.functions.flatMap(\.holders)
        for name in evict {
            let named = holders.filter { $0.identifier == name }
            if named.isEmpty {
                let known = Set(holders.filter(\.isEvictable).map(\.identifier)).sorted().joined(separator: ", ")
                throw ValidationError(
                    "--evict \(name): there is no such holder (\(known.isEmpty ? "none at all" : known)).")
            }
            if let first = named.first, !first.isEvictable {
                throw ValidationError("--evict \(name): \(first) is the host's own and is never given up.")
            }
        }
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
        let declared = try HostFileOptions.load(options.declaration.file)
        let (plan, interrupted) = try options.plan(try source.kernel(), declared, isLive: source.isLive)
        if output == .json || output == .yaml {
            try Output.encode(PlanView(plan), as: output)
        } else {
            if let interrupted { Output.line(interrupted.summary + "\n") }
            Output.line(plan.text + (plan.isEmpty ? "" : " Nothing has been changed."))
        }
        if plan.hasRefusals { throw Status.refused }
        if !plan.isEmpty { throw Status.changes }
    }
}

// MARK: - For people

extension Plan {
    /// The plan, a block a device, and a closing line.
    var text: String {
        var blocks = warnings.map { Output.colour("!", .yellow) + " " + $0.description }
        if !modules.isEmpty {
            blocks.append("load the module\(modules.count == 1 ? "" : "s") \(modules.joined(separator: ", "))")
        }
        blocks += devices.filter { !$0.steps.isEmpty || !$0.refusals.isEmpty }.map(\.text)
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
}

extension DevicePlan {
    fileprivate var text: String {
        let held = refusals.contains { !$0.holders.isEmpty }
        var lines = [
            Output.colour(name, .bold) + (address.map { " \($0)" } ?? "")
                + (held || steps.isEmpty || isHeld ? "" : " (free of holders)")
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

extension Refusal {
    fileprivate var lines: [String] {
        var lines = ["  \(Output.colour("✗", .red))  \(error.message)  [\(error.code.rawValue)]"]
        let names = holders.map(\.function.count).max() ?? 0
        let descriptions = holders.map(\.holder.description.count).max() ?? 0
        for held in holders {
            let name = held.function + String(repeating: " ", count: names - held.function.count)
            let holder = held.holder.description
            lines.append(
                "       \(name)  \(holder)\(String(repeating: " ", count: descriptions - holder.count))  \(held.holder.remedy)"
            )
        }
        if let remedy = error.remedy { lines.append("     → \(remedy)") }
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

// MARK: - For machines
