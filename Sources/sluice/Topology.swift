internal import AgentAPI
internal import ArgumentParser
internal import PCI
internal import SRIOV

struct Topology: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the host as a tree: NUMA node, physical function, virtual function, holder.",
        discussion: """
            Examples:
              sluice topology
              sluice topology -f host.yaml     with the pools of a host file
            """)

    @OptionGroup var source: HostOptions
    @OptionGroup var format: OutputOptions
    @OptionGroup var agent: AgentLocation
    @OptionGroup var declaration: PoolOptions

    func run() throws {
        let (host, kernel) = try source.host(agent)
        let functions = host.functions.filter(\.isAssignable)
        let names = PCINames.load(for: functions.map(\.pci.model), files: LiveFileTree())
        let pools = try declaration.pools(of: host, kernel, isLive: source.isLive)
        switch format.output {
        case .json, .yaml: try Output.encode(nodes(host, names, pools), as: format.output)
        case .name: for function in functions { Output.line(function.name) }
        case .table, .wide:
            var tree = Tree(host: host, names: names, pools: pools)
            Output.line(tree.text())
            source.tellWhatIsHidden()
            if !host.hasIOMMU {
                Output.line(
                    "The kernel uses no IOMMU: nothing can be passed through (boot with intel_iommu=on, or enable AMD-Vi)."
                )
            }
        }
    }

    private struct NodeView: Encodable {
        var node: Int?
        var cpus: String?
        var functions: [PortView]
    }

    private struct PortView: Encodable {
        var function: FunctionView
        var virtualFunctions: [FunctionView]
    }

    private func nodes(_ host: Host, _ names: PCINames, _ pools: PoolNames) -> [NodeView] {
        Tree.nodes(of: host).map { node, ports in
            NodeView(
                node: node?.number, cpus: node?.cpus.description,
                functions: ports.map { port in
                    PortView(
                        function: FunctionView(port, names: names),
                        virtualFunctions: host.virtualFunctions(of: port.pci.address).map {
                            FunctionView($0, names: names, pool: pools.pool(of: $0))
                        })
                })
        }
    }
}

/// The tree's lines.
private struct Tree {
    let host: Host
    let names: PCINames
    let pools: PoolNames
    private var rows: [(branch: String, cells: [String])] = []

    init(host: Host, names: PCINames, pools: PoolNames) {
        self.host = host
        self.names = names
        self.pools = pools
    }

    /// The nodes with what hangs on them; last, without a node, what the firmware gives none.
    static func nodes(of host: Host) -> [(node: NUMANode?, ports: [Function])] {
        let ports = host.functions.filter { $0.isAssignable && $0.pci.physicalFunction == nil }
        let known = host.nodes.map { node in (node as NUMANode?, ports.filter { $0.pci.numaNode == node.number }) }
        let numbers = Set(host.nodes.map(\.number))
        let rest = ports.filter { port in port.pci.numaNode.map { !numbers.contains($0) } ?? true }
        return known + (rest.isEmpty ? [] : [(nil, rest)])
    }

    mutating func text() -> String {
        var lines: [String] = []
        for (node, ports) in Self.nodes(of: host) {
            lines.append(node.map { "node \($0.number)  cpus \($0.cpus)" } ?? "no node")
            rows = []
            for (number, port) in ports.enumerated() { append(port, isLast: number == ports.count - 1) }
            lines += aligned()
        }
        return lines.joined(separator: "\n")
    }

    private mutating func append(_ port: Function, isLast: Bool) {
        let vfs = host.virtualFunctions(of: port.pci.address)
        let count = port.pci.sriov.map { "\($0.enabledVFs) of \($0.totalVFs) VFs" } ?? port.pci.serial ?? ""
        rows.append(
            (
                isLast ? "└─ " : "├─ ",
                [
                    port.name, "\(port.pci.address)", port.pci.driver ?? "–",
                    port.pci.iommuGroup.map { "group \($0)" } ?? "–", names.shortName(port.pci.model),
                    [port.linkText, count, port.holderText].filter { !$0.isEmpty }.joined(separator: "   "),
                ]
            ))
        for (number, vf) in vfs.enumerated() {
            let branch = (isLast ? "   " : "│  ") + (number == vfs.count - 1 ? "└─ " : "├─ ")
            let pool = pools.pool(of: vf).map { "pool \($0)" }
            let state = vf.holders.isEmpty ? (vf.pci.driver == nil ? "no driver" : "free") : vf.holderText
            rows.append(
                (
                    branch,
                    [
                        "vf \(vf.index.map(String.init) ?? "?")", "\(vf.pci.address)", vf.pci.driver ?? "–",
                        vf.pci.iommuGroup.map { "group \($0)" } ?? "–", vf.settingsText.isEmpty ? "–" : vf.settingsText,
                        [state, pool].compactMap(\.self).joined(separator: " · "),
                    ]
                ))
        }
    }

    private func aligned() -> [String] {
        guard let columns = rows.first?.cells.count else { return [] }
        let first = rows.map { $0.branch.count + $0.cells[0].count }.max() ?? 0
        let widths = (0..<columns).map { column in rows.map { $0.cells[column].count }.max() ?? 0 }
        return rows.map { branch, cells in
            let cells = cells.map(\.printable)
            var line = branch + cells[0] + String(repeating: " ", count: first - branch.count - cells[0].count)
            for column in 1..<columns {
                let pad = column == columns - 1 ? 0 : widths[column] - cells[column].count
                line += "  " + cells[column] + String(repeating: " ", count: pad)
            }
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }
}
