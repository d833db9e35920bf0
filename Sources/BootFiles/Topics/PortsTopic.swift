internal import Netlink
internal import SRIOV

extension BootRenderer {
    /// Ports are up, so that libvirt takes their VFs, and have no addresses, so that nothing of the host listens there.
    func addPorts(to set: inout BootSet) {
        let all = ports.filter { $0.declared.virtualFunctions > 0 }
        var ours: [BootPort] = []
        for port in all {
            if port.isUsed || port.hasAddress && system.network != .networkManager {
                set.note(.ports, "\(port.label) is used by the host itself: its configuration is left alone")
            } else if let place = system.place(configuring: port) {
                set.note(.ports, "\(port.label) is configured in \(place) already, and left alone")
            } else if port.name == nil && port.mac == nil || !port.hasPlainName {
                set.note(
                    .ports,
                    "\(port.declared.identity.description.plain): its netdev is not known here; add permanentMAC")
            } else {
                ours.append(port)
            }
        }
        switch system.network {
        case .netplan: addNetplan(ours, to: &set)
        case .networkManager: addNetworkManager(ours, to: &set)
        case .networkd: addNetworkd(ours, to: &set)
        case .ifupdown: addIfupdown(ours, to: &set)
        case .none:
            let who = options.startsAgent ? "the agent brings ports up" : "udev brings ports up when it makes their VFs"
            if !ours.isEmpty { set.note(.ports, "nobody configures the network here that is known: \(who)") }
        }
        addUnmanaged(all, to: &set)
    }

    private static let why = "ports with VFs are up and have no addresses"

    private func addNetplan(_ ports: [BootPort], to set: inout BootSet) {
        guard !ports.isEmpty else { return }
        let entries = ports.flatMap { port in
            // Files of networkd and connections are taken in the order of their names: this one comes before those that
            // match every port, as images of clouds have them.
            ["    0-sluice-\(port.label):"]
                + [
                    port.mac.map { "      match: { macaddress: \"\($0)\" }" } ?? "      match: { name: \(port.label) }"
                ]
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

    /// The netdevs of VFs are for tenants, whatever matches every netdev. They are told by where they are: other VFs of
    /// the same driver may be the host's own.
    private func addUnmanaged(_ ports: [BootPort], to set: inout BootSet) {
        let functions = ports.flatMap(\.functions)
        guard !functions.isEmpty, ![.ifupdown, .none].contains(system.network) else { return }
        let why = "VFs are their tenants' to configure"
        // NetworkManager takes the word of udev's data base (NetworkManager.conf(5), 'unmanaged').
        set.files.append(
            .text(
                "/etc/udev/rules.d/84-sluice-tenants.rules", .ports, why,
                functions.map { "SUBSYSTEM==\"net\", KERNELS==\"\($0)\", ENV{NM_UNMANAGED}=\"1\"\n" }.joined()))
        guard system.network != .networkManager else { return }
        let paths = functions.map { "pci-\($0)" }.joined(separator: " ")
        set.files.append(
            .text(
                "/etc/systemd/network/05-sluice-functions.network", .ports, why,
                "[Match]\nPath=\(paths)\n\n[Link]\nUnmanaged=yes\n"))
    }

    private func addNetworkManager(_ ports: [BootPort], to set: inout BootSet) {
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
    }

    private func addIfupdown(_ ports: [BootPort], to set: inout BootSet) {
        var entries: [String] = []
        for port in ports {
            guard let name = port.name else {
                set.note(.ports, "\(port.label): ifupdown knows ports by their names; add netdev to its match")
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
