public import Kubernetes
public import SRIOV

/// How the agent runs.
public struct AgentOptions: Sendable {
    /// The host file.
    public var hostFile = "/etc/sluice/host.yaml"
    /// The state folder.
    public var state = StateDirectory()
    /// The Unix socket.
    public var socket = "/run/sluice/sluice.sock"
    /// The group that may read, by owning the socket; nil leaves the group as it is.
    public var group: String? = "sluice"
    /// The users beside root that may change something.
    public var changeUIDs: Set<UInt32> = []
    /// Whether it only looks: nothing is applied, repaired or leased.
    public var isObserveOnly = false
    /// The libvirt daemons that it follows; nil is the system's when a pool is for libvirt.
    public var libvirt: [String]?
    /// The kubelet that is told of the resources.
    public var kubelet = DevicePlugin.Options()
    /// Where it listens on TCP; nil for not at all.
    public var tcp: TCPOptions?

    /// A listener on TCP: only with TLS, and only for clients with a certificate.
    public struct TCPOptions: Sendable {
        /// The address.
        public var host: String
        /// The port; 0 takes a free one.
        public var port: Int
        /// The agent's certificate chain, PEM.
        public var certificate: String
        /// Its key, PEM.
        public var key: String
        /// The authorities that clients' certificates are of, PEM.
        public var clientAuthorities: String

        /// Makes options of their parts.
        public init(host: String, port: Int, certificate: String, key: String, clientAuthorities: String) {
            self.host = host
            self.port = port
            self.certificate = certificate
            self.key = key
            self.clientAuthorities = clientAuthorities
        }
    }

    /// The usual ones.
    public init() {}
}
