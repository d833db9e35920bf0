/// What a container runtime asks of a CNI plugin: environment and standard input, as `sluice-cni` passes them on.
public struct CNICall: Codable, Sendable, Hashable {
    /// `CNI_COMMAND`: ADD, DEL, CHECK, STATUS or GC.
    public var command: String
    /// `CNI_CONTAINERID`.
    public var containerID: String
    /// `CNI_NETNS`: a path; empty where the container's namespace is gone.
    public var netns: String
    /// `CNI_IFNAME`.
    public var ifname: String
    /// `CNI_ARGS`: `KEY=VALUE;…`.
    public var args: String
    /// Standard input: the network's configuration.
    public var config: String
    /// What the plugin that gives out addresses has printed; nil before it was run.
    public var ipamOutput: String?
    /// That plugin's exit status, 0 where it has succeeded, as digits.
    public var ipamStatus: String?

    /// The names of its members.
    public static let keys: Set<String> = [
        "command", "containerID", "netns", "ifname", "args", "config", "ipamOutput", "ipamStatus",
    ]

    /// What somebody else's plugin has come to.
    enum Delegated: Sendable, Equatable {
        /// It has not been run yet.
        case not
        /// It has printed this.
        case succeeded(String)
        /// It has failed, and printed this.
        case failed(String)
    }

    var delegated: Delegated {
        guard let ipamOutput else { return .not }
        return ipamStatus == "0" ? .succeeded(ipamOutput) : .failed(ipamOutput)
    }

    /// Throws code 4 where a variable is not what the specification allows.
    func checkAttachment() throws(CNIError) {
        let isID =
            containerID.utf8.first.map(Self.isAlphanumeric) ?? false
            && containerID.utf8.count <= 256
            && containerID.utf8.allSatisfy { Self.isAlphanumeric($0) || "_.-".utf8.contains($0) }
        guard isID else {
            throw CNIError(
                .invalidEnvironment, "CNI_CONTAINERID \"\(containerID.prefix(100))\" is no container's identifier",
                remedy: "it begins with a letter or digit and goes on with those, '_', '.' and '-'")
        }
        let isName =
            (1...15).contains(ifname.utf8.count) && ![".", ".."].contains(ifname)
            && ifname.unicodeScalars.allSatisfy {
                $0.value > 0x20 && $0.value != 0x7f && !"/:".unicodeScalars.contains($0)
            }
        guard isName else {
            throw CNIError(
                .invalidEnvironment, "CNI_IFNAME \"\(ifname.prefix(100))\" is no name of a network interface",
                remedy: "it has 1 to 15 bytes, without blanks, '/' and ':'")
        }
    }

    /// Throws code 4 where no namespace is named.
    func checkNamespace() throws(CNIError) {
        guard !netns.isEmpty else { throw CNIError(.invalidEnvironment, "CNI_NETNS is missing") }
    }

    /// A value of `CNI_ARGS`. Throws code 4 where they are not `KEY=VALUE;…`.
    func argument(_ name: String) throws(CNIError) -> String? {
        var found: String?
        for pair in args.split(separator: ";") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw CNIError(
                    .invalidEnvironment, "CNI_ARGS has \"\(pair.prefix(100))\"", remedy: "it is KEY=VALUE;KEY=VALUE")
            }
            if parts[0] == name { found = String(parts[1]) }
        }
        return found
    }

    /// The pod, where the runtime says so (`K8S_POD_NAMESPACE`, `K8S_POD_NAME`). It is for people to read: what cannot be the
    /// name of one is left out.
    var pod: String? {
        guard let namespace = (try? argument("K8S_POD_NAMESPACE")) ?? nil,
            let name = (try? argument("K8S_POD_NAME")) ?? nil
        else { return nil }
        return PodName.text(namespace, name)
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
    }
}
