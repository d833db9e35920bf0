// IFLA_VFINFO_LIST: include/uapi/linux/if_link.h, net/core/rtnetlink.c (rtnl_fill_vfinfo, do_setvfinfo).

/// The attributes inside IFLA_VF_INFO.
enum VFAttribute {
    static let mac: UInt16 = 1
    static let vlan: UInt16 = 2
    static let txRate: UInt16 = 3
    static let spoofCheck: UInt16 = 4
    static let linkState: UInt16 = 5
    static let rate: UInt16 = 6
    static let rssQuery: UInt16 = 7
    static let statistics: UInt16 = 8
    static let trust: UInt16 = 9
    static let nodeGUID: UInt16 = 10
    static let portGUID: UInt16 = 11
    static let vlanList: UInt16 = 12
    static let broadcast: UInt16 = 13
}

// MARK: - Reading

extension VirtualFunctionReport {
    /// Reads the VFs that start at an offset of a link message's attributes.
    ///
    /// The list's own length is 16 bits wide and wraps at about 222 VFs, but the message holds every entry: they are
    /// walked by their own lengths until as many were read as `IFLA_NUM_VF` announced. Returns the offset behind the
    /// last one too, where the message goes on.
    static func list(
        in reader: ByteReader, from start: Int, announced: UInt32, isAddressLong: Bool
    ) -> (reports: [VirtualFunctionReport], end: Int) {
        var reports: [VirtualFunctionReport] = []
        reports.reserveCapacity(Int(min(announced, 4096)))
        var entries = AttributeSequence(reader: reader)
        entries.offset = start
        var end = start
        while reports.count < announced, let entry = entries.next(), entry.type == 1 {  // IFLA_VF_INFO
            if let report = VirtualFunctionReport(entry.payload, isAddressLong: isAddressLong) {
                reports.append(report)
            }
            end = entries.offset
        }
        return (reports, end)
    }

    private init?(_ info: ByteReader, isAddressLong: Bool) {
        self.init(index: .max)
        for attribute in info.attributes {
            if attribute.type <= VFAttribute.portGUID, attribute.type != VFAttribute.statistics,
                let index: UInt32 = attribute.integer()
            {
                self.index = index
            }
            read(attribute, isAddressLong: isAddressLong)
        }
        guard index != .max else { return nil }
    }

    private mutating func read(_ attribute: Attribute, isAddressLong: Bool) {
        let payload = attribute.payload
        // The kernel fills what a driver does not report with all ones.
        func flag() -> Bool? {
            switch payload.integer(UInt32.self, at: 4) {
            case 0: false
            case 1: true
            default: nil
            }
        }
        switch attribute.type {
        case VFAttribute.mac:
            if let bytes = payload.slice(4, isAddressLong ? 20 : 6) {
                address = HardwareAddress(bytes: bytes.bytes)
                settings.mac = address?.mac
            }
        case VFAttribute.broadcast:
            broadcast = payload.slice(0, isAddressLong ? 20 : 6).map { HardwareAddress(bytes: $0.bytes) }
        case VFAttribute.vlan:
            // Superseded by the list, which carries the protocol too.
            if settings.vlans == nil { settings.vlans = vlan(payload, protocol: .dot1Q).map { $0.id == 0 ? [] : [$0] } }
        case VFAttribute.vlanList:
            settings.vlans = payload.attributes.filter { $0.type == 1 }.compactMap { entry in
                let tag = entry.payload.integer(UInt16.self, at: 12).map(UInt16.init(bigEndian:))
                return vlan(entry.payload, protocol: tag.flatMap(VLAN.TagProtocol.init) ?? .dot1Q)
            }.filter { $0.id != 0 || $0.qos != 0 }
        case VFAttribute.txRate:
            if settings.maxTxRateMbps == nil { settings.maxTxRateMbps = payload.integer(at: 4) }
        case VFAttribute.rate:
            settings.minTxRateMbps = payload.integer(at: 4)
            settings.maxTxRateMbps = payload.integer(at: 8)
        case VFAttribute.spoofCheck: settings.spoofCheck = flag()
        case VFAttribute.trust: settings.trust = flag()
        case VFAttribute.rssQuery: settings.rssQuery = flag()
        case VFAttribute.linkState:
            settings.linkState = payload.integer(UInt32.self, at: 4).flatMap(VirtualFunctionSettings.LinkState.init)
        case VFAttribute.nodeGUID: settings.nodeGUID = payload.integer(at: 8).map(GUID.init(rawValue:))
        case VFAttribute.portGUID: settings.portGUID = payload.integer(at: 8).map(GUID.init(rawValue:))
        case VFAttribute.statistics: statistics = VirtualFunctionStatistics(payload)
        default: break
        }
    }

    private func vlan(_ payload: ByteReader, protocol: VLAN.TagProtocol) -> VLAN? {
        guard let id: UInt32 = payload.integer(at: 4), let qos: UInt32 = payload.integer(at: 8), id < 4096, qos < 8
        else { return nil }
        return VLAN(id: UInt16(id), qos: UInt8(qos), protocol: `protocol`)
    }
}

extension VirtualFunctionStatistics {
    init(_ payload: ByteReader) {
        for attribute in payload.attributes {
            guard let value: UInt64 = attribute.integer() else { continue }
            switch attribute.type {
            case 0: rxPackets = value
            case 1: txPackets = value
            case 2: rxBytes = value
            case 3: txBytes = value
            case 4: broadcast = value
            case 5: multicast = value
            // 6 is padding.
            case 7: rxDropped = value
            case 8: txDropped = value
            default: break
            }
        }
    }
}

