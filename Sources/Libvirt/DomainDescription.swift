public import PCI

/// A domain's XML document. What is not looked at stays in it.
public struct DomainDescription: Sendable, Hashable {
    /// The document's root.
    public var element: XMLElement

    /// Reads a document. Throws `libvirt.malformed`.
    public init(parsing text: String) throws(LibvirtError) { try self.init(XMLElement(parsing: text)) }

    /// Takes over a parsed document. Throws `libvirt.malformed` when it is not a domain's.
    public init(_ element: XMLElement) throws(LibvirtError) {
        guard element.name == "domain", element.first("name") != nil else {
            throw LibvirtError(.malformed, "<\(element.name)> is not a domain")
        }
        self.element = element
    }

    /// The name.
    public var name: String { element.first("name")?.text ?? "" }
    /// The UUID, lower case.
    public var uuid: String { element.first("uuid")?.text.lowercased() ?? "" }
    /// The machine type: `pc-q35-10.0`.
    public var machine: String { element.first("os", "type")?["machine"] ?? "" }
    /// Whether devices sit on PCI Express root ports.
    public var isExpress: Bool {
        controllers.contains { $0["model"] == "pcie-root" } || machine.contains("q35") || machine.hasPrefix("virt")
    }
    /// Whether the firmware is UEFI.
    public var isUEFI: Bool {
        element.first("os")?["firmware"] == "efi" || element.first("os", "loader")?["type"] == "pflash"
    }

    /// Its devices.
    public var devices: [XMLElement] { element.first("devices")?.elements ?? [] }
    /// Its network interfaces.
    public var interfaces: [DomainInterface] {
        devices.filter { $0.name == "interface" }.map { DomainInterface(element: $0) }
    }
    /// Its PCI controllers.
    public var controllers: [XMLElement] { devices.filter { $0.name == "controller" && $0["type"] == "pci" } }

    /// The functions of the host that it has, as interfaces or as plain devices.
    public var functions: [PCIAddress] {
        devices.compactMap { device in
            switch device.name {
            case "interface": DomainInterface(element: device).function
            case "hostdev" where device["type"] == "pci": device.first("source", "address").flatMap { PCIAddress($0) }
            default: nil
            }
        }
    }

    /// The host's CPUs or NUMA nodes that it is bound to.
    public var placement: (cpus: NumberSet?, nodes: NumberSet?) {
        let pins = element.first("cputune")?.elements("vcpupin").compactMap { $0["cpuset"].flatMap { NumberSet($0) } }
        let pinned = pins.flatMap { pins -> NumberSet? in
            let numbers = Set(pins.flatMap(\.numbers))
            return numbers.isEmpty ? nil : NumberSet(numbers)
        }
        let cpus = pinned ?? element.first("vcpu")?["cpuset"].flatMap { NumberSet($0) }
        return (cpus, element.first("numatune", "memory")?["nodeset"].flatMap { NumberSet($0) })
    }

    /// The guest's memory, KiB.
    public var memoryKiB: Int { element.first("memory").map(Self.kibibytes) ?? 0 }

    /// How much it may lock at most, KiB; nil where the domain does not say.
    public var memoryHardLimitKiB: Int? { element.first("memtune", "hard_limit").map(Self.kibibytes) }

    /// An amount with libvirt's unit, which is KiB when none is given.
    private static func kibibytes(_ element: XMLElement) -> Int {
        let number = max(Int(element.text) ?? 0, 0)
        let factors: [String: Int] = ["KiB": 1, "k": 1, "MiB": 1 << 10, "M": 1 << 10, "GiB": 1 << 20, "G": 1 << 20]
        let (product, isTooMuch) = number.multipliedReportingOverflow(by: factors[element["unit"] ?? "KiB"] ?? 1)
        // No machine has an exbibyte, and sums of what is less do not overflow.
        return isTooMuch ? 1 << 50 : min(product, 1 << 50)
    }

    /// What keeps it from migrating, as sentences: devices of the host that no other interface stands in for. Of an
    /// interface of a network its document does not tell that it gets a function of the host: the networks that hand them out
    /// are given by name.
    public func migrationBlockers(_ networks: Set<String>) -> [String] {
        devices.compactMap { device in
            let address = device.first("source", "address").flatMap { PCIAddress($0) }.map { "\($0)" }
            switch device.name {
            case "hostdev":
                return "it has \(address ?? "a device") of this host (hostdev): detach it first"
            case "interface":
                let interface = DomainInterface(element: device)
                let isOfHost = interface.type == "hostdev" || interface.network.map(networks.contains) ?? false
                guard isOfHost, device.first("teaming")?["type"] != "transient" else { return nil }
                return
                    "its interface \(interface.mac ?? "") is \(address ?? "a VF") of this host without a standby: "
                    + "detach it, or attach one with --failover"
            default: return nil
            }
        }
    }

    /// Adds devices at the end.
    public mutating func append(_ devices: [XMLElement]) {
        element.change("devices") { element in for device in devices { element.append(device) } }
    }
}

/// A network interface of a domain.
public struct DomainInterface: Sendable, Hashable {
    /// The element.
    public var element: XMLElement

    /// Takes over an element.
    public init(element: XMLElement) { self.element = element }

    /// `network`, `hostdev`, `bridge` and so on.
    public var type: String { element["type"] ?? "" }
    /// The network that it is of; libvirt does not tell for one that has got a function.
    public var network: String? { element.first("source")?["network"] }
    /// The function that it has. In its own records libvirt keeps what an interface of a network has got apart from what was
    /// asked for (virDomainActualNetDefFormat in src/conf/domain_conf.c).
    public var function: PCIAddress? {
        let actual = element.first("actual") ?? element
        return actual["type"] == "hostdev" ? actual.first("source", "address").flatMap { PCIAddress($0) } : nil
    }
    /// The MAC address.
    public var mac: String? { element.first("mac")?["address"] }
    /// The alias: `ua-…` when it was given, `hostdev0` when libvirt made it up.
    public var alias: String? { element.first("alias")?["name"] }
    /// The VLAN.
    public var vlan: UInt16? { element.vlan }
    /// The persistent interface that stands in for it while the domain migrates.
    public var standby: String? { element.first("teaming")?["persistent"] }
}
