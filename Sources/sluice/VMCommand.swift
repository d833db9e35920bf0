internal import AgentAPI
internal import ArgumentParser
internal import Leasing

struct VMCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vm",
        abstract: "Give VFs to libvirt's virtual machines, and take them back.",
        discussion: """
            The agent does it, so it must run, and libvirt with it.

            Examples:
              sluice vm list
              sluice vm attach z-k8s-n-1 --pool tenant --count 4 --spread pf
              sluice vm detach z-k8s-n-1 52:54:00:2b:4e:d3
              sluice vm ports z-k8s-n-1 --reserve 8
              sluice vm check-migration z-k8s-n-1

            Exit status: 0 done; 1 it failed; 3 refused: too few free VFs or hot-plug ports, or the guest keeps the device.
            """,
        subcommands: [VMList.self, VMAttach.self, VMDetach.self, VMPorts.self, VMCheckMigration.self])
}

extension AgentLocation {
    /// The agent. Throws `agent.unreachable` when it does not run: without it nothing of this can be done.
    func requiredClient(timeoutSeconds: Int = 300) throws -> AgentClient {
        guard let client = AgentClient(socket: socket, timeoutSeconds: timeoutSeconds) else {
            throw LeasingError(
                .unreachable, "no agent answers at \(socket)",
                remedy: "virtual machines are the agent's: systemctl enable --now sluiced")
        }
        return client
    }
}

/// A domain's name as a part of the agent's paths.
private func path(_ domain: String, _ rest: String = "") -> String {
    "/v1/domains/" + AgentClient.escaped(domain) + rest
}

struct VMList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List virtual machines with their VFs, pools, NUMA fit and free hot-plug ports.")

    @OptionGroup var agent: AgentLocation
    @OptionGroup var format: OutputOptions
    @Argument(help: "Only this virtual machine.") var domain: String?

    func run() throws {
        let client = try agent.requiredClient()
        let domains: [DomainView] =
            if let domain { [try client.get(path(domain))] } else { try client.get("/v1/domains") }
        switch format.output {
        case .json, .yaml: try Output.encode(domains, as: format.output)
        case .name: for domain in domains { Output.line(domain.name) }
        case .table, .wide: Output.line(Self.table(domains).text)
        }
    }

    static func table(_ domains: [DomainView]) -> Table {
        var table = Table(["DOMAIN", "STATE", "PORTS", "NUMA", "VF", "ADDRESS", "MAC", "POOL", "LEASE", "IN"])
        for domain in domains {
            let fit = domain.numaNodes.map { nodes in
                "node " + nodes.map(String.init).joined(separator: ",")
                    + (domain.fitsNUMA.map { $0 ? ", fits" : ", VFs elsewhere" } ?? "")
            }
            let first = [
                domain.name, domain.isActive ? "running" : "shut off",
                "\(domain.freeHotplugPorts) of \(domain.hotplugPorts) free", fit ?? "",
            ]
            if domain.interfaces.isEmpty { table.append(first + Array(repeating: "", count: 6)) }
            for (number, interface) in domain.interfaces.enumerated() {
                table.append(
                    (number == 0 ? first : Array(repeating: " ", count: 4))
                        + [
                            interface.name ?? (interface.address == nil ? "at start" : ""), interface.address ?? "",
                            interface.mac ?? "", interface.pool ?? "", interface.lease ?? "",
                            interface.in.joined(separator: ", "),
                        ])
            }
        }
        return table
    }
}

/// Which of a domain's two documents is meant.
struct TargetOptions: ParsableArguments {
    @Flag(name: .long, help: "Only the running virtual machine.") var live = false
    @Flag(name: .long, help: "Only its next start.") var config = false

    func validate() throws {
        if live, config { throw ValidationError("--live and --config together are what is done without either.") }
    }

    var target: String? { live ? "live" : config ? "config" : nil }
}

