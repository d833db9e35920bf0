internal import Netlink
internal import PCI

/// Links as sysfs shows them: what a recorded host has when its netlink answers were not recorded.
struct SysfsLinks {
    let files: any FileTree

    func links() throws(PCIError) -> [Link] {
        var links: [Link] = []
        for name in try files.entries("/sys/class/net") ?? [] {
            let path = "/sys/class/net/\(name)"
            guard let index: Int32 = try files.number(path + "/ifindex"), index > 0 else { continue }
            var link = Link(index: index, name: name)
            link.flags = Link.Flags(rawValue: try files.hexadecimalNumber(path + "/flags") ?? 0)
            link.address = hardwareAddress(try files.text(path + "/address"))
            // NET_ADDR_PERM: the address is the one that is burnt in.
            if try files.text(path + "/addr_assign_type") == "0" { link.permanentAddress = link.address }
            link.mtu = try files.number(path + "/mtu") ?? 0
            let state = try files.text(path + "/operstate")
            link.state = (0...6).compactMap(Link.State.init).first { $0.word == state } ?? .unknown
            // iflink of a veth is its peer's index, often in another namespace; only what lies below is a parent.
            if let lower = try files.entries(path)?.first(where: { $0.hasPrefix("lower_") }) {
                link.parent = try files.number("/sys/class/net/\(lower.dropFirst(6))/ifindex")
            }
            link.physicalPortName = try files.text(path + "/phys_port_name").flatMap { $0.isEmpty ? nil : $0 }
            if let device = try files.linkName(path + "/device"), PCIAddress(device) != nil {
                link.device = Link.ParentDevice(bus: "pci", name: device)
            }
            if let master = try files.linkName(path + "/master") {
                link.master = try files.number("/sys/class/net/\(master)/ifindex")
                for (folder, kind) in [("brport", "bridge"), ("bonding_slave", "bond")] {
                    if try files.entries(path + "/" + folder) != nil { link.slaveKind = kind }
                }
            }
            links.append(link)
        }
        return links.sorted { $0.index < $1.index }
    }

    private func hardwareAddress(_ text: String?) -> HardwareAddress? {
        guard let text, !text.isEmpty else { return nil }
        let bytes = text.split(separator: ":").compactMap { UInt8($0, radix: 16) }
        return bytes.isEmpty ? nil : HardwareAddress(bytes: bytes)
    }
}
