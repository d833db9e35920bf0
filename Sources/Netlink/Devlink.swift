internal import CLinux

/// A connection to devlink: the eswitch, the ports and the firmware of a network device.
public struct Devlink: ~Copyable, Sendable {
    private var connection: GenericNetlink

    /// Opens a connection. Fails with ENOENT when the kernel has no devlink.
    public static func open() throws(NetlinkError) -> Devlink {
        Devlink(connection: try GenericNetlink.open(family: "devlink"))
    }

    /// A devlink device: bus and name, `pci/0000:04:00.0`.
    public struct Handle: Sendable, Hashable, CustomStringConvertible {
        /// The bus: `pci`, `netdevsim`.
        public var bus: String
        /// The name on that bus.
        public var name: String

        /// Makes a handle.
        public init(bus: String, name: String) {
            self.bus = bus
            self.name = name
        }

        /// `BUS/NAME`, as the devlink program writes it.
        public var description: String { "\(bus)/\(name)" }
    }

    /// How a device's VFs reach the wire.
    public enum EswitchMode: UInt16, Sendable, Hashable, CaseIterable {
        /// The driver's own L2 switch, administered by VF settings.
        case legacy = 0
        /// Each VF has a representor netdev on the host, and VF settings are made there.
        case switchdev = 1
    }

    /// A devlink port.
    public struct Port: Sendable, Hashable {
        /// The device it belongs to.
        public var device: Handle
        /// The port's index below its device.
        public var index: UInt32
        /// Its netdev, if it has one.
        public var netdev: String?
        /// What it stands for.
        public var flavour: Flavour
        /// The PF's number, for ports of functions.
        public var pfNumber: UInt16?
        /// The VF's index, for ports of VFs.
        public var vfNumber: UInt32?

        /// What a port stands for (DEVLINK_PORT_FLAVOUR).
        public enum Flavour: UInt16, Sendable, Hashable {
            /// A physical port.
            case physical = 0
            /// The port of the device's own CPU.
            case cpu = 1
            /// A port between switch chips.
            case dsa = 2
            /// A PF's representor.
            case pcipf = 3
            /// A VF's representor.
            case pcivf = 4
            /// Anything that needs no representation.
            case virtual = 5
            /// Not used by anything.
            case unused = 6
            /// A subfunction's representor.
            case pcisf = 7
        }
    }

    /// The eswitch mode; a driver without one fails with EOPNOTSUPP.
    public mutating func eswitchMode(of handle: Handle) throws(NetlinkError) -> EswitchMode {
        let operation = "read the eswitch mode of \(handle)"
        let builder = message(29, handle)  // DEVLINK_CMD_ESWITCH_GET
        for attributes in try connection.query(builder, operation) {
            for attribute in attributes where attribute.type == Self.eswitchModeAttribute {
                if let mode = attribute.integer(UInt16.self).flatMap(EswitchMode.init) { return mode }
            }
        }
        throw NetlinkError(.malformed, operation, text: "the answer has no mode")
    }

    /// Changes the eswitch mode. Most drivers refuse while VFs exist, or remove them.
    public mutating func setEswitchMode(_ mode: EswitchMode, of handle: Handle) throws(NetlinkError) {
        var builder = message(30, handle)  // DEVLINK_CMD_ESWITCH_SET
        builder.attribute(Self.eswitchModeAttribute, mode.rawValue)
        try connection.request(builder, "set the eswitch mode of \(handle) to \(mode)")
    }

    /// The ports of all devices.
    public mutating func ports() throws(NetlinkError) -> [Port] {
        let builder = connection.message(command: 5, flags: NLM_F_DUMP)  // DEVLINK_CMD_PORT_GET
        return try connection.query(builder, "list the devlink ports").compactMap(Port.init)
    }

    /// What a device says of itself: driver, serial number, firmware versions by name.
    public struct Info: Sendable, Hashable {
        /// The driver's name.
        public var driver: String?
        /// The device's serial number.
        public var serialNumber: String?
        /// The board's serial number.
        public var boardSerialNumber: String?
        /// Versions by name, `fw.mgmt`: what runs now.
        public var versions: [String: String] = [:]
    }

    /// Information on a device; a driver without it fails with EOPNOTSUPP.
    public mutating func info(of handle: Handle) throws(NetlinkError) -> Info {
        let builder = message(51, handle)  // DEVLINK_CMD_INFO_GET
        var info = Info()
        for attributes in try connection.query(builder, "read information on \(handle)") {
            for attribute in attributes {
                switch attribute.type {
                case 98: info.driver = attribute.string  // DEVLINK_ATTR_INFO_DRIVER_NAME
                case 99: info.serialNumber = attribute.string
                case 146: info.boardSerialNumber = attribute.string
                case 100, 101, 102:  // fixed, running and stored versions; the running one wins over the stored
                    var name: String?
                    var value: String?
                    for part in attribute.payload.attributes {
                        if part.type == 103 { name = part.string }
                        if part.type == 104 { value = part.string }
                    }
                    if let name, let value, attribute.type != 102 || info.versions[name] == nil {
                        info.versions[name] = value
                    }
                default: break
                }
            }
        }
        return info
    }

    private static let eswitchModeAttribute: UInt16 = 25  // DEVLINK_ATTR_ESWITCH_MODE

    private func message(_ command: UInt8, _ handle: Handle) -> MessageBuilder {
        var builder = connection.message(command: command)
        builder.attribute(1, handle.bus)  // DEVLINK_ATTR_BUS_NAME
        builder.attribute(2, handle.name)  // DEVLINK_ATTR_DEV_NAME
        return builder
    }
}

extension Devlink.Port {
    /// Reads DEVLINK_CMD_PORT_NEW's attributes; nil when it names no device or no port.
    package init?(_ attributes: AttributeSequence) {
        var bus: String?
        var name: String?
        var index: UInt32?
        flavour = .physical
        for attribute in attributes {
            switch attribute.type {
            case 1: bus = attribute.string
            case 2: name = attribute.string
            case 3: index = attribute.integer()
            case 7: netdev = attribute.string  // DEVLINK_ATTR_PORT_NETDEV_NAME
            case 77: flavour = attribute.integer(UInt16.self).flatMap(Flavour.init) ?? .physical
            case 127: pfNumber = attribute.integer()
            case 128: vfNumber = attribute.integer(UInt16.self).map(UInt32.init)
            default: break
            }
        }
        guard let bus, let name, let index else { return nil }
        device = Devlink.Handle(bus: bus, name: name)
        self.index = index
    }
}
