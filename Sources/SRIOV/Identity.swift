public import Netlink
public import PCI

/// How the host file names a device. Whatever is given must agree.
///
/// Permanent MAC, serial number and slot label identify the hardware; a netdev's name and a PCI address are hints that
/// change when cards are added, and are checked against it.
public struct Identity: Sendable, Hashable {
    /// The name, or an alternative name, of its netdev.
    public var netdev: String?
    /// The address burnt into the port.
    public var permanentMAC: MACAddress?
    /// The serial number: NVMe's, the PCI capability's, or the one in the vital product data.
    public var serial: String?
    /// The name of the port or slot in the firmware.
    public var label: String?
    /// The firmware's number of an onboard device.
    public var acpiIndex: Int?
    /// The PCI address.
    public var address: PCIAddress?
    /// The PCI vendor.
    public var vendor: UInt16?
    /// The vendor's number of the device.
    public var device: UInt16?

    /// An identity of which nothing is given.
    public init() {}

    /// Whether nothing is given.
    public var isEmpty: Bool { self == Identity() }

    /// Whether something is given that stays with the hardware.
    public var isLasting: Bool { permanentMAC != nil || serial != nil || label != nil || acpiIndex != nil }

    /// The identity as the host file would have it, for messages: `netdev eno49, permanentMAC 94:57:…`.
    public var description: String {
        [
            netdev.map { "netdev \($0)" }, permanentMAC.map { "permanentMAC \($0)" }, serial.map { "serial \($0)" },
            label.map { "label \"\($0)\"" }, acpiIndex.map { "acpiIndex \($0)" }, address.map { "address \($0)" },
            vendor.map { "vendor \(fourDigits($0))" }, device.map { "device \(fourDigits($0))" },
        ].compactMap(\.self).joined(separator: ", ")
    }
}

/// Finds the function that an identity means.
package struct IdentityResolver {
    let host: Host
    let files: any FileTree
    /// Serial numbers of functions whose driver, which knows them, was taken away.
    let knownSerials: [PCIAddress: String]

    /// Looks in a host whose files these are.
    package init(host: Host, files: any FileTree, knownSerials: [PCIAddress: String]) {
        self.host = host
        self.files = files
        self.knownSerials = knownSerials
    }

    /// The one function other than a VF that an identity means.
    ///
    /// Throws `device.notFound`, `device.ambiguous`, or `device.identityMismatch` when a hint leads to other hardware.
    package func resolve(_ identity: Identity) throws(SRIOVError) -> Function {
        let candidates = host.functions.filter { $0.pci.physicalFunction == nil }
        let matches = candidates.filter { agrees($0, with: identity) }
        if matches.count == 1 { return matches[0] }
        if matches.count > 1 {
            let names = matches.map { "\($0.pci.address)" + (serial(of: $0).map { " (serial \($0))" } ?? "") }
            throw SRIOVError(
                .deviceAmbiguous,
                "\(identity.description) matches \(matches.count) devices: \(names.joined(separator: ", "))",
                remedy: "add what tells them apart: serial, permanentMAC, label or address")
        }
        throw noMatch(identity, candidates)
    }

    private func noMatch(_ identity: Identity, _ candidates: [Function]) -> SRIOVError {
        // The hardware may be there under another name, or the name may lead to other hardware.
        var lasting = identity
        lasting.netdev = nil
        lasting.address = nil
        if identity.isLasting, identity != lasting, let found = candidates.first(where: { agrees($0, with: lasting) }) {
            return SRIOVError(
                .identityMismatch,
                "\(lasting.description) is \(found.name) at \(found.pci.address), not \(hints(identity))",
                remedy: "the device moved or was renamed; correct the hint in the host file, or leave it out")
        }
        var hinted = Identity()
        hinted.netdev = identity.netdev
        hinted.address = identity.address
        if !hinted.isEmpty, let found = candidates.first(where: { agrees($0, with: hinted) }) {
            let has = [
                found.link?.permanentAddress.map { "permanentMAC \($0)" }, serial(of: found).map { "serial \($0)" },
                "vendor \(fourDigits(found.pci.model.vendor))", "device \(fourDigits(found.pci.model.device))",
            ].compactMap(\.self).joined(separator: ", ")
            return SRIOVError(
                .identityMismatch, "\(hints(identity)) is other hardware than declared: it has \(has)",
                remedy: "if the card was replaced on purpose, write the new identity into the host file")
        }
        return SRIOVError(
            .deviceNotFound, "no device matches \(identity.description)",
            remedy: "sluice list --all shows what is there, with addresses, MACs and serial numbers")
    }

    private func hints(_ identity: Identity) -> String {
        [identity.netdev, identity.address.map { "\($0)" }].compactMap(\.self).joined(separator: " at ")
    }

    /// Whether a function is what a selector means.
    package func agrees(_ function: Function, with selector: FunctionSelector) -> Bool {
        guard !selector.isEmpty, selector.identity.isEmpty || agrees(function, with: selector.identity) else {
            return false
        }
        if let node = selector.numaNode, function.pci.numaNode != node { return false }
        if let speed = selector.minLinkSpeedMbps, function.speedMbps ?? 0 < speed { return false }
        return true
    }

    func agrees(_ function: Function, with identity: Identity) -> Bool {
        guard !identity.isEmpty else { return false }
        let pci = function.pci
        if let netdev = identity.netdev {
            let links = host.links(of: pci)
            guard links.contains(where: { $0.name == netdev || $0.alternativeNames.contains(netdev) })
            else { return false }
        }
        if let mac = identity.permanentMAC {
            let links = host.links(of: pci)
            guard links.contains(where: { ($0.permanentAddress ?? $0.address)?.mac == mac }) else { return false }
        }
        if let label = identity.label, pci.label != label { return false }
        if let acpiIndex = identity.acpiIndex, pci.acpiIndex != acpiIndex { return false }
        if let address = identity.address, pci.address != address { return false }
        if let vendor = identity.vendor, pci.model.vendor != vendor { return false }
        if let device = identity.device, pci.model.device != device { return false }
        // Last, because it may have to read the device.
        if let serial = identity.serial, !serials(of: function).contains(serial) { return false }
        return true
    }

    private func serial(of function: Function) -> String? { function.pci.serial ?? knownSerials[function.pci.address] }

    private func serials(of function: Function) -> [String] {
        if let serial = serial(of: function) { return [serial] }
        guard function.isAssignable else { return [] }
        let reader = PCIReader(files: files)
        // A device that does not answer has no serial number to compare.
        let capability = (try? reader.deviceSerialNumber(function.pci.address)) ?? nil
        let product = (try? reader.vitalProductData(function.pci.address)) ?? nil
        return [capability, product?.serialNumber].compactMap(\.self)
    }
}
