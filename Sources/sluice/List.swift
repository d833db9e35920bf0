internal import AgentAPI
internal import ArgumentParser
internal import Netlink
internal import PCI
internal import SRIOV

struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List physical functions, virtual functions and other devices that can be passed through.",
        discussion: """
            Examples:
              sluice list                        what this host has
              sluice list -o wide                with models, MAC addresses and serial numbers
              sluice list -o json                for programs
              sluice list --snapshot host.txt    a recorded host
            """)

    @OptionGroup var source: HostOptions
    @OptionGroup var format: OutputOptions
    @OptionGroup var agent: AgentLocation
    @Flag(name: .long, help: "All PCI functions, also bridges and parts of the chip set.") var all = false
    @OptionGroup var declaration: PoolOptions

    func run() throws {
        let (host, kernel) = try source.host(agent)
        let functions = host.functions.filter { all || $0.isAssignable }
        let pools = try declaration.pools(of: host, kernel, isLive: source.isLive)
        switch format.output {
        case .name: for function in functions { Output.line(function.name) }
        case .json, .yaml:
            let names = PCINames.load(for: functions.map(\.pci.model), files: LiveFileTree())
            try Output.encode(
                functions.map { FunctionView($0, names: names, pool: pools.pool(of: $0)) }, as: format.output)
        case .table: Output.line(table(functions).text)
        case .wide:
            let names = PCINames.load(for: functions.map(\.pci.model), files: LiveFileTree())
            Output.line(wideTable(functions, names, pools).text)
        }
        source.tellWhatIsHidden()
        if functions.isEmpty, format.output == .table {
            Output.error(
                "No device of this host can have VFs or be passed through; sluice list --all shows all functions.")
        }
    }

    private func cells(_ function: Function) -> [String] {
        let vfs = function.pci.sriov.map { "\($0.enabledVFs) of \($0.totalVFs) VFs" }
        return [
            function.name, "\(function.pci.address)", function.pci.driver ?? "",
            function.pci.numaNode.map(String.init) ?? "", function.pci.iommuGroup.map(String.init) ?? "",
            function.linkText, vfs ?? function.settingsText,
        ]
    }

    private func table(_ functions: [Function]) -> Table {
        var table = Table(["NAME", "ADDRESS", "DRIVER", "NODE", "GROUP", "LINK", "VFS, SETTINGS", "HOLDER"])
        for function in functions { table.append(cells(function) + [function.holderText]) }
        return table
    }

    private func wideTable(_ functions: [Function], _ names: PCINames, _ pools: PoolNames) -> Table {
        var table = Table([
            "NAME", "ADDRESS", "DRIVER", "NODE", "GROUP", "LINK", "VFS, SETTINGS", "POOL", "MAC", "SERIAL", "LABEL",
            "MODEL", "HOLDER",
        ])
        for function in functions {
            let address = function.link?.permanentAddress ?? function.link?.address
            table.append(
                cells(function) + [
                    pools.pool(of: function) ?? "", address?.description ?? "", function.pci.serial ?? "",
                    function.pci.label ?? "", names.shortName(function.pci.model), function.holderText,
                ])
        }
        return table
    }
}
