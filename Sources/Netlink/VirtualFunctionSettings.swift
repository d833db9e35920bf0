/// What a PF administers for one of its VFs. A nil setting is not reported (when read) or not touched (when written).
public struct VirtualFunctionSettings: Sendable, Hashable {
    /// The administrative MAC address; zero means that none is assigned.
    public var mac: MACAddress?
    /// The VLANs that the PF inserts and strips; an empty list means none. Drivers accept at most one.
    public var vlans: [VLAN]?
    /// Guaranteed transmit rate, Mbps; 0 means none. The kernel takes it only together with the limit: when it is
    /// written and `maxTxRateMbps` is nil, the limit is removed.
    public var minTxRateMbps: UInt32?
    /// Limit of the transmit rate, Mbps; 0 means no limit.
    public var maxTxRateMbps: UInt32?
    /// Whether frames with a foreign source address are dropped.
    public var spoofCheck: Bool?
    /// Whether the VF may change its MAC address and receive mode.
    public var trust: Bool?
    /// The link as the VF sees it.
    public var linkState: LinkState?
    /// Whether the VF may read the RSS configuration.
    public var rssQuery: Bool?
    /// InfiniBand node GUID.
    public var nodeGUID: GUID?
    /// InfiniBand port GUID.
    public var portGUID: GUID?

    /// Settings of which none is given.
    public init() {}

    /// Whether no setting is given.
    public var isEmpty: Bool { self == VirtualFunctionSettings() }

    /// The link state that a PF gives a VF (IFLA_VF_LINK_STATE).
    public enum LinkState: UInt32, Sendable, Hashable, CaseIterable {
        /// The PF's own.
        case auto = 0
        /// Always up, so that VFs of one PF reach each other without a cable.
        case enable = 1
        /// Always down.
        case disable = 2
    }
}

/// A VLAN tag: what `IFLA_VF_VLAN_LIST` carries of it.
public struct VLAN: Sendable, Hashable {
    /// 1…4094; 0 with QoS 0 means no tag.
    public var id: UInt16
    /// Priority code point, 0…7.
    public var qos: UInt8
    /// The tag's EtherType.
    public var `protocol`: TagProtocol

    /// Makes a tag; the protocol is 802.1Q unless told otherwise.
    public init(id: UInt16, qos: UInt8 = 0, protocol: TagProtocol = .dot1Q) {
        self.id = id
        self.qos = qos
        self.protocol = `protocol`
    }

    /// The EtherType of a VLAN tag.
    public enum TagProtocol: UInt16, Sendable, Hashable {
        /// 802.1Q, a customer tag.
        case dot1Q = 0x8100
        /// 802.1ad, a service tag.
        case dot1ad = 0x88a8
    }
}

/// A VF as its PF reports it in a link message.
public struct VirtualFunctionReport: Sendable, Hashable {
    /// The VF's index below its PF, from 0.
    public var index: UInt32
    /// What the PF administers for it.
    public var settings: VirtualFunctionSettings
    /// The broadcast address.
    public var broadcast: HardwareAddress?
    /// The hardware address in full: longer than a MAC address on InfiniBand.
    public var address: HardwareAddress?
    /// Counters, when they were asked for and the driver has them.
    public var statistics: VirtualFunctionStatistics?

    /// A report without any setting.
    public init(index: UInt32, settings: VirtualFunctionSettings = .init()) {
        self.index = index
        self.settings = settings
    }
}

/// A VF's counters as its PF keeps them; packets and bytes since the driver counts.
public struct VirtualFunctionStatistics: Sendable, Hashable {
    /// Packets received.
    public var rxPackets: UInt64 = 0
    /// Packets sent.
    public var txPackets: UInt64 = 0
    /// Bytes received.
    public var rxBytes: UInt64 = 0
    /// Bytes sent.
    public var txBytes: UInt64 = 0
    /// Broadcast packets received.
    public var broadcast: UInt64 = 0
    /// Multicast packets received.
    public var multicast: UInt64 = 0
    /// Packets dropped on reception.
    public var rxDropped: UInt64 = 0
    /// Packets dropped on transmission.
    public var txDropped: UInt64 = 0

    /// All zero.
    public init() {}
}
