internal import AgentAPI
internal import ArgumentParser
internal import Leasing

struct LeaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lease",
        abstract: "Take functions from pools, give them back, and see who has them.",
        discussion: """
            A lease is recorded before its function is touched, and ends with a function that is reset and has nothing
            of its tenant left.

            Examples:
              sluice lease acquire --pool tenant --numa-node 1 --explain
              sluice lease acquire --pool tenant --count 4 --anti-affinity physicalFunction
              sluice lease release 7Q4M2K
              sluice lease history 0000:41:10.0

            Exit status: 0 done; 1 it failed; 3 the function is still in use, or the pool has too few free ones.
            """,
        subcommands: [
            LeaseAcquire.self, LeaseList.self, LeaseShow.self, LeaseRelease.self, LeaseHistory.self, LeaseRepair.self,
        ])
}

struct LeaseAcquire: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acquire", abstract: "Take one or more functions, all or none.",
        discussion: """
            Examples:
              sluice lease acquire --pool tenant
              sluice lease acquire --pool tenant --near 0000:81:00.0 --vlan 42 --ttl 3600
              sluice lease acquire --pool tenant --for process:4711     ends with the process
              sluice lease acquire --function 0000:41:10.0 --for namespace:/run/netns/blue
            """)

    @OptionGroup var agent: AgentOptions
    @OptionGroup var format: OutputOptions
    @Option(name: .long, help: "The pool to take from.") var pool: String?
    @Option(name: .long, help: "The one function that is wanted, by PCI address.") var function: String?
    @Option(name: .long, help: "How many functions.") var count = 1
    @Option(
        name: [.customLong("for")],
        help: ArgumentHelp(
            "Whom it is for, and with whose life it ends: domain:UUID, namespace:PATH, process:PID, port:UUID, person:NAME (default: you).",
            valueName: "consumer"))
    var consumer: String?
    @Option(name: .long, help: "Near this NUMA node.") var numaNode: Int?
    @Option(name: .long, help: "Near these CPUs, such as 0-11.") var cpus: String?
    @Option(name: .long, help: "Near this device, by PCI address.") var near: String?
    @Option(name: .long, help: "How the place counts: require, prefer, ignore (default: the pool's).") var numa: String?
    @Option(name: .long, help: "physicalFunction (the least used port) or pack (default: the pool's).")
    var spread: String?
    @Option(name: .long, help: "What the functions must not share: none, physicalFunction, card.")
    var antiAffinity: String?
    @Option(name: .long, help: "The driver that is needed, such as vfio-pci.") var driver: String?
    @OptionGroup var settings: SettingsOptions
    @Option(name: .long, help: "How long it lasts, seconds (default: until it is released).") var ttl: Int64?
    @Option(name: .long, help: "A key of your own: the same request with the same key gives the same lease.")
    var idempotencyKey: String?
    @Flag(name: .long, help: "Say why these functions, and why not the others.") var explain = false

    func validate() throws {
        if (pool == nil) == (function == nil) { throw ValidationError("Give --pool or --function.") }
    }

    func run() async throws {
        var body = LeaseBody()
        (body.pool, body.function, body.count, body.consumer) = (pool, function, count, consumer)
        (body.numaNode, body.cpus, body.near) = (numaNode, cpus, near)
        (body.numa, body.spread, body.antiAffinity, body.driver) = (numa, spread, antiAffinity, driver)
        body.ttlSeconds = ttl
        body.settings = settings.view
        if explain { body.explain = true }
        let grant = try await agent.backend().acquire(body, idempotencyKey: idempotencyKey)
        switch format.output {
        case .json, .yaml: try Output.encode(grant, as: format.output)
        case .name: for lease in grant.leases { Output.line(lease.id) }
        case .table, .wide:
            for lease in grant.leases {
                Output.line("\(lease.address)  \(lease.name)  lease \(lease.id)  \(lease.settings.text)".trimmed)
            }
            if explain { show(grant) }
        }
    }

    private func show(_ grant: GrantView) {
        guard let chosen = grant.chosen, let passed = grant.passed else {
            Output.line("  the same request was answered before with these")
            return
        }
        for choice in chosen { Output.line("  chosen  \(choice.name): \(choice.reason)") }
        for choice in passed { Output.line("  passed  \(choice.name): \(choice.reason)") }
    }
}

