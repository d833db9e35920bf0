public import PCI

/// A network's XML document. What is not looked at stays in it.
public struct NetworkDescription: Sendable, Hashable {
    /// The document's root.
    public var element: XMLElement

    /// The name space of what we write into others' documents.
    public static let nameSpace = "urn:sluice:libvirt:1"

    /// Reads a document. Throws `libvirt.malformed`.
    public init(parsing text: String) throws(LibvirtError) { try self.init(XMLElement(parsing: text)) }

    /// Takes over a parsed document. Throws `libvirt.malformed` when it is not a network's.
    public init(_ element: XMLElement) throws(LibvirtError) {
        guard element.name == "network", element.first("name") != nil else {
            throw LibvirtError(.malformed, "<\(element.name)> is not a network")
        }
        self.element = element
    }

    /// A new network that hands out functions of the host.
    public init(name: String) {
        element = XMLElement("network", [:], [XMLElement("name", text: name)])
        element.append(
            XMLElement(
                "forward", ["mode": "hostdev", "managed": "yes"], [XMLElement("driver", ["name": "vfio"])]))
    }

    /// The name.
    public var name: String { element.first("name")?.text ?? "" }

    /// Whether it hands out functions of the host.
    public var handsOutDevices: Bool { element.first("forward")?["mode"] == "hostdev" }

    /// The netdev of the PF whose VFs it hands out; nil when they are listed.
    public var port: String? { element.first("forward", "pf")?["dev"] }

    /// The functions that it hands out, in their order: libvirt takes the first that is free.
    public var addresses: [PCIAddress] {
        get { element.first("forward")?.elements("address").compactMap { PCIAddress($0) } ?? [] }
        set {
            element.change("forward") { forward in
                // Functions of a PF that is named are found once, when the network is first used.
                forward.removeElements { ["address", "pf", "interface"].contains($0.name) }
                for address in newValue { forward.append(address.element) }
            }
        }
    }

    /// The VLAN that its functions get; nil for none.
    public var vlan: UInt16? {
        get { element.vlan }
        set { element.vlan = newValue }
    }

    /// The pool whose functions it hands out; nil for a network that is not ours.
    public var pool: String? {
        get { element.first("metadata")?.elements.first { Self.isOurs($0) }?["name"] }
        set {
            element.changeMetadata { metadata in
                metadata.removeElements { Self.isOurs($0) }
                guard let newValue else { return }
                metadata.append(XMLElement("sluice:pool", ["xmlns:sluice": Self.nameSpace, "name": newValue]))
            }
        }
    }

    /// The VLAN that was written into it for its pool: another one is whoever's who made the network.
    public var poolVLAN: UInt16? {
        element.first("metadata")?.elements.first { Self.isOurs($0) }?["vlan"].flatMap { UInt16($0) }
    }

    /// Makes it the network of a pool, and gives it the pool's VLAN. A tag that is not from a pool stays when the pool says
    /// nothing of one.
    public mutating func belong(to pool: String, vlan poolVLAN: UInt16?) {
        if poolVLAN != nil || vlan == self.poolVLAN { vlan = poolVLAN }
        self.pool = pool
        guard let poolVLAN else { return }
        element.changeMetadata { metadata in
            guard let index = metadata.elements.firstIndex(where: { Self.isOurs($0) }) else { return }
            var entry = metadata.elements[index]
            entry["vlan"] = "\(poolVLAN)"
            metadata.removeElements { Self.isOurs($0) }
            metadata.append(entry)
        }
    }

    private static func isOurs(_ element: XMLElement) -> Bool {
        // The prefix may be any; the name space is what counts.
        element.attributes.contains { $0.name.hasPrefix("xmlns:") && $0.value == nameSpace }
    }
}

/// Something of a network that somebody has: an interface of a domain, or a function that we keep out of it.
public struct NetworkPort: Sendable, Hashable {
    /// The document's root.
    public var element: XMLElement

    /// The owner of ports that keep functions out of a network's hands; sluice-libvirt-hook knows it too.
    public static let ownOwner = (name: "sluice", uuid: "736c7569-6365-4000-8000-000000000000")

    /// Reads a document. Throws `libvirt.malformed`.
    public init(parsing text: String) throws(LibvirtError) { try self.init(XMLElement(parsing: text)) }

    /// Takes over a parsed document. Throws `libvirt.malformed` when it is not a port's.
    public init(_ element: XMLElement) throws(LibvirtError) {
        guard element.name == "networkport" else {
            throw LibvirtError(.malformed, "<\(element.name)> is not a network's port")
        }
        self.element = element
    }

    /// A port that keeps a function out of a network's hands.
    public init(keeping address: PCIAddress) {
        var plug = address.element
        plug["type"] = nil
        element = XMLElement(
            "networkport", [:],
            [
                XMLElement("uuid", text: Self.uuid(keeping: address)),
                XMLElement(
                    "owner", [:],
                    [XMLElement("name", text: Self.ownOwner.name), XMLElement("uuid", text: Self.ownOwner.uuid)]),
                // It is never used. libvirt wants one.
                XMLElement("mac", ["address": "52:54:00:00:00:00"]),
                XMLElement(
                    "plug", ["type": "hostdev-pci", "managed": "yes"], [XMLElement("driver", ["name": "vfio"]), plug]),
            ])
    }

    /// A UUID that says what it is: the owner's, with the function's address at the end.
    public static func uuid(keeping address: PCIAddress) -> String {
        func digits(_ value: some BinaryInteger, _ count: Int) -> String {
            let text = String(UInt64(value), radix: 16)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        let place = UInt16(address.device) << 8 | UInt16(address.function)
        return ownOwner.uuid.dropLast(12) + digits(address.domain & 0xffff, 4) + digits(address.bus, 4)
            + digits(place, 4)
    }

    /// Its UUID.
    public var uuid: String { element.first("uuid")?.text ?? "" }
    /// Whose it is, by name.
    public var owner: String { element.first("owner", "name")?.text ?? "" }
    /// Whose it is, by UUID.
    public var ownerUUID: String { element.first("owner", "uuid")?.text.lowercased() ?? "" }
    /// Whether it is one of ours.
    public var isOurs: Bool { ownerUUID == Self.ownOwner.uuid }
    /// The function; nil for a port of another kind of network.
    public var address: PCIAddress? { element.first("plug", "address").flatMap { PCIAddress($0) } }
    /// The MAC address that the function gets.
    public var mac: String? { element.first("mac")?["address"] }
    /// The VLAN that the function gets.
    public var vlan: UInt16? { element.vlan }
}
