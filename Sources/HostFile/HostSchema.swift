internal import Netlink
internal import PCI
internal import SRIOV

/// The host file's form.
extension Schema {
    static let host = Schema.mapping([
        Field(
            key: "physicalFunctions", schema: .list(physicalFunction),
            summary: "The ports whose virtual functions are declared"),
        Field(
            key: "passthrough", schema: .list(passthrough),
            summary: "Other functions to pass through: NVMe drives, GPUs"),
        Field(
            key: "pools", schema: .named(pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", pool),
            summary: "Named sets of virtual functions"),
    ])

    static let physicalFunction = Schema.mapping([
        Field(
            key: "match", schema: .mapping(identity), summary: "Which port; everything that is given must agree",
            isRequired: true),
        Field(
            key: "virtualFunctions", schema: .integer(0...65535), summary: "How many virtual functions it has",
            isRequired: true),
        Field(
            key: "driver", schema: .text(.driver),
            summary: "The driver of every virtual function: vfio-pci, kernel for the kernel's own, or a driver's name"),
        Field(
            key: "defaults", schema: .mapping(settings.filter { $0.key != "mac" && !$0.key.hasSuffix("GUID") }),
            summary: "Settings of every virtual function"),
        Field(
            key: "ranges",
            schema: .list(
                .mapping(
                    [
                        Field(
                            key: "virtualFunctions", schema: .text(.numberSet), summary: "Which ones, from 0",
                            isRequired: true),
                        Field(key: "driver", schema: .text(.driver), summary: "Their driver"),
                    ] + settings)),
            summary: "What some virtual functions have otherwise"),
        Field(key: "mtu", schema: .integer(68...65535), summary: "MTU of the port, bytes"),
        Field(
            key: "eswitchMode", schema: .choice(["legacy", "switchdev"]),
            summary: "How virtual functions reach the wire: the driver's own switch, or representors"),
    ])

    static let passthrough = Schema.mapping([
        Field(
            key: "match", schema: .mapping(identity), summary: "Which device; everything that is given must agree",
            isRequired: true),
        Field(
            key: "driver", schema: .text(.driver),
            summary: "vfio-pci to pass it through, kernel to give it back to the host", isRequired: true),
    ])

    static let identity: [Field] = [
        Field(key: "netdev", schema: .text(.netdev), summary: "Name or alternative name of its network interface"),
        Field(key: "permanentMAC", schema: .text(.mac), summary: "MAC address burnt into the port"),
        Field(key: "serial", schema: .text(.word), summary: "Serial number of the device"),
        Field(key: "label", schema: .text(.word), summary: "Name of the port or slot in the firmware"),
        Field(key: "acpiIndex", schema: .integer(0...65535), summary: "Number of an onboard device in the firmware"),
        Field(key: "address", schema: .text(.pciAddress), summary: "PCI address; changes when cards are added"),
        Field(key: "vendor", schema: .text(.identifier), summary: "PCI vendor"),
        Field(key: "device", schema: .text(.identifier), summary: "PCI device"),
    ]

    static let settings: [Field] = [
        Field(key: "mac", schema: .text(.mac), summary: "MAC address, of one virtual function"),
        Field(
            key: "vlan",
            schema: .mapping([
                Field(key: "id", schema: .integer(0...4094), summary: "VLAN, 0 for none", isRequired: true),
                Field(key: "qos", schema: .integer(0...7), summary: "Priority"),
                Field(key: "protocol", schema: .choice(["802.1Q", "802.1ad"]), summary: "Tag protocol"),
            ]), summary: "VLAN that the port tags and strips"),
        Field(
            key: "minTxRateMbps", schema: .integer(0...4_000_000), summary: "Guaranteed transmit rate, Mbps; 0 for none"
        ),
        Field(
            key: "maxTxRateMbps", schema: .integer(0...4_000_000),
            summary: "Limit of the transmit rate, Mbps; 0 for none"),
        Field(key: "spoofCheck", schema: .onOff, summary: "Drop frames with a foreign source address"),
        Field(key: "trust", schema: .onOff, summary: "Let it change its address and receive mode"),
        Field(
            key: "linkState", schema: .choice(["auto", "enable", "disable"]),
            summary: "Its link: the port's, always up, always down"),
        Field(key: "rssQuery", schema: .onOff, summary: "Let it read the RSS configuration"),
        Field(key: "nodeGUID", schema: .text(.guid), summary: "InfiniBand node GUID, of one virtual function"),
        Field(key: "portGUID", schema: .text(.guid), summary: "InfiniBand port GUID, of one virtual function"),
    ]

    static let pool = Schema.mapping([
        Field(
            key: "for", schema: .choice(["libvirt", "kubernetes", "openstack", "any"]),
            summary: "Whom it is for; any when left out"),
        Field(
            key: "functions", schema: .list(.mapping(poolMember)),
            summary: "Its members; several ports are allowed", isRequired: true),
        Field(
            key: "placement",
            schema: .mapping([
                Field(
                    key: "numa", schema: .choice(["require", "prefer", "ignore"]), summary: "How the NUMA node counts"),
                Field(
                    key: "spread", schema: .choice(["physicalFunction", "pack"]),
                    summary: "Whether leases are spread over ports, or fill one after the other"),
            ]), summary: "How a function is chosen"),
        Field(
            key: "limits",
            schema: .mapping([
                Field(
                    key: "leasesPerConsumer", schema: .integer(1...65535),
                    summary: "How many leases one consumer may have at a time")
            ]), summary: "What one consumer may have"),
        Field(
            key: "resource", schema: .text(.resource),
            summary: "The resource that it is to Kubernetes; sluice.local/POOL when left out"),
        Field(
            key: "deviceNodes", schema: .list(.choice(DeclaredPool.DeviceNode.allCases.map(\.rawValue))),
            summary: "What Kubernetes' pods get beside the nodes of a function's driver"),
        Field(
            key: "settings", schema: .mapping(settings.filter { $0.key != "mac" && !$0.key.hasSuffix("GUID") }),
            summary: "Settings of a lease"),
    ])

    /// One of `physicalFunction`, `match` and `passthrough`.
    static let poolMember: [Field] = [
        Field(key: "physicalFunction", schema: .text(.netdev), summary: "A port, by the netdev of its match above"),
        Field(
            key: "match", schema: .mapping(selector),
            summary: "Every port that agrees with all of this, instead of physicalFunction"),
        Field(
            key: "passthrough", schema: .mapping(selector),
            summary: "Functions that are passed through whole and agree with all of this"),
        Field(
            key: "virtualFunctions", schema: .text(.numberSet),
            summary: "Which of the ports' virtual functions; all when left out"),
    ]

    static let selector: [Field] =
        identity + [
            Field(key: "numaNode", schema: .integer(0...1023), summary: "The NUMA node"),
            Field(
                key: "minLinkSpeedMbps", schema: .integer(1...4_000_000),
                summary: "Least speed of the port's link, Mbps"
            ),
        ]
}

extension Schema.Form {
    static let mac = Self(
        name: "a MAC address", example: "94:57:a5:5a:d9:c0", pattern: "^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$",
        isValid: { text in MACAddress(text).map { !$0.isMulticast } ?? false })
    static let guid = Self(
        name: "a GUID", example: "00:11:22:33:44:55:66:77", pattern: "^([0-9A-Fa-f]{2}:){7}[0-9A-Fa-f]{2}$",
        isValid: { GUID($0) != nil })
    static let pciAddress = Self(
        name: "a PCI address", example: "0000:04:00.0",
        pattern: "^([0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{1,2}:[01]?[0-9A-Fa-f]\\.[0-7]$",
        isValid: { PCIAddress($0) != nil })
    static let identifier = Self(
        name: "four hexadecimal digits", example: "8086", pattern: "^(0x)?[0-9A-Fa-f]{4}$",
        isValid: { PCIModel("\($0.hasPrefix("0x") ? String($0.dropFirst(2)) : $0):0000") != nil })
    static let numberSet = Self(
        name: "numbers and ranges", example: "0-3,6", pattern: "^[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*$",
        isValid: { text in NumberSet(text).map { $0.count > 0 } ?? false })
    static let netdev = Self(
        name: "a network interface's name", example: "eno49", pattern: "^[^ /]{1,127}$",
        isValid: { (1...127).contains($0.utf8.count) && !$0.contains(where: { $0 == "/" || $0.isWhitespace }) })
    static let resource = Self(
        name: "a resource of Kubernetes", example: "example.com/sriov_net",
        pattern: "^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$",
        isValid: { ResourceName($0) != nil })
    static let driver = Self(
        name: "a driver's name", example: "vfio-pci", pattern: "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
        isValid: { DeclaredDriver.isName($0) })
    static let word = Self(
        name: "text of 1 to 128 bytes", example: "S6XPNX0R700001", pattern: "^.{1,128}$",
        isValid: { (1...128).contains($0.utf8.count) && !$0.contains(where: \.isNewline) })
}