struct LeaseList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the leases that have not ended, oldest first.")

    @OptionGroup var agent: AgentOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let leases = try agent.reader().leases()
        switch format.output {
        case .json, .yaml: try Output.encode(leases, as: format.output)
        case .name: for lease in leases { Output.line(lease.id) }
        case .table, .wide:
            var table = Table(["LEASE", "STATE", "FUNCTION", "ADDRESS", "POOL", "CONSUMER", "SINCE", "SETTINGS"])
            for lease in leases {
                table.append([
                    lease.id, lease.state, lease.name, lease.address, lease.pool ?? "", lease.user, lease.created,
                    lease.settings.text,
                ])
            }
            Output.line(table.text)
        }
    }
}

struct LeaseShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show one lease.")

    @OptionGroup var agent: AgentOptions
    @OptionGroup var format: OutputOptions
    @Argument(help: "The lease, such as 7Q4M2K.") var lease: String

    func run() async throws {
        let lease = try agent.reader().lease(lease)
        if format.output == .json || format.output == .yaml { return try Output.encode(lease, as: format.output) }
        if format.output == .name { return Output.line(lease.id) }
        let rows = [
            ("lease", lease.id), ("state", lease.state + (lease.reason.map { ": \($0)" } ?? "")),
            ("function", "\(lease.name), \(lease.address)"), ("hardware", lease.function), ("pool", lease.pool ?? "–"),
            ("consumer", lease.consumer), ("pod", lease.pod ?? "–"), ("driver", lease.driver ?? "as declared"),
            ("settings", lease.settings.text.isEmpty ? "–" : lease.settings.text), ("since", lease.created),
            ("changed", lease.changed), ("lasts", lease.ttlSeconds.map { "\($0) s" } ?? "until it is released"),
        ]
        for (name, value) in rows {
            Output.line("\(name)\(String(repeating: " ", count: 10 - name.count))\(value.printable)")
        }
    }
}

struct LeaseRelease: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release", abstract: "Give a function back: it is reset, cleaned and free.",
        discussion: """
            Nothing is taken from somebody who uses it: such a lease is releasing until its holder lets go. The agent
            then goes on by itself; without it, release again.
            """)

    @OptionGroup var agent: AgentOptions
    @OptionGroup var format: OutputOptions
    @Argument(help: "The leases, such as 7Q4M2K.") var leases: [String]

    func run() async throws {
        let backend = try await agent.backend()
        var ended: [LeaseView] = []
        for id in leases { ended.append(try await backend.release(id)) }
        try report(ended, format.output)
    }
}

struct LeaseRepair: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair", abstract: "Try again to clean a function that is quarantined.")

    @OptionGroup var agent: AgentOptions
    @OptionGroup var format: OutputOptions
    @Argument(help: "The lease, such as 7Q4M2K.") var lease: String

    func run() async throws {
        try report([try await agent.backend().repair(lease)], format.output)
    }
}

/// Prints what became of leases that were to end, and fails when one has not.
private func report(_ leases: [LeaseView], _ format: OutputFormat) throws {
    switch format {
    case .json, .yaml: try Output.encode(leases, as: format)
    case .name: for lease in leases { Output.line(lease.id) }
    case .table, .wide:
        for lease in leases {
            Output.line(
                "\(lease.id)  \(lease.name)  \(lease.state)" + (lease.reason.map { ": \($0.printable)" } ?? ""))
        }
    }
    if leases.contains(where: { $0.state == "quarantined" }) { throw ExitCode.failure }
    if leases.contains(where: { $0.state != "free" }) { throw Status.refused }
}

struct LeaseHistory: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show what happened to a device or a lease: when, why, and who did it.",
        discussion: """
            Examples:
              sluice lease history eno49
              sluice lease history 0000:41:10.0
              sluice lease history 7Q4M2K
            """)

    @OptionGroup var agent: AgentOptions
    @OptionGroup var format: OutputOptions
    @Argument(help: "A device (address, name, MAC, serial) or a lease; all when left out.") var device: String?

    func run() async throws {
        let transitions = try agent.reader().history(device)
        switch format.output {
        case .json, .yaml: try Output.encode(transitions, as: format.output)
        case .name: for transition in transitions { Output.line("\(transition.number)") }
        case .table, .wide:
            var table = Table(["TIME", "LEASE", "ADDRESS", "FROM", "TO", "CONSUMER", "BY", "WHY", "SETTINGS"])
            for entry in transitions {
                let settings = [entry.before?.text, entry.after?.text].compactMap(\.self)
                table.append([
                    entry.time, entry.lease, entry.address, entry.from ?? "", entry.to, entry.consumer, entry.actor,
                    entry.cause, settings.map { $0.isEmpty ? "none" : $0 }.joined(separator: " → "),
                ])
            }
            Output.line(table.text)
        }
    }
}

extension String {
    /// The text without blanks at its end.
    fileprivate var trimmed: String { String(reversed().drop { $0 == " " }.reversed()) }
}
