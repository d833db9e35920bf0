public import Netlink
public import PCI
public import SRIOV

/// A declared port, with what is known of it: from the host file alone, or from the host that it is in.
public struct BootPort: Sendable, Hashable {
    /// What the host file says.
    public var declared: DeclaredPhysicalFunction
    /// The netdev's name.
    public var name: String?
    /// The address burnt into it.
    public var mac: MACAddress?
    /// Where it is.
    public var address: PCIAddress?
    /// The driver of its VFs' netdevs, when it is not the port's own; nil when it is, or is not known.
    public var functionDriver: String?
    /// Whether the host uses it: it has addresses, or is part of a bridge or a bond.
    public var isUsed = false

    /// The declared ports. A port that is not in the host, or means several, is known by the host file alone.
    ///
    /// - Parameters:
    ///   - declared: The host file.
    ///   - host: The host that it is for; nil for the image of another one.
    ///   - files: The host's files.
    public static func list(_ declared: DeclaredHost, on host: Host?, files: any FileTree) -> [BootPort] {
        declared.physicalFunctions.map { declared in
            var port = BootPort(declared: declared)
            (port.name, port.mac) = (declared.identity.netdev, declared.identity.permanentMAC)
            port.address = declared.identity.address
            guard let host else { return port }
            let resolver = IdentityResolver(host: host, files: files, knownSerials: [:])
            guard let function = try? resolver.resolve(declared.identity) else { return port }
            port.address = function.pci.address
            if let link = function.link {
                port.name = link.name
                port.mac = (link.permanentAddress ?? link.address)?.mac
            }
            port.isUsed = function.holders.contains(where: \.isOfHost)
            let drivers = Set(host.virtualFunctions(of: function.pci.address).compactMap(\.pci.driver))
            let known = function.pci.driver.flatMap { Self.functionDrivers[$0] }
            port.functionDriver =
                known ?? drivers.first { $0 != function.pci.driver && !$0.hasPrefix("vfio") && $0 != "vfio-pci" }
            return port
        }
    }

    /// What the VFs' netdevs of a port's driver have for a driver, where it is another one (drivers/net/ethernet).
    private static let functionDrivers = [
        "igb": "igbvf", "ixgbe": "ixgbevf", "i40e": "iavf", "ice": "iavf", "fm10k": "fm10k", "qede": "qede",
        "cxgb4": "cxgb4vf", "be2net": "be2net", "enic": "enic",
    ].filter { $0.key != $0.value }

    /// What it is called in files.
    var label: String { name ?? mac.map { "\($0)".replacing(":", with: "") } ?? address.map { "\($0)" } ?? "port" }

    /// The matches of udev for its netdev, best first; nil when nothing that udev can match is known.
    var udevMatch: String? {
        // What has come may not be renamed yet, so its name is last.
        if let mac { return "ATTR{address}==\"\("\(mac)".lowercased())\"" }
        if let label = declared.identity.label { return "ATTRS{label}==\"\(label.udevQuoted)\"" }
        if let index = declared.identity.acpiIndex { return "ATTRS{acpi_index}==\"\(index)\"" }
        if let address { return "KERNELS==\"\(address)\"" }
        return name.map { "NAME==\"\($0.udevQuoted)\"" }
    }
}

extension Holder {
    /// Whether it is the host's own use of a port. A link-local address every port makes for itself.
    fileprivate var isOfHost: Bool {
        switch kind {
        case .address(let address): !address.hasPrefix("fe80:")
        case .master, .upper, .defaultRoute: true
        default: false
        }
    }
}

extension String {
    /// The text for a match of udev, where some characters are patterns.
    var udevQuoted: String {
        reduce(into: "") { result, character in
            switch character {
            case "*", "?", "[", "]", "|", "\"", "\\": result += "?"
            default: result.append(character)
            }
        }
    }

    /// The text as one word of a shell.
    var shellQuoted: String { "'\(replacing("'", with: "'\\''"))'" }
}
