/// A network interface as rtnetlink reports it.
public struct Link: Sendable, Hashable {
    /// The interface's index in its network namespace, from 1.
    public var index: Int32
    /// Its name, at most 15 bytes.
    public var name: String
    /// Its alternative names.
    public var alternativeNames: [String] = []
    /// IFF_ flags.
    public var flags: Flags = []
    /// Its hardware address now.
    public var address: HardwareAddress?
    /// The address burnt into the device: what identifies a port when addresses are changed.
    public var permanentAddress: HardwareAddress?
    /// Maximum transmission unit, bytes.
    public var mtu: UInt32 = 0
    /// RFC 2863 operational state.
    public var state: State = .unknown
    /// The index of the bridge, bond or other device that it is enslaved to.
    public var master: Int32?
    /// The index of the device that it stands on (macvtap, VLAN), when in the same namespace.
    public var parent: Int32?
    /// The driver's kind of a virtual device: `bridge`, `bond`, `macvtap`, `openvswitch`.
    public var kind: String?
    /// The kind of its master as seen from the slave: `bridge`, `bond`, `openvswitch`.
    public var slaveKind: String?
    /// The device behind it: bus and name, `pci` and `0000:04:00.0`.
    public var device: ParentDevice?
    /// The port's name below its switch, `pf0vf3`.
    public var physicalPortName: String?
    /// The switch's identifier; representors of one switch share it.
    public var physicalSwitchID: [UInt8]?
    /// How many VFs the device has enabled; nil when VFs were not asked for.
    public var virtualFunctionCount: UInt32?
    /// Its VFs, when they were asked for.
    public var virtualFunctions: [VirtualFunctionReport] = []

    /// A link without attributes.
    public init(index: Int32, name: String) {
        self.index = index
        self.name = name
    }

    /// Whether the interface is administratively up (IFF_UP): what libvirt calls "online".
    public var isUp: Bool { flags.contains(.up) }

    /// IFF_ flags of `ifinfomsg`.
    public struct Flags: OptionSet, Sendable, Hashable {
        /// The bits as the kernel numbers them.
        public let rawValue: UInt32
        /// Makes a set of its bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        /// Administratively up.
        public static let up = Flags(rawValue: 1)
        /// A loopback device.
        public static let loopback = Flags(rawValue: 1 << 3)
        /// Operational, carrier present.
        public static let running = Flags(rawValue: 1 << 6)
        /// Carrier present.
        public static let lowerUp = Flags(rawValue: 1 << 16)
    }

    /// RFC 2863 operational state (IFLA_OPERSTATE).
    public enum State: UInt8, Sendable, Hashable {
        /// Not known.
        case unknown
        /// The hardware is absent.
        case notPresent
        /// Down.
        case down
        /// Down because a lower layer is.
        case lowerLayerDown
        /// In a test mode.
        case testing
        /// Waiting for an external event.
        case dormant
        /// Able to pass packets.
        case up

        /// The word that sysfs uses for it.
        public var word: String {
            switch self {
            case .unknown: "unknown"
            case .notPresent: "notpresent"
            case .down: "down"
            case .lowerLayerDown: "lowerlayerdown"
            case .testing: "testing"
            case .dormant: "dormant"
            case .up: "up"
            }
        }
    }

    /// The device that a link belongs to.
    public struct ParentDevice: Sendable, Hashable {
        /// The bus: `pci`, `netdevsim`.
        public var bus: String
        /// The name on that bus.
        public var name: String

        /// Makes a reference to a device.
        public init(bus: String, name: String) {
            self.bus = bus
            self.name = name
        }
    }
}