struct VMAttach: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attach", abstract: "Attach VFs of a pool to a virtual machine, all or none.",
        discussion: """
            A running one gets them at once, and gets VFs of the same pool at its next start. What would make that fail is
            found before anything is changed.

            Examples:
              sluice vm attach z-k8s-n-1 --pool tenant
              sluice vm attach z-k8s-n-1 --pool tenant --count 4 --spread pf     each of another port, for a bond
              sluice vm attach z-k8s-n-1 --pool tenant --vlan 100 --trust --live
              sluice vm attach z-k8s-n-1 --pool tenant --failover default        with a virtio standby, to migrate
            """)

    @OptionGroup var agent: AgentLocation
    @OptionGroup var format: OutputOptions
    @OptionGroup var target: TargetOptions
    @Argument(help: "The virtual machine, by name or UUID.") var domain: String
    @Option(name: .long, help: "The pool to take from.") var pool: String
    @Option(name: .long, help: "How many VFs.") var count = 1
    @Option(name: .long, help: "pf: each of another port; card: each of another card.") var spread: String?
    @Option(name: .long, help: "How its NUMA nodes count: require, prefer, ignore (default: the pool's).")
    var numa: String?
    @OptionGroup var settings: SettingsOptions
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Add a virtio interface of this network that stands in while it migrates.", valueName: "network"))
    var failover: String?

    func validate() throws {
        if failover != nil, count != 1 { throw ValidationError("--failover is for one VF at a time.") }
    }

    func run() throws {
        var body = AttachBody(pool: pool)
        (body.count, body.target, body.spread, body.numa) = (count, target.target, spread, numa)
        body.failover = failover
        if settings.view != SettingsView() { body.settings = settings.view }
        let interfaces: [DomainView.Interface] = try agent.requiredClient().send("POST", path(domain, "/attach"), body)
        switch format.output {
        case .json, .yaml: try Output.encode(interfaces, as: format.output)
        case .name: for interface in interfaces { Output.line(interface.mac ?? "") }
        case .table, .wide:
            for interface in interfaces {
                let function = interface.address.map {
                    "\($0)  \(interface.name ?? "")  lease \(interface.lease ?? "")"
                }
                Output.line("\(interface.mac ?? "")  \(function ?? "a VF of pool \(pool) at its next start")")
            }
        }
    }
}

struct VMDetach: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "detach", abstract: "Detach a VF from a virtual machine, and clean it.",
        discussion: """
            Waits until the guest has let it go, and says so when it does not.

            Examples:
              sluice vm detach z-k8s-n-1 52:54:00:2b:4e:d3
              sluice vm detach z-k8s-n-1 0000:41:10.0 --live
            """)

    @OptionGroup var agent: AgentLocation
    @OptionGroup var target: TargetOptions
    @Argument(help: "The virtual machine, by name or UUID.") var domain: String
    @Argument(help: "The interface: its MAC address, or its VF's address, name or lease.") var interface: String
    @Option(name: .long, help: ArgumentHelp("How long the guest may take.", valueName: "seconds")) var wait = 30

    func run() throws {
        var body = DetachBody(interface: interface)
        (body.target, body.waitSeconds) = (target.target, wait)
        // The answer comes when the guest has let go, or has not.
        let client = try agent.requiredClient(timeoutSeconds: 300 + max(0, min(wait, 3600)))
        let view: DomainView = try client.send("POST", path(domain, "/detach"), body)
        Output.line("\(view.name)  \(interface) detached; \(view.interfaces.count) left")
    }
}

struct VMPorts: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ports", abstract: "Make places where devices can be attached while a virtual machine runs.",
        discussion: """
            Without --reserve it gets as many ports in all as its firmware is known to start with: 14 under SeaBIOS, 30
            under OVMF. A running one has them from its next start on.

            Examples:
              sluice vm ports z-k8s-n-1
              sluice vm ports z-k8s-n-1 --reserve 8
            """)

    @OptionGroup var agent: AgentLocation
    @Argument(help: "The virtual machine, by name or UUID.") var domain: String
    @Option(name: .long, help: "How many ports are to be free.") var reserve: Int?

    func run() throws {
        let view: PortsView = try agent.requiredClient().send(
            "POST", path(domain, "/ports"), PortsBody(reserve: reserve))
        let word = view.added == 0 ? "nothing to add" : "\(view.added) ports added"
        Output.line("\(view.domain)  \(word): \(view.free) of \(view.total) free")
        if view.isAtNextStart { Output.line("It runs: they are there from its next start on, not before.") }
        if let warning = view.warning { Output.error("! \(warning)") }
    }
}

struct VMCheckMigration: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-migration", abstract: "Say what keeps a virtual machine from migrating.",
        discussion: "Exit status: 0 nothing does; 3 something does.")

    @OptionGroup var agent: AgentLocation
    @OptionGroup var format: OutputOptions
    @Argument(help: "The virtual machine, by name or UUID.") var domain: String

    func run() throws {
        let view: MigrationView = try agent.requiredClient().get(path(domain, "/migration"))
        switch format.output {
        case .json, .yaml: try Output.encode(view, as: format.output)
        default:
            if view.blockers.isEmpty { Output.line("\(view.domain) has no device of this host that keeps it here") }
            for blocker in view.blockers { Output.line("✗ \(blocker)") }
        }
        if !view.blockers.isEmpty { throw Status.refused }
    }
}
