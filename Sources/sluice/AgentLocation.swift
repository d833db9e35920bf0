internal import AgentAPI
internal import ArgumentParser
internal import Glibc
internal import Leasing
internal import PCI
internal import SRIOV

/// Where the agent is, and where the records are that are used without it.
struct AgentLocation: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The agent's socket.", valueName: "path"), completion: .file())
    var socket = AgentClient.defaultSocket

    @Option(
        name: .long, help: ArgumentHelp("Where the records are, when no agent runs.", valueName: "dir"),
        completion: .directory)
    var state = "/var/lib/sluice"

    var stateDirectory: StateDirectory { StateDirectory(path: state) }

    /// The agent, when it answers.
    var client: AgentClient? { AgentClient(socket: socket) }

    /// The open leases as the ledger has them. An ordinary user cannot read it, and plans without them.
    func recordedLeases() throws -> [Lease] {
        guard isRoot else { return (try? LedgerReader.open(in: stateDirectory)?.openLeases()) ?? [] }
        return try LedgerReader.open(in: stateDirectory)?.openLeases() ?? []
    }

    /// The holders that leases are, by function: the agent's, or those of the ledger.
    func leaseHolders() -> [FunctionIdentity: Holder] {
        // Looking at a host must work without either.
        if let client {
            let views: [LeaseView] = (try? client.get("/v1/leases")) ?? []
            return Dictionary(
                views.map { (FunctionIdentity(rawValue: $0.function), $0.holder) },
                uniquingKeysWith: { first, _ in first })
        }
        let leases = (try? recordedLeases()) ?? []
        return Dictionary(
            leases.map { ($0.function, $0.holder(through: $0.name)) }, uniquingKeysWith: { first, _ in first })
    }
}

/// Whether this program sees what every process has open.
var isRoot: Bool { geteuid() == 0 }

extension LeaseView {
    fileprivate var holder: Holder {
        let word = state == "active" ? nil : state + (reason.map { ": \($0)" } ?? "")
        return Holder(
            .lease(id: id, consumer: pod.flatMap { $0.isEmpty ? nil : "pod \($0)" } ?? consumer, state: word),
            through: name)
    }
}
