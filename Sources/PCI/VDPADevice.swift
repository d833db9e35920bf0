/// A vDPA device: the virtqueues of a function, which a machine or a container uses without having the function itself
/// (drivers/vdpa/vdpa.c). It lives as long as the function's driver stays bound.
public struct VDPADevice: Sendable, Hashable {
    /// `vdpa0`; whoever made it has chosen the name.
    public var name: String
    /// Through which driver it is used; nil while it has none.
    public var use: Use?
    /// `/dev/vhost-vdpa-0`; nil where it is not for vhost.
    public var node: String?

    /// What a device is bound to.
    public enum Use: String, Sendable {
        /// `vhost_vdpa`: by a program, such as QEMU or DPDK.
        case vhost
        /// `virtio_vdpa`: by the host's kernel, as a netdev or a disk.
        case virtio
    }

    /// The vDPA devices of a host, by the PCI function that they are made of.
    ///
    /// Throws `PCIError` when sysfs cannot be read.
    public static func all(_ files: any FileTree) throws(PCIError) -> [PCIAddress: [VDPADevice]] {
        let folder = "/sys/bus/vdpa/devices"
        var devices: [PCIAddress: [VDPADevice]] = [:]
        // Without vDPA there is no such folder.
        for name in try files.entries(folder)?.sorted() ?? [] {
            // ../../../devices/pci0000:40/0000:40:00.0/0000:41:10.0/vdpa0: of a function is what stands right below it.
            guard let parent = try files.link("\(folder)/\(name)")?.split(separator: "/").dropLast().last,
                let address = PCIAddress(parent)
            else { continue }
            let driver = try files.linkName("\(folder)/\(name)/driver")
            let use = driver.flatMap { $0.hasSuffix("_vdpa") ? Use(rawValue: String($0.dropLast(5))) : nil }
            let node = try files.entries("\(folder)/\(name)")?.first { $0.hasPrefix("vhost-vdpa-") }
            devices[address, default: []].append(VDPADevice(name: name, use: use, node: node.map { "/dev/\($0)" }))
        }
        return devices
    }
}
