internal import Agent
internal import Glibc
internal import Logging
internal import Netlink
internal import PCI
internal import SRIOV
internal import SluiceTesting

/// Runs the agent on four ports with 32 VFs each.
func serve(_ folder: String, port: Int?) throws {
    signal(SIGPIPE, SIG_IGN)
    Signals.hold()
    let ports = (0..<4).compactMap { number in
        PCIAddress("0000:4\(number):00.0").map {
            FakeKernel.Port(
                address: $0, netdev: "ens1\(number)", mac: MACAddress(rawValue: 0x025c_0000_0000 + UInt64(number)),
                node: number / 2, totalVFs: 32)
        }
    }
    let pool = """
          tenant:
            functions: [{ match: { numaNode: 0 } }, { match: { numaNode: 1 } }]
            settings: { vlan: { id: 42 } }
        """
    let declared = ports.map { "  - { match: { netdev: \($0.netdev) }, virtualFunctions: 32, driver: vfio-pci }" }
    let hostFile = "physicalFunctions:\n" + declared.joined(separator: "\n") + "\npools:\n" + pool + "\n"
    guard let file = fopen("\(folder)/host.yaml", "w") else { fail("cannot write \(folder)/host.yaml") }
    fputs(hostFile, file)
    fclose(file)
    let kernel = FakeKernel(ports: ports)
    try kernel.loadModule("vfio-pci")
    var options = AgentOptions()
    options.hostFile = "\(folder)/host.yaml"
    options.state = StateDirectory(path: "\(folder)/state")
    options.socket = "\(folder)/sluice.sock"
    options.group = nil
    options.changeUIDs = [getuid()]
    options.tcp = port.map {
        AgentOptions.TCPOptions(
            host: "127.0.0.1", port: $0, certificate: "\(folder)/agent.pem", key: "\(folder)/agent.key",
            clientAuthorities: "\(folder)/ca.pem")
    }
    let logger = Logger(label: "lease-bench") { _ in
        var log = StderrLog()
        log.logLevel = .warning
        return log
    }
    try Daemon(options: options, kernel: kernel, logger: logger).run()
}
