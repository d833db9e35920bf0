public import Netlink
public import PCI

/// Finds what a person means by a device: a PCI address, a netdev, an alternative name, a MAC address, a serial number.
public struct DeviceSelector {
    private let host: Host
    private let files: (any FileTree)?

    /// Looks in a host; with its files also for serial numbers that have to be read from the devices.
    public init(host: Host, files: (any FileTree)? = nil) {
        self.host = host
        self.files = files
    }

    /// What was meant.
    public enum Device: Sendable {
        /// A PCI function.
        case function(Function)
        /// A netdev without a PCI function that has VFs all the same, such as netdevsim's.
        case link(Link)
    }

    /// The one device that a text means.
    ///
    /// Throws `device.notFound` with names that are close, and `device.ambiguous` with all that match.
    public func device(_ text: String) throws(SRIOVError) -> Device {
        if let address = PCIAddress(text) {
            guard let function = host[address] else {
                throw SRIOVError(
                    .deviceNotFound, "there is no PCI function at \(address)",
                    remedy: "sluice list --all shows all of them")
            }
            return .function(function)
        }
        var functions = host.functions.filter { matches($0, text) }
        if functions.isEmpty, let files {
            // Last, because it asks every device for its serial number.
            let resolver = IdentityResolver(host: host, files: files, knownSerials: [:])
            var identity = Identity()
            identity.serial = text
            functions = host.functions.filter { $0.pci.physicalFunction == nil && resolver.agrees($0, with: identity) }
        }
        if functions.count == 1 { return .function(functions[0]) }
        if functions.count > 1 {
            throw SRIOVError(
                .deviceAmbiguous,
                "\(text) means \(functions.count) devices: \(functions.map { "\($0.pci.address)" }.joined(separator: ", "))",
                remedy: "give the PCI address")
        }
        if let link = host.links.first(where: { $0.name == text || $0.alternativeNames.contains(text) }) {
            if link.virtualFunctionCount ?? 0 > 0 { return .link(link) }
            throw SRIOVError(
                .deviceNotFound,
                "\(text) is \(link.kind.map { "a \($0)" } ?? "a netdev") without a PCI function and without VFs",
                remedy: "sluice list shows the devices that have them")
        }
        throw SRIOVError(
            .deviceNotFound, "no device is called \(text)",
            remedy: "give a PCI address, a netdev, a MAC address or a serial number; sluice list --all shows them")
    }

    private func matches(_ function: Function, _ text: String) -> Bool {
        let links = host.links(of: function.pci)
        if function.name == text || function.pci.serial == text { return true }
        if links.contains(where: { $0.name == text || $0.alternativeNames.contains(text) }) { return true }
        guard let mac = MACAddress(text) else { return false }
        return links.contains { $0.address?.mac == mac || $0.permanentAddress?.mac == mac }
            || function.settings?.mac == mac
    }
}
