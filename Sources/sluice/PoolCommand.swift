internal import AgentAPI
internal import ArgumentParser
internal import Leasing

struct PoolCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pool", abstract: "Show the pools and what is free in them.",
        subcommands: [PoolList.self, PoolShow.self])
}

struct PoolList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the pools.")

    @OptionGroup var agent: AgentOptions
    @OptionGroup var format: OutputOptions

    func run() async throws {
        let pools = try agent.reader().pools()
        switch format.output {
        case .json, .yaml: try Output.encode(pools, as: format.output)
        case .name: for pool in pools { Output.line(pool.name) }
        case .table, .wide:
            var table = Table(["POOL", "FOR", "FREE", "NUMA", "SPREAD", "SETTINGS"])
            for pool in pools {
                table.append([
                    pool.name, pool.purpose, "\(pool.free) of \(pool.total)", pool.numa, pool.spread,
                    pool.settings.text,
                ])
            }
            Output.line(table.text)
        }
    }
}

struct PoolShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show the functions of a pool and who has them.")

    @OptionGroup var agent: AgentOptions
    @OptionGroup var format: OutputOptions
    @Argument(help: "The pool.") var pool: String

    func run() async throws {
        let pools = try agent.reader().pools()
        guard let pool = pools.first(where: { $0.name == pool }) else {
            throw LeasingError(
                .noPool, "there is no pool \(pool)",
                remedy: "the host file has \(pools.map(\.name).joined(separator: ", "))")
        }
        switch format.output {
        case .json, .yaml: try Output.encode(pool, as: format.output)
        case .name: for function in pool.functions { Output.line(function.address) }
        case .table, .wide:
            var table = Table(["FUNCTION", "ADDRESS", "NODE", "STATE", "LEASE", "CONSUMER", "HOLDER"])
            for function in pool.functions {
                table.append([
                    function.name, function.address, function.numaNode.map(String.init) ?? "", function.state,
                    function.lease ?? "", function.consumer ?? "",
                    function.holders.map(\.description).joined(separator: ", "),
                ])
            }
            Output.line(table.text)
        }
    }
}
