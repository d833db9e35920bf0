public import Netlink
public import PCI

/// The ordered steps from the observed to the declared state, and what is refused. Data: it is printed, or applied.
public struct Plan: Sendable {
    /// What is done for each PF and each passthrough function, in the order of the file.
    public var devices: [DevicePlan]
    /// Kernel modules that are needed and not loaded.
    public var modules: [String]
    /// What is true of the whole host: no IOMMU.
    public var warnings: [SRIOVError]

    /// Whether there is nothing to do and nothing refused.
    public var isEmpty: Bool { devices.allSatisfy { $0.steps.isEmpty && $0.refusals.isEmpty } }
    /// Whether anything is refused.
    public var hasRefusals: Bool { devices.contains { !$0.refusals.isEmpty } }
    /// The number of steps.
    public var stepCount: Int { devices.reduce(modules.isEmpty ? 0 : modules.count) { $0 + $1.steps.count } }
}

/// What is done for one device.
public struct DevicePlan: Sendable {
    /// The device's name: its netdev, or its serial number or address.
    public var name: String
    /// Its address; nil when no device matches.
    public var address: PCIAddress?
    /// The index of the PF's netdev.
    public var link: Int32?
    /// Where it is declared.
    public var position: SourcePosition
    /// The steps, in order.
    public var steps: [Step] = []
    /// What is not done, and why.
    public var refusals: [Refusal] = []
    /// The settings that VFs are to have in the end, by index; what is read back is compared with them.
    public var settings: [VirtualFunctionChange] = []
    /// The drivers that functions are to have in the end.
    public var bindings: [Binding] = []
    /// Holders that are given up: what `--evict` named.
    public var evicted: Set<String> = []
    /// Whether the device or one of its VFs has a holder now.
    public var isHeld = false
    /// What the device is now, for the journal.
    public var before: Before

    /// A device of which nothing is planned yet.
    init(name: String, address: PCIAddress?, link: Int32?, position: SourcePosition, before: Before = Before()) {
        self.name = name
        self.address = address
        self.link = link
        self.position = position
        self.before = before
    }

    /// A function of the device and its driver; index nil is the device itself.
    public struct Binding: Sendable, Hashable {
        /// The VF's index; nil for the device itself.
        public var index: Int?
        /// What it is to be bound to.
        public var target: DriverBinding.Target
        /// Whether the driver, which it has already, is to take it anew.
        public var isReload = false

        /// Makes a binding.
        public init(index: Int?, target: DriverBinding.Target) {
            self.index = index
            self.target = target
        }
    }

    /// What a PF was before the plan.
    public struct Before: Sendable, Hashable {
        /// How many VFs were enabled.
        public var virtualFunctions = 0
        /// Whether drivers were bound to new VFs.
        public var autoprobe = true
        /// Whether the port was up.
        public var isUp = false
        /// The VFs' settings.
        public var settings: [VirtualFunctionChange] = []
        /// The PF's permanent MAC: at its address another card may be found later.
        public var permanentMAC: MACAddress?

        /// A PF without VFs.
        public init() {}
    }
}

/// One action on one device.
public struct Step: Sendable, Hashable {
    /// What is done.
    public enum Action: Sendable, Hashable {
        /// The port comes up, without addresses: IPv6 autoconfiguration is turned off first.
        case bringUp
        /// IPv6 autoconfiguration is turned off on a port that is up already.
        case quieten
        /// The MTU is set, bytes.
        case setMTU(UInt32)
        /// The eswitch mode is changed.
        case setEswitchMode(Devlink.EswitchMode)
        /// Drivers are bound to new VFs, or not.
        case setAutoprobe(Bool)
        /// All VFs are enabled or disabled: the kernel knows no other change than from 0 and to 0.
        case setVirtualFunctions(Int)
        /// VFs get their settings. What they have already by then is not set again.
        case configure([VirtualFunctionChange])
        /// Functions get their drivers.
        case bind([DevicePlan.Binding])
    }

    /// What is done.
    public var action: Action
    /// What is done, in a few words.
    public var title: String
    /// Why.
    public var reason: String

    /// Makes a step.
    public init(_ action: Action, _ title: String, reason: String) {
        self.action = action
        self.title = title
        self.reason = reason
    }
}

/// Something that is declared and not done.
public struct Refusal: Sendable, Hashable {
    /// What is not done and why.
    public var error: SRIOVError
    /// The functions in use, and by whom.
    public var holders: [HeldFunction]

    /// Makes a refusal.
    public init(_ error: SRIOVError, holders: [HeldFunction] = []) {
        self.error = error
        self.holders = holders
    }

    /// A function and one of its holders.
    public struct HeldFunction: Sendable, Hashable {
        /// The function's name.
        public var function: String
        /// Its address.
        public var address: PCIAddress
        /// Who uses it.
        public var holder: Holder
    }
}
