internal import AgentAPI
internal import ArgumentParser

struct NetworkCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "network",
        abstract: "Keep libvirt's networks as the pools are.",
        discussion: """
            Each pool that is for libvirt becomes a network that hands its VFs to virtual machines at their start and takes
            them back at their end. A network that was made by hand for the same port is taken over.

            Examples:
              sluice network list     what there is, and what a sync would do
              sluice network sync
            """,
        subcommands: [NetworkList.self, NetworkSync.self])
}

/// Prints networks.
private func show(_ networks: [NetworkView], _ format: OutputFormat) throws {
    switch format {
    case .json, .yaml: try Output.encode(networks, as: format)
    case .name: for network in networks { Output.line(network.name) }
    case .table, .wide:
        var table = Table(["NETWORK", "POOL", "ACTION", "VFS", "VLAN"])
        for network in networks {
            table.append([
                network.name, network.pool, network.action, "\(network.functions.count)",
                network.vlan.map(String.init) ?? "",
            ])
        }
        Output.line(table.text)
        for network in networks {
            for rival in network.rivals {
                Output.error(
                    "! network \(rival) hands out VFs of pool \(network.pool) too: virsh net-destroy \(rival), virsh net-undefine \(rival)"
                )
            }
        }
        if networks.isEmpty { Output.error("No pool for libvirt has a VF on this host: sluice plan tells why.") }
    }
}

struct NetworkList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the networks of pools, and what a sync would do.")

    @OptionGroup var agent: AgentLocation
    @OptionGroup var format: OutputOptions

    func run() throws { try show(agent.requiredClient().get("/v1/networks"), format.output) }
}

struct NetworkSync: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync",
        abstract: "Make and start the networks of pools; running virtual machines keep what they have.")

    @OptionGroup var agent: AgentLocation
    @OptionGroup var format: OutputOptions

    func run() throws { try show(agent.requiredClient().send("POST", "/v1/networks/sync"), format.output) }
}
