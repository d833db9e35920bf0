internal import FoundationEssentials
internal import Glibc
internal import Leasing
internal import PCI
internal import SRIOV

/// What a container runtime is told of a resource's devices (Container Device Interface 0.5.0): which nodes a container gets
/// with each.
struct CDISpecification: Encodable {
    /// Where runtimes look for those that come and go.
    static let folder = "/var/run/cdi"

    var cdiVersion = "0.5.0"
    var kind: String
    var devices: [Device]

    struct Device: Encodable {
        var name: String
        var containerEdits: Edits
    }

    struct Edits: Encodable {
        var deviceNodes: [Node]
    }

    struct Node: Encodable {
        var path: String
        var hostPath: String
        var permissions = "rw"
    }

    /// What is said of a resource. A device without nodes, such as a VF with a netdev, cannot be part of it: its edits would be
    /// empty, which runtimes refuse.
    init(of resource: NodeResource, files: any FileTree) throws(PCIError) {
        kind = Self.kind(of: resource)
        devices = []
        for id in resource.ids {
            let nodes = try resource.nodes(of: id, files: files)
            let devices = ContainerDevices(resource: resource, devices: [(id, nodes)]).nodes
            guard !devices.isEmpty else { continue }
            self.devices.append(
                Device(
                    name: id,
                    containerEdits: Edits(
                        deviceNodes: devices.map { Node(path: $0.container, hostPath: $0.host) })))
        }
    }

    private static func kind(of resource: NodeResource) -> String { "\(resource.name.prefix)/\(resource.cdiClass)" }

    /// Whether a container may ask for a device by name.
    func has(_ device: String) -> Bool { devices.contains { $0.name == device } }

    /// A device as containers ask for it.
    func qualifiedName(_ device: String) -> String { "\(kind)=\(device)" }

    static func path(of resource: NodeResource) -> String {
        "\(folder)/sriov-dp-\(resource.cdiClass)-\(resource.name.prefix)_\(resource.name.name).json"
    }

    /// Removes what is said of devices by resources that are none any more: a device that two files name cannot be asked for.
    static func removeOthers(than resources: [NodeResource], files: any FileTree) {
        let kept = Set(resources.map(path))
        for name in ((try? files.entries(folder)) ?? nil) ?? [] where name.hasPrefix("sriov-dp-") {
            if !kept.contains("\(folder)/\(name)") { unlink("\(folder)/\(name)") }
        }
    }

    /// Writes it for runtimes to read; one without devices is removed.
    ///
    /// Throws when that cannot be done.
    func write(for resource: NodeResource) throws {
        let path = Self.path(of: resource)
        guard !devices.isEmpty else {
            unlink(path)
            return
        }
        try NodeFiles.replace(path, with: try JSONEncoder.plain.encode(self))
    }
}

extension NodeResource {
    /// `net-pci`, `net-sf` or `accelerator-pci`, as sriov-network-device-plugin has them.
    fileprivate var cdiClass: String {
        if !subfunctions.isEmpty { return "net-sf" }
        return members.first.map { $0.function.pci.classCode.isNetwork } ?? true ? "net-pci" : "accelerator-pci"
    }
}
