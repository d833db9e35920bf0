internal import AgentAPI
internal import ArgumentParser
internal import BootFiles
internal import Diagnosis
internal import Glibc
internal import Netlink
internal import PCI
internal import SRIOV
internal import SystemPackage

/// Mends faults: says what will be changed, asks, and keeps what was there before.
struct FaultRepair {
    /// What is done for a fault.
    enum Action: Hashable {
        /// A port is brought to the state that the host file declares.
        case apply(port: String, file: String)
        /// A port that is not declared is brought up, with the VFs that it has.
        case bringUp(port: PCIAddress)
        /// Bridges pass frames by the packet filter no more.
        case openBridges
        /// libvirt's networks become as their pools are.
        case syncNetworks
    }

    let agent: AgentLocation
    /// Whether each change is asked for.
    let asks: Bool

    /// What is done for a fault. Throws for one that nothing here can mend.
    static func action(for fault: FaultView, file: String?, agent: AgentLocation) throws -> Action {
        switch fault.id {
        case "bridge.filtered": return .openBridges
        case "network.inactive", "network.stale": return .syncNetworks
        default:
            guard let subject = fault.subject else { break }
            // declared at /etc/sluice/host.yaml:2:5
            let place = fault.evidence.first { $0.hasPrefix("declared at ") }?.dropFirst("declared at ".count)
            if let place {
                let declared = place.split(separator: ":").dropLast(2).joined(separator: ":")
                return .apply(port: subject, file: file ?? declared)
            }
            if let address = PCIAddress(subject) { return .bringUp(port: address) }
        }
        throw ValidationError("\(fault.id) cannot be mended from here.")
    }

    /// Does it, if it is wished; false when it is not.
    func carryOut(_ action: Action) throws -> Bool {
        switch action {
        case .apply(let port, let file):
            var arguments = ["-f", file, "--only", port, "--socket", agent.socket, "--state", agent.state]
            if !asks { arguments.append("--yes") }
            try Apply.parse(arguments).run()
            return true
        case .bringUp(let address): return try bringUp(address)
        case .openBridges: return try openBridges()
        case .syncNetworks:
            guard let client = agent.client else {
                throw ValidationError(
                    "The agent keeps libvirt's networks, and does not answer: systemctl start sluiced")
            }
            guard try isWished("sluice network sync") else { return false }
            let _: [NetworkView] = try client.send("POST", "/v1/networks/sync")
            return true
        }
    }

    // MARK: The changes

    /// By the steps of an apply that declares the port as it is: only that it is to be up differs.
    private func bringUp(_ address: PCIAddress) throws -> Bool {
        let kernel = LinuxKernel(writer: try WriterProcess.channel())
        let host = try HostReader(kernel: kernel).read()
        guard let port = host[address], let sriov = port.pci.sriov else {
            throw ValidationError("\(address) is no port with VFs any more.")
        }
        guard try isWished("bring \(port.name) up, without addresses (IPv6 autoconfiguration off)") else {
            return false
        }
        let lock = try ApplyLock.take(in: agent.stateDirectory, command: "sluice doctor --fix") { holder in
            Output.error("Waiting for another apply (\(holder)).")
            return true
        }
        defer { withExtendedLifetime(lock) {} }
        var identity = Identity()
        identity.address = address
        var declared = DeclaredHost()
        declared.physicalFunctions = [
            DeclaredPhysicalFunction(
                identity: identity, virtualFunctions: sriov.enabledVFs,
                position: SourcePosition(file: "sluice doctor", line: 1, column: 1))
        ]
        var plan = Planner(host: host, files: kernel.files).plan(to: declared)
        for index in plan.devices.indices {
            plan.devices[index].steps.removeAll { ![.bringUp, .quieten].contains($0.action) }
            (plan.devices[index].settings, plan.devices[index].bindings) = ([], [])
        }
        let reports = try Applier(kernel: kernel, state: agent.stateDirectory).apply(
            plan, file: "", time: time(nil), interrupted: Journal.interrupted(in: agent.stateDirectory)
        ) { _ in }
        if let error = reports.flatMap(\.errors).first { throw error }
        return true
    }

    private func openBridges() throws -> Bool {
        let folder = HostFacts.bridgeFolder
        let names = (try LiveFileTree().entries(folder) ?? []).filter { $0.hasPrefix("bridge-nf-call-") }.sorted()
        var set = BootSet()
        set.files = BootRenderer.bridgeFiles
        let installer = BootInstaller()
        let comparison = try installer.compare(with: set, topics: [.bridge])
        let others = comparison.changes.filter { $0.action == .foreign }.map(\.path)
        guard
            try isWished(
                "write 0 to \(names.joined(separator: ", ")) in \(folder), and \(set.files.map(\.path).joined(separator: " and ")), which do so whenever br_netfilter is loaded"
                    + (others.isEmpty ? "" : "; \(others.joined(separator: " and ")) of somebody else's is replaced")
                    + "; sluice boot uninstall --only bridge brings back what was there")
        else { return false }
        // It is wished for from now on, whatever pools there are.
        var options = BootRenderer.Options()
        let installed = try installer.installedOptions()
        options.startsAgent = installed?.startsAgent ?? true
        options.additional = (installed?.additional ?? []).union([.bridge])
        for command in try installer.apply(
            comparison, options: options, isForced: true, onKept: { Output.line("  kept as \($0)") })
        {
            try installer.hasRun(command)
        }
        let channel = try WriterProcess.channel()
        for name in names {
            try channel.write(
                WriteRequest(path: "\(folder)/\(name)", value: "0", operation: "set \(name)"), deadline: .seconds(10))
        }
        return true
    }

    // MARK: Asking

    private func isWished(_ what: String) throws -> Bool {
        Output.line("  will \(what)")
        return try asks ? Output.confirm("Do it?") : true
    }
}
