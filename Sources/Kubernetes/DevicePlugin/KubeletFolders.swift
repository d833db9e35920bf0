/// Where the kubelet keeps what it shares with plugins (pkg/kubelet/apis/deviceplugin/v1beta1/constants.go).
public struct KubeletFolders: Sendable, Hashable {
    /// The kubelet's own folder.
    public let path: String

    /// Below `/var/lib/kubelet`, unless the kubelet was told otherwise.
    public init(_ path: String = "/var/lib/kubelet") { self.path = path }

    /// Sockets of plugins that are found by themselves.
    var registry: String { "\(path)/plugins_registry" }
    /// Sockets of plugins that register, the kubelet's own, and its record of what it has allocated.
    var devicePlugins: String { "\(path)/device-plugins" }
    /// Where plugins register.
    var socket: String { "\(devicePlugins)/kubelet.sock" }
    /// What the kubelet has allocated, for when it is started anew.
    var checkpoint: String { "\(devicePlugins)/kubelet_internal_checkpoint" }
    /// Who has which device.
    var podResources: String { "\(path)/pod-resources/kubelet.sock" }
}
