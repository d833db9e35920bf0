internal import Netlink
internal import PCI

extension [Link] {
    /// The links with the PCI function that each hangs below as its device.
    ///
    /// The kernel names the nearest device only: a virtio NIC's netdev says `virtio2`, a USB NIC's `1-1:1.0`, and both
    /// belong to a function all the same. Its path in sysfs has the way: `…/0000:00:03.0/virtio2/net/eth0`.
    func withOwners(_ files: any FileTree) -> [Link] {
        map { link in
            // Links that were made (veth, bridge, macvtap) hang below nothing.
            guard link.device?.bus != "pci", link.kind == nil else { return link }
            let path = ((try? files.link("/sys/class/net/\(link.name)")) ?? nil) ?? ""
            guard let owner = path.split(separator: "/").last(where: { PCIAddress($0) != nil }) else { return link }
            var link = link
            link.device = Link.ParentDevice(bus: "pci", name: String(owner))
            return link
        }
    }
}
