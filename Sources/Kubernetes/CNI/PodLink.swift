internal import Glibc
internal import Netlink
internal import PCI

/// What is done to the netdev of a VF for a container, on a thread within the container's namespace.
enum PodLink {
    /// Moves the netdev of a VF into the container, with its name there, and brings it up.
    static func take(
        _ address: PCIAddress, as name: String, mac: MACAddress?, into namespace: PodNamespace, files: any FileTree,
        _ host: inout RouteNetlink, _ pod: inout RouteNetlink
    ) throws -> Link {
        let link = try netdev(of: address, files, &host)
        // A name that it has already by the way is in the way of its being called so (Linux 6.x: EEXIST).
        if link.alternativeNames.contains(name) { try host.removeAlternativeName(name, link: link.index) }
        try host.move(link: link.index, toNamespace: namespace.descriptor, newName: name)
        let moved = try pod.link(named: name)
        if let mac, moved.address?.mac != mac { try pod.setAddress(mac, link: moved.index) }
        // So that its addresses are told of when they are complete.
        set("ipv4/conf/\(name)/arp_notify")
        set("ipv6/conf/\(name)/ndisc_notify")
        try pod.setUp(true, link: moved.index)
        return try pod.link(index: moved.index)
    }

    /// Gives the netdev of a VF back to the host. It may have any name there: its driver makes it anew when it is cleaned.
    static func giveBack(
        _ address: PCIAddress, toHost descriptor: Int32, _ pod: inout RouteNetlink
    ) throws {
        for link in try pod.links() where link.device == .init(bus: "pci", name: "\(address)") {
            try pod.move(link: link.index, toNamespace: descriptor, newName: "sluice%d")
        }
    }

    /// Gives a container's netdev its addresses and routes, and tells the network of them.
    static func configure(
        _ link: Link, _ addresses: [IPPrefix], _ routes: [LinkRoute], _ pod: inout RouteNetlink
    ) throws {
        for address in addresses { try pod.add(address, toLink: link.index) }
        for route in routes { try pod.add(route, byLink: link.index) }
        // Without a carrier nobody can be told, and nothing is lost by not waiting longer.
        try? RouteNetlink.wait(forLink: link.index, toBe: "running", deadline: .milliseconds(200)) {
            $0.flags.contains(.lowerUp)
        }
        if !addresses.isEmpty, let mac = link.address?.mac { try? pod.setAddress(mac, link: link.index) }
    }

    /// The netdev of a VF in the agent's namespace.
    private static func netdev(
        of address: PCIAddress, _ files: any FileTree, _ host: inout RouteNetlink
    ) throws -> Link {
        // udev renames new netdevs: what was read is looked for again under its new name.
        for _ in 0..<3 {
            guard let name = try files.entries("\(PCIReader.path(address))/net")?.first else { break }
            if let link = try? host.link(named: name), link.device?.name == "\(address)" { return link }
        }
        throw CNIError(
            .failed, "\(address) has no netdev in the host's network namespace",
            remedy: "sluice show \(address) says where it is, and which driver it has")
    }

    /// A switch of the thread's network namespace. Kernels without IPv6 have not all of them.
    private static func set(_ name: String) {
        let descriptor = open("/proc/sys/net/\(name)", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = write(descriptor, "1", 1)
        close(descriptor)
    }
}
