internal import Agent
internal import ArgumentParser
internal import Glibc
internal import Kubernetes
internal import Logging
internal import PCI
internal import SRIOV

struct Sluiced: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sluiced",
        abstract: "Keep the host as its host file says, and know who has which function.",
        discussion: """
            Applies the host file at its start, mends what changes as far as nobody's use forbids it, gives functions
            out as leases, and cleans them when they come back. Leases survive its end. SIGHUP reads the host file and
            the certificates again, SIGTERM ends it.

            Examples:
              sluiced                                  for /etc/sluice/host.yaml
              sluiced --observe-only                   looks and answers, and changes nothing
              sluiced --listen 127.0.0.1:8443 --certificate a.pem --key a.key --client-ca ca.pem
            """,
        version: "0.1.0")

    @Option(name: [.customShort("f"), .customLong("file")], help: "The host file.", completion: .file())
    var file = "/etc/sluice/host.yaml"
    @Option(name: .long, help: "Where the records are.", completion: .directory) var state = "/var/lib/sluice"
    @Option(name: .long, help: "The Unix socket.", completion: .file()) var socket = "/run/sluice/sluice.sock"
    @Option(name: .long, help: "The group that may read.") var group = "sluice"
    @Option(name: .long, help: "A user beside root who may change something; may be given several times.")
    var allowUid: [UInt32] = []
    @Flag(name: .long, help: "Only look: apply, repair and lease nothing.") var observeOnly = false
    @Option(
        name: .long,
        help: ArgumentHelp(
            "A libvirt daemon to follow (default qemu:///system, when a pool is for libvirt).", valueName: "uri"))
    var libvirt: [String] = []
    @Flag(name: .long, help: "Give up the capabilities that the systemd unit would not have: for containers.")
    var leastPrivileges = false
    @Option(
        name: .long, help: "The folder of the kubelet that is told of the pools for Kubernetes.",
        completion: .directory)
    var kubelet = "/var/lib/kubelet"
    @Option(
        name: .long,
        help: "A list of resources as sriov-network-device-plugin has it; none if it is not there.",
        completion: .file())
    var resourceList = "/etc/pcidp/config.json"
    @Flag(name: .long, help: "Give containers their device nodes by way of CDI (/var/run/cdi).") var useCdi = false
    @Option(name: .long, help: "The prefix of the list's resources that name none.")
    var resourcePrefix = "intel.com"
    @Option(name: .long, help: "Listen on TCP too, with TLS, for clients with a certificate: ADDRESS:PORT.")
    var listen: String?
    @Option(name: .long, help: "The agent's certificate chain, PEM.", completion: .file()) var certificate: String?
    @Option(name: .long, help: "Its key, PEM.", completion: .file()) var key: String?
    @Option(name: .long, help: "The authorities of clients' certificates, PEM.", completion: .file())
    var clientCa: String?
    @Option(name: .long, help: "How much is logged: debug, info, notice, warning, error.") var logLevel = "info"

    func validate() throws {
        if Logger.Level(rawValue: logLevel) == nil {
            throw ValidationError("--log-level \(logLevel): there are debug, info, notice, warning and error.")
        }
        if ResourceName(prefix: resourcePrefix, name: "a") == nil {
            throw ValidationError("--resource-prefix \(resourcePrefix): give a DNS name, such as example.com.")
        }
        _ = try tcp()
    }

    private func tcp() throws -> AgentOptions.TCPOptions? {
        guard let listen else { return nil }
        guard let colon = listen.lastIndex(of: ":"), let port = Int(listen[listen.index(after: colon)...]),
            (0...65535).contains(port)
        else { throw ValidationError("--listen \(listen): give ADDRESS:PORT, such as 127.0.0.1:8443.") }
        guard let certificate, let key, let clientCa else {
            throw ValidationError(
                "--listen needs --certificate, --key and --client-ca: without them anybody could ask.")
        }
        let host = listen[..<colon].filter { $0 != "[" && $0 != "]" }
        return .init(host: host, port: port, certificate: certificate, key: key, clientAuthorities: clientCa)
    }

    func run() throws {
        let level = Logger.Level(rawValue: logLevel) ?? .info
        let logger = Logger(label: "sluiced") { _ in
            var handler = StderrLog()
            handler.logLevel = level
            return handler
        }
        var options = AgentOptions()
        options.hostFile = file
        options.state = StateDirectory(path: state)
        options.socket = socket
        options.group = group.isEmpty ? nil : group
        options.changeUIDs = Set(allowUid)
        options.isObserveOnly = observeOnly
        options.libvirt = libvirt.isEmpty ? nil : libvirt
        options.kubelet.kubelet = kubelet
        options.kubelet.list = resourceList.isEmpty ? nil : resourceList
        options.kubelet.usesCDI = useCdi
        options.kubelet.prefix = resourcePrefix
        options.tcp = try tcp()
        do {
            // Without its writer nothing could be cleaned any more; systemd starts both anew.
            let onEnd: @Sendable () -> Void = {
                logger.critical("the writer process has ended")
                _exit(1)
            }
            let channel = try writer.map { WriterChannel(process: $0, onEnd: onEnd) } ?? WriterChannel()
            let kernel = LinuxKernel(writer: channel)
            try Daemon(options: options, kernel: kernel, logger: logger).run()
        } catch {
            logger.critical("\(error)")
            throw ExitCode.failure
        }
        // A thread that waits for the kernel must not keep the process from ending.
        Glibc.exit(0)
    }
}
