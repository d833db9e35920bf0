internal import AgentAPI
internal import ArgumentParser
internal import Glibc
internal import Leasing
internal import SRIOV

struct Apply: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring the host to the state of the host file.",
        discussion: """
            Only what differs is touched, and nothing that is in use or leased. Every step is recorded before it is done:
            an apply that was killed is finished by the next one. When the agent runs, it does the work; it keeps the
            host as its own host file says, and applies no other.

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
    @Option(
        name: .long,
        help: ArgumentHelp("How long the kernel is waited for when it makes VFs, seconds.", valueName: "seconds"))
    var deadline = 120

    func validate() throws {
        if !(1...3600).contains(deadline) { throw ValidationError("--deadline \(deadline): 1 to 3600 seconds.") }
    }

    func run() throws {
        let channel = try WriterProcess.channel()
        guard let file = try fileToApply() else {
            Output.line("No apply was interrupted.")
            return
        }
        // Mistakes in the file are told first, and without anybody's help.
        let declared = try HostFileOptions.load(file)
        let worker: any ApplyWorker
        if let client = options.agent.client {
            if noWait || deadline != 120 {
                Output.error("The agent does the work: --no-wait and --deadline are without effect.")
            }
            worker = AgentWorker(client: client, body: try options.body())
        } else {
            worker = LocalWorker(
                kernel: LinuxKernel(writer: channel), declared: declared, file: file, options: options,
                waits: !noWait, deadline: .seconds(deadline))
        }
        // Who asks nobody is alone from the beginning; whoever waits for an answer lets others work meanwhile.
        if yes { try worker.begin() }
        let plan = try worker.plan()
        if !yes {
            Output.line(plan.text())
            guard plan.stepCount > 0 else { return try finish(plan, worker) }
            guard try Output.confirm("Apply?") else {
                Output.line("Nothing has been changed.")
                return
            }
        } else {
            if plan.hasRefusals { Output.line(plan.refusalText) }
            for warning in plan.warnings { Output.error("! \(warning.text)") }
            guard plan.stepCount > 0 else {
                if !plan.hasRefusals { Output.line("Nothing to do: the host is as declared.") }
                return try finish(plan, worker)
            }
        }
        let progress = Progress(devices: plan.devices.filter { !$0.steps.isEmpty }.map { ($0.name, $0.steps.count) })
        // The answer may have taken minutes, in which somebody may have started to use a VF.
        let reports = try worker.apply(expecting: yes ? nil : plan) { progress.show($0) }
        let errors = reports.flatMap(\.errors)
        for error in errors { Output.error(Output.colour("✗", .red) + " \(error)") }
        if errors.isEmpty, !plan.hasRefusals { Output.line("Nothing else differs.") }
        if !errors.isEmpty { throw ExitCode.failure }
        if plan.hasRefusals { throw Status.refused }
    }

    /// The file that was given, or with --recover the one of the interrupted apply. nil when there is none.
    private func fileToApply() throws -> String? {
        guard recover else { return options.declaration.file }
        guard let interrupted = try Journal.interrupted(in: options.stateDirectory) else { return nil }
        Output.line(interrupted.text)
        let isGiven = options.declaration.file != HostFileOptions.defaultPath
        return isGiven || interrupted.file.isEmpty ? options.declaration.file : interrupted.file
    }

    /// Nothing is to be done: what an interrupted apply owed has been paid.
    private func finish(_ plan: PlanView, _ worker: any ApplyWorker) throws {
        try worker.settle()
        if plan.hasRefusals { throw Status.refused }
    }
}

/// Whoever does an apply: the agent when it runs, this process when it does not.
private protocol ApplyWorker: AnyObject {
    /// Keeps others from changing the host until the end.
    func begin() throws
    func plan() throws -> PlanView
    /// Applies, unless the plan has come to differ from the one that was shown.
    func apply(expecting shown: PlanView?, onEvent: @escaping @Sendable (ApplyEvent) -> Void) throws -> [DeviceReport]
    /// Closes the record of an interrupted apply of which nothing is left to do.
    func settle() throws
}

extension ApplyWorker {
    fileprivate func check(_ plan: PlanView, _ shown: PlanView?) throws {
        guard let shown, plan != shown else { return }
        throw SRIOVError(
            .held, "the host has changed since the plan was shown; nothing has been changed",
            remedy: "look at the new plan: sluice apply")
    }
}

/// This process, with the lock of applies and the ledger in its hands while it works.
private final class LocalWorker: ApplyWorker {
    private typealias Planned = (plan: Plan, interrupted: Journal.Interrupted?)

    private let kernel: LinuxKernel
    private let declared: DeclaredHost
    private let file: String
    private let options: PlanOptions
    private let waits: Bool
    private let deadline: Duration
    /// While they are held nothing else changes the host: no other apply, and no lease.
    private var locks: (apply: ApplyLock, ledger: Ledger?)?
    /// The plan that was made since they are held.
    private var planned: Planned?

    init(
        kernel: LinuxKernel, declared: DeclaredHost, file: String, options: PlanOptions, waits: Bool, deadline: Duration
    ) {
        self.kernel = kernel
        self.declared = declared
        self.file = file
        self.options = options
        self.waits = waits
        self.deadline = deadline
    }

    func begin() throws { locks = try lock() }

    func plan() throws -> PlanView { try locked { PlanView($0.plan) } }

    func apply(
        expecting shown: PlanView?, onEvent: @escaping @Sendable (ApplyEvent) -> Void
    ) throws -> [DeviceReport] {
        try locked { planned in
            try check(PlanView(planned.plan), shown)
            var deadlines = Applier.Deadlines()
            deadlines.virtualFunctions = deadline
            return try Applier(kernel: kernel, state: options.stateDirectory, deadlines: deadlines).apply(
                planned.plan, file: absolute(file), time: time(nil), interrupted: planned.interrupted, onEvent: onEvent)
        }
    }

    func settle() throws {
        guard try Journal.interrupted(in: options.stateDirectory) != nil else { return }
        try locked { planned in
            guard let interrupted = planned.interrupted,
                interrupted.isSettled(by: planned.plan, only: Set(options.only))
            else { return }
            try Journal.close(in: options.stateDirectory)
        }
    }

    /// Runs a body with a plan that nothing else can make untrue meanwhile.
    private func locked<Value>(_ body: (Planned) throws -> Value) throws -> Value {
        if locks != nil, let planned { return try body(planned) }
        let held = try locks ?? lock()
        defer { withExtendedLifetime(held) {} }
        let made = try options.plan(
            kernel, declared, leases: try held.ledger?.reader.openLeases() ?? [], isLive: true, isApplying: true)
        if locks != nil { planned = made }
        return try body(made)
    }

    private func lock() throws -> (apply: ApplyLock, ledger: Ledger?) {
        let command = CommandLine.arguments.joined(separator: " ")
        let lock = try ApplyLock.take(in: options.stateDirectory, command: command) { holder in
            if waits {
                Output.error("Waiting for another apply (\(holder)). Ctrl-C gives up; nothing has been changed.")
            }
            return waits
        }
        // Where nothing was ever leased no ledger is made for it.
        let hasLedger = LedgerReader.exists(in: options.stateDirectory)
        return (lock, hasLedger ? try Ledger(in: options.stateDirectory) : nil)
    }

    private func absolute(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}

/// The agent.
private final class AgentWorker: ApplyWorker {
    private let client: AgentClient
    private let body: PlanBody

    init(client: AgentClient, body: PlanBody) {
        self.client = client
        self.body = body
    }

    /// The agent keeps others away by itself.
    func begin() {}

    func plan() throws -> PlanView { try client.send("POST", "/v1/plans", body) }

    func apply(
        expecting shown: PlanView?, onEvent: @escaping @Sendable (ApplyEvent) -> Void
    ) throws -> [DeviceReport] {
        if shown != nil { try check(try plan(), shown) }
        return try client.apply(body, onEvent: onEvent)
    }

    /// The agent has done that by itself.
    func settle() {}
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
