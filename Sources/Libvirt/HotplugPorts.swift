/// The places of a domain where devices can be attached while it runs.
///
/// libvirt adds ports only when a domain is defined; without a free one a live attach fails with "No more available PCI
/// slots" (src/conf/domain_addr.c, docs/pci-hotplug.rst).
public struct HotplugPorts: Sendable, Hashable {
    /// How many places there are.
    public var total: Int
    /// How many of them are free.
    public var free: Int

    /// Ports beyond this many may keep a guest from starting: each takes 4 KiB of the 64 KiB of I/O ports that SeaBIOS
    /// gives out; OVMF gives none to ports without devices.
    public static func advisable(_ description: DomainDescription) -> Int { description.isUEFI ? 30 : 14 }

    /// Counts the places of a domain.
    public init(_ description: DomainDescription) {
        // A bus is used by any device on it, also by one that a network will give a function.
        let used = Set(
            description.devices.filter { $0.name != "controller" || $0["type"] != "pci" }.compactMap { device in
                device.first("address").flatMap { $0["type"] == "pci" ? Self.number($0["bus"]) : nil }
            } + description.controllers.compactMap { $0.first("address").flatMap { Self.number($0["bus"]) } })
        guard description.isExpress else {
            // The 31 slots of a conventional bus, of which the host bridge has the first.
            let slots = Set(
                description.devices.compactMap { device in
                    device.first("address").flatMap { Self.number($0["bus"]) == 0 ? Self.number($0["slot"]) : nil }
                })
            (total, free) = (31, 31 - slots.subtracting([0]).count)
            return
        }
        let ports = description.controllers.filter {
            ["pcie-root-port", "pcie-switch-downstream-port"].contains($0["model"])
                && $0.first("target")?["hotplug"] != "off"
        }
        total = ports.count
        free = ports.count { port in Self.number(port["index"]).map { !used.contains($0) } ?? false }
    }

    /// Ports that make a number of places free, with indexes above all there are: an index that libvirt chooses by itself
    /// it also fills by itself.
    public static func missing(for wanted: Int, in description: DomainDescription) -> [XMLElement] {
        let ports = HotplugPorts(description)
        guard description.isExpress, wanted > ports.free else { return [] }
        let last = description.controllers.compactMap { number($0["index"]) }.max() ?? 0
        return (1...(wanted - ports.free)).map { offset in
            XMLElement("controller", ["type": "pci", "index": "\(last + offset)", "model": "pcie-root-port"])
        }
    }

    private static func number(_ text: String?) -> Int? {
        text.flatMap { $0.hasPrefix("0x") ? Int($0.dropFirst(2), radix: 16) : Int($0) }
    }
}
