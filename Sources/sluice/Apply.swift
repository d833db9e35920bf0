internal import ArgumentParser
internal import Glibc
internal import SRIOV
internal import Synchronization

struct Apply: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring the host to the state of the host file.",
        discussion: """
            Only what differs is touched, and nothing that is in use. Every step is recorded before it is done: an apply
            that was killed is finished by the next one.

            Examples:
              sluice apply                               shows the plan and asks
              sluice apply -f host.yaml --yes            at boot, in scripts
              sluice apply -f host.yaml --only eno49
              sluice apply -f host.yaml --evict vm-3     takes VFs from the domain vm-3
              sluice apply --recover                     shows how far an interrupted apply came

            Exit status: 0 done, or nothing to do; 1 a step or a VF failed; 3 something was refused, the rest was done.
            """)

    @OptionGroup var options: PlanOptions
    @Flag(name: .shortAndLong, help: "Do not ask.") var yes = false
    @Flag(name: .long, help: "Do not wait while another apply runs.") var noWait = false
    @Flag(name: .long, help: "Show how far an interrupted apply came and what it still owes; then go on with it.")
    var recover = false

    func run() throws {
        let kernel = LinuxKernel(writer: try WriterProcess.channel())
        let lock = try ApplyLock.take(in: options.stateDirectory, command: command) { holder in
            if !noWait {
                Output.error("Waiting for another apply (\(holder)). Ctrl-C gives up; nothing has been changed.")
            }
            return !noWait
        }
        defer { withExtendedLifetime(lock) {} }
        guard let file = try fileToApply() else {
            Output.line("No apply was interrupted.")
            return
        }
        let declared = try HostFileOptions.load(file)
        var (plan, interrupted) = try options.plan(kernel, declared, isLive: true, isApplying: true)
        if !yes {
            Output.line(plan.text)
            guard plan.stepCount > 0 else { return try finish(plan, interrupted) }
            guard try confirmed() else {
                Output.line("Nothing has been changed.")
                return
            }
            // The answer may have taken minutes, in which somebody may have started to use a VF.
            let shown = plan
            (plan, interrupted) = try options.plan(kernel, declared, isLive: true, isApplying: true)
            guard plan.text == shown.text else {
                throw SRIOVError(
                    .held, "the host has changed since the plan was shown; nothing has been changed",
                    remedy: "look at the new plan: sluice apply -f \(file)")
            }
        } else if plan.hasRefusals {
            Output.line(plan.refusalText)
        }
        for warning in yes ? plan.warnings : [] { Output.error("! \(warning)") }
        guard plan.stepCount > 0 else {
            if yes, !plan.hasRefusals { Output.line("Nothing to do: the host is as declared.") }
            return try finish(plan, interrupted)
        }
        try apply(plan, kernel, file, interrupted)
    }

    private var command: String { CommandLine.arguments.joined(separator: " ") }

    /// The file that was given, or with --recover the one of the interrupted apply. nil when there is none.
    private func fileToApply() throws -> String? {
        guard recover else { return options.declaration.file }
        guard let interrupted = try Journal.interrupted(in: options.stateDirectory) else { return nil }
        Output.line(interrupted.text)
        let isGiven = options.declaration.file != HostFileOptions.defaultPath
        return isGiven || interrupted.file.isEmpty ? options.declaration.file : interrupted.file
    }

    private func confirmed() throws -> Bool {
        guard Output.isTerminal(0) else {
            throw ValidationError("Standard input is not a terminal, so nobody can be asked: give --yes.")
        }
        Output.write("Apply? [y/N] ")
        let answer = readLine() ?? ""
        return ["y", "yes"].contains(answer.lowercased())
    }

    /// Nothing is to be done: what an interrupted apply owed has been paid.
    private func finish(_ plan: Plan, _ interrupted: Journal.Interrupted?) throws {
        let settled = Set(plan.devices.filter(\.refusals.isEmpty).compactMap(\.address))
        if let interrupted, interrupted.owed.keys.allSatisfy({ settled.contains($0) }) {
            try Journal.close(in: options.stateDirectory)
        }
        if plan.hasRefusals { throw Status.refused }
    }

    private func apply(
        _ plan: Plan, _ kernel: LinuxKernel, _ file: String, _ interrupted: Journal.Interrupted?
    ) throws {
        let progress = Progress(devices: plan.devices.filter { !$0.steps.isEmpty }.map { ($0.name, $0.steps.count) })
        let applier = Applier(kernel: kernel, state: options.stateDirectory)
        let reports = try applier.apply(plan, file: file, time: time(nil), interrupted: interrupted) { event in
            progress.show(event)
        }
        let errors = reports.flatMap(\.errors)
        for error in errors { Output.error(Output.colour("✗", .red) + " \(error)") }
        if errors.isEmpty, !plan.hasRefusals { Output.line("Nothing else differs.") }
        if !errors.isEmpty { throw ExitCode.failure }
        if plan.hasRefusals { throw Status.refused }
    }
}

extension Plan {
    /// What is refused, without the steps.
    fileprivate var refusalText: String {
        var plan = self
        plan.modules = []
        plan.warnings = []
        plan.devices = devices.filter { !$0.refusals.isEmpty }.map { device in
            var device = device
            device.steps = []
            return device
        }
        return plan.text
    }
}

extension Journal.Interrupted {
    /// Every step and how far it came.
    fileprivate var text: String {
        var lines = ["The apply of \(file)" + (pid.map { " (pid \($0))" } ?? "") + " was interrupted:"]
        for device in devices {
            lines.append("\(device.name) \(device.address)")
            let width = device.steps.map(\.title.count).max() ?? 0
            for (number, step) in device.steps.enumerated() {
                let pad = String(repeating: " ", count: width - step.title.count)
                lines.append("  \(number + 1)  \(step.title)\(pad)  \(step.progress.rawValue)")
            }
            let settings = owed[device.address]?.settings ?? []
            if !settings.isEmpty { lines.append("     settings of \(settings.count) VFs from before are kept") }
        }
        return lines.joined(separator: "\n")
    }
}
