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
    /// Whether the host uses it: it is part of a bridge or a bond, or the default route leaves through it.
    public var isUsed = false
    /// Whether it has an address beyond those that every port makes for itself.
    public var hasAddress = false
    /// Where its VFs are, or will be: those that the host itself uses are left out.
    public var functions: [PCIAddress] = []

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
            port.hasAddress = function.holders.contains(where: \.isAddress)
            port.functions = Self.functions(of: function, declared, on: host)
            return port
        }
    }

    /// The addresses of a port's VFs as the capability tells them (PCI Express base specification, 9.3.3.9 and 9.3.3.10).
    private static func functions(
        of port: Function, _ declared: DeclaredPhysicalFunction, on host: Host
    ) -> [PCIAddress] {
        guard let sriov = port.pci.sriov else { return [] }
        return (0..<declared.virtualFunctions).compactMap { index in
            guard let address = port.pci.address.virtualFunction(index, offset: sriov.offset, stride: sriov.stride)
            else {
                return nil
            }
            let holders = host[address]?.holders ?? []
            return holders.contains { $0.isOfHost || $0.isAddress } ? nil : address
        }
    }

    /// What it is called in files.
    var label: String {
        name.flatMap { $0.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_.-".contains($0)) } ? $0 : nil }
            ?? mac.map { "\($0)".replacing(":", with: "") } ?? address.map { "\($0)" } ?? "port"
    }

    /// Whether its name can stand in files of others' formats.
    var hasPlainName: Bool { name == nil || name == label }

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
    /// Whether it is the host's own use of a port.
    fileprivate var isOfHost: Bool {
        switch kind {
        case .master, .defaultRoute: true
        default: false
        }
    }

    fileprivate var isAddress: Bool {
        if case .address(let address) = kind { !address.hasPrefix("fe80:") } else { false }
    }
}

extension String {
    /// The text without line breaks and other controls, which would end a comment or a string.
    var plain: String { String(map { $0.unicodeScalars.contains { $0.value < 32 || $0.value == 127 } ? "?" : $0 }) }

    /// The text for a match of udev, where some characters are patterns.
    var udevQuoted: String {
        plain.reduce(into: "") { result, character in
            switch character {
            case "*", "?", "[", "]", "|", "\"", "\\": result += "?"
            default: result.append(character)
            }
        }
    }

    /// The text as one word of a shell.
    var shellQuoted: String { "'\(replacing("'", with: "'\\''"))'" }
}
