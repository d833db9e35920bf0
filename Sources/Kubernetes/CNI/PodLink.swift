internal import Glibc
internal import Netlink
internal import PCI

/// What is done to the netdev of a VF for a container, on a thread within the container's namespace.
enum PodLink {
    /// How long a driver may take to make the netdev of a VF that it was just bound to: some do it in the background.
    static let patience = Duration.seconds(10)

    /// The netdev of a VF; to be called in the host's namespace.
    static func netdev(of address: PCIAddress) throws -> Link {
        do {
            return try RouteNetlink.wait(forLinkOf: device(address), deadline: patience)
        } catch {
            throw CNIError(
                .failed, "\(address) has no netdev in the host's network namespace",
                remedy: "sluice show \(address) says where it is, and which driver it has")
        }
    }

    /// Moves the netdev of a VF into the container, with its name there, and brings it up.
    static func move(
        _ link: Link, as name: String, mac: MACAddress?, into namespace: PodNamespace, _ host: inout RouteNetlink,
        _ pod: inout RouteNetlink
    ) throws {
        // A name that it has already by the way is in the way of its being called so (Linux 6.x: EEXIST).
        if link.alternativeNames.contains(name) { try host.removeAlternativeName(name, link: link.index) }
        try host.move(link: link.index, toNamespace: namespace.descriptor, newName: name)
        let moved = try pod.link(named: name)
        if let mac, moved.address?.mac != mac { try pod.setAddress(mac, link: moved.index) }
        // So that the network is told of its addresses when they are complete.
        set("ipv4/conf/\(name)/arp_notify", "1")
        set("ipv6/conf/\(name)/ndisc_notify", "1")
        try pod.setUp(true, link: moved.index)
    }

    /// Whether the netdev of a VF is in the container.
    static func isThere(_ address: PCIAddress, _ pod: inout RouteNetlink) throws -> Bool {
        try pod.links().contains { $0.device == device(address) }
    }

    /// Gives the netdev of a VF back to the host. It may have any name there: its driver makes it anew when it is cleaned.
    static func giveBack(_ address: PCIAddress, toHost descriptor: Int32, _ pod: inout RouteNetlink) throws {
        for link in try pod.links() where link.device == device(address) {
            // A tenant may have given it names that the host has.
            for name in link.alternativeNames { try pod.removeAlternativeName(name, link: link.index) }
            try pod.move(link: link.index, toNamespace: descriptor, newName: "sluice%d")
        }
    }

    /// Gives a container's netdev its addresses and routes, and tells the network of them.
    static func configure(
        _ link: Link, _ addresses: [IPPrefix], _ routes: [LinkRoute], _ pod: inout RouteNetlink
    ) throws {
        if addresses.contains(where: \.isIPv6) { set("ipv6/conf/\(link.name)/disable_ipv6", "0") }
        for address in addresses { try pod.add(address, toLink: link.index) }
        for route in routes { try pod.add(route, byLink: link.index) }
        // Without a carrier nobody can be told, and nothing is lost by not waiting longer.
        try? RouteNetlink.wait(forLink: link.index, toBe: "running", deadline: .milliseconds(200)) {
            $0.flags.contains(.lowerUp)
        }
        if !addresses.isEmpty, let mac = link.address?.mac { try? pod.setAddress(mac, link: link.index) }
    }

    static func device(_ address: PCIAddress) -> Link.ParentDevice { .init(bus: "pci", name: "\(address)") }

    /// A switch of the thread's network namespace. Kernels without IPv6 have not all of them.
    private static func set(_ name: String, _ value: String) {
        let descriptor = open("/proc/sys/net/\(name)", O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        _ = write(descriptor, value, value.utf8.count)
        close(descriptor)
    }
}
