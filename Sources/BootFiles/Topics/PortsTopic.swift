internal import Netlink
internal import SRIOV

extension BootRenderer {
    /// Ports are up, so that libvirt takes their VFs, and have no addresses, so that nothing of the host listens there.
    func addPorts(to set: inout BootSet) {
        let all = ports.filter { $0.declared.virtualFunctions > 0 }
        var ours: [BootPort] = []
        for port in all {
            if port.isUsed {
                set.notes.append("\(port.label) is used by the host itself: its configuration is left alone")
            } else if let place = system.place(configuring: port) {
                set.notes.append("\(port.label) is configured in \(place) already, and left alone")
            } else if port.name == nil, port.mac == nil {
                set.notes.append(
                    "\(port.declared.identity.description): its netdev is not known here; add netdev or permanentMAC")
            } else {
                ours.append(port)
            }
        }
        switch system.network {
        case .netplan: addNetplan(ours, to: &set)
        case .networkManager: addNetworkManager(ours, all, to: &set)
        case .networkd: addNetworkd(ours, to: &set)
        case .ifupdown: addIfupdown(ours, to: &set)
        case .none:
            let who = options.startsAgent ? "the agent brings ports up" : "udev brings ports up when it makes their VFs"
            if !ours.isEmpty { set.notes.append("nobody configures the network here that is known: \(who)") }
        }
        // networkd is there below netplan too, and images bring it files that match every netdev.
        if [.netplan, .networkd].contains(system.network) { addUnmanaged(all, to: &set) }
    }

    private static let why = "ports with VFs are up and have no addresses"

    private func addNetplan(_ ports: [BootPort], to set: inout BootSet) {
        guard !ports.isEmpty else { return }
        let entries = ports.flatMap { port in
            ["    \(port.label.yamlQuoted):"]
                + (port.mac.map { ["      match: { macaddress: \"\($0)\" }"] } ?? [])
                + [
                    "      dhcp4: false", "      dhcp6: false", "      accept-ra: false", "      link-local: []",
                    "      optional: true",
                ]
        }
        // netplan's files may hold passwords, and it warns of one that others may read.
        set.files.append(
            .text(
                "/etc/netplan/60-sluice.yaml", .ports, Self.why, mode: 0o600,
                (["network:", "  version: 2", "  ethernets:"] + entries).joined(separator: "\n") + "\n"))
        set.commands.append(.refresh(["netplan", "generate"], for: [.ports]))
    }

    private func addNetworkd(_ ports: [BootPort], to set: inout BootSet) {
        for port in ports {
            let match = port.mac.map { "PermanentMACAddress=\($0)" } ?? "Name=\(port.label)"
            set.files.append(
                .text(
                    "/etc/systemd/network/06-sluice-\(port.label).network", .ports, Self.why,
                    """
                    [Match]
                    \(match)

                    [Link]
                    ActivationPolicy=always-up
                    RequiredForOnline=no

                    [Network]
                    DHCP=no
                    LinkLocalAddressing=no
                    IPv6AcceptRA=no
                    ConfigureWithoutCarrier=yes

                    """))
        }
    }

    /// The netdevs of VFs are for tenants.
    private func addUnmanaged(_ ports: [BootPort], to set: inout BootSet) {
        let drivers = Set(ports.compactMap(\.functionDriver)).sorted()
        guard !drivers.isEmpty else { return }
        set.files.append(
            .text(
                "/etc/systemd/network/05-sluice-functions.network", .ports, "VFs are their tenants' to configure",
                "[Match]\nDriver=\(drivers.joined(separator: " "))\n\n[Link]\nUnmanaged=yes\n"))
    }

    private func addNetworkManager(_ ports: [BootPort], _ all: [BootPort], to set: inout BootSet) {
        for port in ports {
            let match =
                (port.name.map { ["interface-name=\($0)"] } ?? [])
                + ["autoconnect=true", "autoconnect-priority=100", ""]
                + ["[ethernet]"] + (port.mac.map { ["mac-address=\($0)"] } ?? [])
            set.files.append(
                .text(
                    "/etc/NetworkManager/system-connections/sluice-\(port.label).nmconnection", .ports, Self.why,
                    mode: 0o600,
                    """
                    [connection]
                    id=sluice-\(port.label)
                    type=ethernet
                    \(match.joined(separator: "\n"))

                    [ipv4]
                    method=disabled

                    [ipv6]
                    method=disabled

                    """))
        }
        let drivers = Set(all.compactMap(\.functionDriver)).sorted()
        guard !drivers.isEmpty else { return }
        set.files.append(
            .text(
                "/etc/NetworkManager/conf.d/60-sluice.conf", .ports, "VFs are their tenants' to configure",
                """
                [device-sluice]
                match-device=\(drivers.map { "driver:\($0)" }.joined(separator: ","))
                managed=0

                """))
    }

    private func addIfupdown(_ ports: [BootPort], to set: inout BootSet) {
        var entries: [String] = []
        for port in ports {
            guard let name = port.name else {
                set.notes.append("\(port.label): ifupdown knows ports by their names; add netdev to its match")
                continue
            }
            entries.append(
                """
                auto \(name)
                iface \(name) inet manual
                    pre-up ip link set dev $IFACE addrgenmode none
                    up ip link set dev $IFACE up
                    down ip link set dev $IFACE down

                """)
        }
        guard !entries.isEmpty else { return }
        set.files.append(
            .text("/etc/network/interfaces.d/sluice", .ports, Self.why, entries.joined(separator: "\n")))
    }
}

extension String {
    /// The text as a string of YAML.
    fileprivate var yamlQuoted: String {
        allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_".contains($0)) } && first?.isLetter ?? false
            ? self : "\"\(replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
    }
}
