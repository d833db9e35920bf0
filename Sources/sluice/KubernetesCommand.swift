internal import ArgumentParser
internal import FoundationEssentials
internal import Glibc
internal import HostFile
internal import PCI
internal import SRIOV

struct KubernetesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "k8s", abstract: "What a Kubernetes node needs.",
        subcommands: [KubernetesRender.self, KubernetesInstall.self])
}

struct KubernetesRender: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "render", abstract: "Print the manifests for a cluster whose nodes have this host file.",
        discussion: """
            A ServiceAccount without any right, the DaemonSet that runs the agent, a NetworkAttachmentDefinition for each
            pool for Kubernetes, and a pod that asks for a VF of the first. The host file itself stays on each node, in
            /etc/sluice. Nodes whose agent is started by systemd need the networks only.

            Examples:
              sluice k8s render --image registry.example.com/sluice:0.1.0 | kubectl apply -f -
              sluice k8s render --only NetworkAttachmentDefinition -f host.yaml
            """)

    @Option(name: [.customShort("f"), .customLong("file")], help: "The host file.", completion: .file())
    var file = "/etc/sluice/host.yaml"
    @Option(name: .long, help: "The image with Sluice's programs; see packaging/container.") var image = "sluice:0.1.0"
    @Option(name: .long, help: "The agent's namespace.") var namespace = "kube-system"
    @Option(name: .long, help: "Only objects of this kind, such as DaemonSet; may be given several times.")
    var only: [String] = []

    func run() async throws {
        let declared = try HostFile.parse(try HostFile.text(of: file), file: file)
        guard declared.pools.contains(where: { $0.kubernetesResource != nil }) else {
            throw SRIOVError(
                .unknownName, "\(file) has no pool for Kubernetes",
                remedy: "write for: kubernetes into one of its pools")
        }
        let manifests = NodeManifests(declared: declared, namespace: namespace, image: image)
        let documents = try manifests.documents.filter { only.isEmpty || only.contains($0.kind) }.map {
            try $0.document()
        }
        Output.write("---\n" + documents.joined(separator: "---\n"))
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
    @Option(name: .long, help: "The plugin.", completion: .file()) var from = "/usr/local/share/sluice/sluice-cni"

    func run() async throws {
        guard let bytes = try LiveFileTree().contents(from, limit: 64 << 20) else {
            throw SRIOVError(.unknownName, "there is no file \(from)", remedy: "give the plugin's path with --from")
        }
        let new = "\(to)/.sluice-cni.new"
        do {
            try Data(bytes).write(to: URL(filePath: new))
            guard chmod(new, 0o755) == 0, rename(new, "\(to)/sluice-cni") == 0 else {
                throw SRIOVError(.state, String(cString: strerror(errno)))
            }
        } catch {
            let reason = (error as? SRIOVError)?.message ?? "\(error)"
            unlink(new)
            throw SRIOVError(
                .state, "\(to)/sluice-cni cannot be written: \(reason)",
                remedy: "is the folder there, and are you root?")
        }
        Output.line("\(to)/sluice-cni")
    }
}