// MARK: - Writing

/// One setting of one VF: what a driver is asked at a time when it refuses several together.
public struct VirtualFunctionChange: Sendable, Hashable {
    /// The VF's index below its PF.
    public var index: UInt32
    /// What to set.
    public var settings: VirtualFunctionSettings

    /// Makes a change.
    public init(index: UInt32, settings: VirtualFunctionSettings) {
        self.index = index
        self.settings = settings
    }

    /// The change taken apart: one setting each, in the order in which drivers want them. The link state comes first,
    /// spoof checking and trust before the MAC address, because some drivers refuse an address otherwise.
    public var separated: [VirtualFunctionChange] {
        var parts: [VirtualFunctionChange] = []
        func part(_ isGiven: Bool, _ set: (inout VirtualFunctionSettings) -> Void) {
            guard isGiven else { return }
            var part = VirtualFunctionSettings()
            set(&part)
            parts.append(VirtualFunctionChange(index: index, settings: part))
        }
        part(settings.linkState != nil) { $0.linkState = settings.linkState }
        part(settings.spoofCheck != nil) { $0.spoofCheck = settings.spoofCheck }
        part(settings.trust != nil) { $0.trust = settings.trust }
        part(settings.rssQuery != nil) { $0.rssQuery = settings.rssQuery }
        part(settings.minTxRateMbps != nil || settings.maxTxRateMbps != nil) {
            $0.minTxRateMbps = settings.minTxRateMbps
            $0.maxTxRateMbps = settings.maxTxRateMbps
        }
        part(settings.mac != nil) { $0.mac = settings.mac }
        part(settings.vlans != nil) { $0.vlans = settings.vlans }
        part(settings.nodeGUID != nil) { $0.nodeGUID = settings.nodeGUID }
        part(settings.portGUID != nil) { $0.portGUID = settings.portGUID }
        return parts
    }

    /// The setting's names, as the host file spells them, for reports.
    public var names: [String] {
        var names: [String] = []
        if settings.linkState != nil { names.append("linkState") }
        if settings.spoofCheck != nil { names.append("spoofCheck") }
        if settings.trust != nil { names.append("trust") }
        if settings.rssQuery != nil { names.append("rssQuery") }
        if settings.minTxRateMbps != nil { names.append("minTxRateMbps") }
        if settings.maxTxRateMbps != nil { names.append("maxTxRateMbps") }
        if settings.mac != nil { names.append("mac") }
        if settings.vlans != nil { names.append("vlan") }
        if settings.nodeGUID != nil { names.append("nodeGUID") }
        if settings.portGUID != nil { names.append("portGUID") }
        return names
    }
}

extension MessageBuilder {
    /// Appends one IFLA_VF_INFO for each single setting of a change. The kernel works through them in this order.
    mutating func append(_ change: VirtualFunctionChange) {
        for part in change.separated {
            nest(1) { $0.appendSingle(part.index, part.settings) }
        }
    }

    private mutating func appendSingle(_ index: UInt32, _ settings: VirtualFunctionSettings) {
        if let state = settings.linkState { attribute(VFAttribute.linkState, words([index, state.rawValue])) }
        if let on = settings.spoofCheck { attribute(VFAttribute.spoofCheck, words([index, on ? 1 : 0])) }
        if let on = settings.trust { attribute(VFAttribute.trust, words([index, on ? 1 : 0])) }
        if let on = settings.rssQuery { attribute(VFAttribute.rssQuery, words([index, on ? 1 : 0])) }
        if let minimum = settings.minTxRateMbps {
            attribute(VFAttribute.rate, words([index, minimum, settings.maxTxRateMbps ?? 0]))
        } else if let maximum = settings.maxTxRateMbps {
            // The older attribute leaves the minimum as it is.
            attribute(VFAttribute.txRate, words([index, maximum]))
        }
        if let mac = settings.mac {
            // struct ifla_vf_mac: the index and 32 bytes of address.
            attribute(VFAttribute.mac, words([index]) + mac.bytes + [UInt8](repeating: 0, count: 26))
        }
        if let vlans = settings.vlans { append(vlans, of: index) }
        for (type, guid) in [(VFAttribute.nodeGUID, settings.nodeGUID), (VFAttribute.portGUID, settings.portGUID)] {
            // struct ifla_vf_guid: the index, four bytes of padding, the GUID.
            guard let guid else { continue }
            let number = withUnsafeBytes(of: guid.rawValue, Array.init)
            attribute(type, words([index, 0]) + number)
        }
    }

    /// An 802.1Q tag goes out as IFLA_VF_VLAN, which every driver and kernel takes; only 802.1ad needs the list.
    private mutating func append(_ vlans: [VLAN], of index: UInt32) {
        if vlans.allSatisfy({ $0.protocol == .dot1Q }), vlans.count <= 1 {
            let vlan = vlans.first ?? VLAN(id: 0)
            attribute(VFAttribute.vlan, words([index, UInt32(vlan.id), UInt32(vlan.qos)]))
            return
        }
        nest(VFAttribute.vlanList) { list in
            for vlan in vlans {
                let tag = withUnsafeBytes(of: vlan.protocol.rawValue.bigEndian, Array.init)
                list.attribute(1, words([index, UInt32(vlan.id), UInt32(vlan.qos)]) + tag + [0, 0])
            }
        }
    }

}

private func words(_ values: [UInt32]) -> [UInt8] {
    values.flatMap { withUnsafeBytes(of: $0, Array.init) }
}
