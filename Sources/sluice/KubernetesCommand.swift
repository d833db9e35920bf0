internal import AgentAPI
internal import ArgumentParser
internal import FoundationEssentials
internal import Glibc
internal import HostFile
internal import Leasing
internal import Netlink
internal import PCI
internal import SRIOV

struct KubernetesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "k8s", abstract: "What a Kubernetes node needs.",
        subcommands: [KubernetesRender.self, KubernetesInstall.self, KubernetesReady.self])
}

struct KubernetesRender: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "render", abstract: "Print the manifests for a cluster whose nodes have this host file.",
        discussion: """
            A ServiceAccount without any right, the DaemonSet that runs the agent, a NetworkAttachmentDefinition for each
            pool for Kubernetes, and a pod that asks for a VF of the first. The host file itself stays on each node, in
            /etc/sluice. Nodes whose agent is started by systemd need the networks only.

            Examples:
              kubectl label node n1 sluice.local/node=true
              sluice k8s render --image registry.example.com/sluice:0.1.0 --subnet 10.56.0.0/24 | kubectl apply -f -
              sluice k8s render --only NetworkAttachmentDefinition -f host.yaml
            """)

    @Option(name: [.customShort("f"), .customLong("file")], help: "The host file.", completion: .file())
    var file = "/etc/sluice/host.yaml"
    @Option(name: .long, help: "The image with Sluice's programs; see packaging/container.") var image = "sluice:0.1.0"
    @Option(name: .long, help: "The agent's namespace.") var namespace = "kube-system"
    @Option(
        name: .customLong("node-selector"),
        help: ArgumentHelp("The label of the nodes that have a host file.", valueName: "key=value"))
    var nodeLabel = "sluice.local/node=true"
    @Option(name: .long, help: "The addresses that host-local gives out in the networks; none when left out.")
    var subnet: String?
    @Option(name: .long, help: "The kubelet's folder.") var kubelet = "/var/lib/kubelet"
    @Option(name: .long, help: "The folder of the runtime's CNI plugins.") var cniBin = "/opt/cni/bin"
    @Flag(name: .long, help: "Let networks of sriov-cni be served, as they are.") var replaceSriovCni = false
    @Option(
        name: .long, help: "The ConfigMap with config.json, the list of resources that sriov-network-device-plugin had."
    )
    var configMap = "sriovdp-config"
    @Option(name: .long, help: "The prefix of that list's resources (intel.com).") var resourcePrefix: String?
    @Flag(name: .long, help: "Give containers their device nodes by way of CDI.") var useCdi = false
    @Option(name: .long, help: "Only objects of this kind, such as DaemonSet; may be given several times.")
    var only: [String] = []

    /// The label and its value.
    var nodeSelector: [(key: String, value: String)] {
        let parts = nodeLabel.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        return parts.count == 2 && !parts[0].isEmpty ? [(parts[0], parts[1])] : []
    }

    func validate() throws {
        if !nodeLabel.isEmpty, nodeSelector.isEmpty {
            throw ValidationError("--node-selector \(nodeLabel): give KEY=VALUE, such as sluice.local/node=true.")
        }
        if let subnet, IPPrefix(subnet) == nil {
            throw ValidationError("--subnet \(subnet): give ADDRESS/LENGTH, such as 10.56.0.0/24.")
        }
    }

    func run() async throws {
        let declared = try HostFile.parse(try HostFile.text(of: file), file: file)
        var names: [String: String] = [:]
        for pool in declared.pools where pool.kubernetesResource != nil {
            if let other = names.updateValue(pool.name, forKey: NodeManifests.objectName(pool.name)) {
                throw SRIOVError(
                    .unknownName, "the networks of pool \(other) and pool \(pool.name) would have one name",
                    remedy: "rename one of the pools")
            }
        }
        let documents = NodeManifests(declared: declared, options: self).documents
            .filter { only.isEmpty || only.contains($0.kind) }
        guard !documents.isEmpty else {
            throw SRIOVError(
                .unknownName, "there is nothing of kind \(only.joined(separator: " or "))",
                remedy: "a pool for Kubernetes has for: kubernetes; kinds are written as in ServiceAccount")
        }
        Output.write("---\n" + (try documents.map { try $0.document() }.joined(separator: "---\n")))
    }
}

extension Manifest {
    /// `DaemonSet` and the like.
    fileprivate var kind: String {
        guard case .members(let members) = self, case .text(let kind)? = members.first(where: { $0.0 == "kind" })?.1
        else { return "" }
        return kind
    }
}

struct KubernetesInstall: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install-cni", abstract: "Put the CNI plugin where the container runtime looks.",
        discussion: """
            The plugin is the sluice-cni beside this program's folder. It is replaced as a whole: a pod that is started
            meanwhile gets the old one or the new one.

            Example:
              sluice k8s install-cni --to /opt/cni/bin
            """)

    @Option(name: .long, help: "The folder.", completion: .directory) var to = "/opt/cni/bin"
    @Flag(name: .long, help: "Put it in the place of sriov-cni too, so that its networks are served as they are.")
    var replaceSriovCni = false
    @Option(name: .long, help: "The plugin.", completion: .file()) var from = "/usr/local/share/sluice/sluice-cni"

    func run() async throws {
        guard let bytes = try LiveFileTree().contents(from, limit: 64 << 20) else {
            throw SRIOVError(.unknownName, "there is no file \(from)", remedy: "give the plugin's path with --from")
        }
        try install(bytes, as: "sluice-cni")
        if replaceSriovCni { try install(bytes, as: "sriov") }
    }

    private func install(_ bytes: [UInt8], as name: String) throws {
        let new = "\(to)/.\(name).new"
        do {
            try Data(bytes).write(to: URL(filePath: new))
            guard chmod(new, 0o755) == 0, rename(new, "\(to)/\(name)") == 0 else {
                throw SRIOVError(.state, String(cString: strerror(errno)))
            }
        } catch {
            let reason = (error as? SRIOVError)?.message ?? "\(error)"
            unlink(new)
            throw SRIOVError(
                .state, "\(to)/\(name) cannot be written: \(reason)",
                remedy: "is the folder there, and are you root?")
        }
        Output.line("\(to)/\(name)")
    }
}

struct KubernetesReady: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ready", abstract: "Succeed when the agent runs and the host is as declared: for probes.")

    @OptionGroup var location: AgentLocation

    func run() async throws {
        guard let client = location.client else {
            throw LeasingError(.unreachable, "no agent answers", remedy: "systemctl status sluiced")
        }
        _ = try client.get("/readyz", as: [String: String].self)
    }
}
