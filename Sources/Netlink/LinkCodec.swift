/// The attributes of link messages (IFLA_…), numbered here because distributions' headers lag behind their kernels.
enum LinkAttribute {
    static let address: UInt16 = 1
    static let name: UInt16 = 3
    static let mtu: UInt16 = 4
    static let link: UInt16 = 5
    static let master: UInt16 = 10
    static let operationalState: UInt16 = 16
    static let linkInfo: UInt16 = 18
    static let virtualFunctionCount: UInt16 = 21
    static let virtualFunctionList: UInt16 = 22
    static let afSpec: UInt16 = 26
    static let namespaceDescriptor: UInt16 = 28
    static let filter: UInt16 = 29
    static let physicalSwitchID: UInt16 = 36
    static let linkNamespaceID: UInt16 = 37
    static let physicalPortName: UInt16 = 38
    static let propertyList: UInt16 = 52
    static let alternativeName: UInt16 = 53
    static let permanentAddress: UInt16 = 54
    static let parentDeviceName: UInt16 = 56
    static let parentDeviceBus: UInt16 = 57
}

extension Link {
    /// Reads RTM_NEWLINK's payload: `struct ifinfomsg` and attributes. Nil when it has no name or index.
    package init?(_ payload: ByteReader) {
        guard let type: UInt16 = payload.integer(at: 2), let index: Int32 = payload.integer(at: 4),
            let flags: UInt32 = payload.integer(at: 8), let body = payload.slice(16, payload.count - 16)
        else { return nil }
        self.init(index: index, name: "")
        self.flags = Flags(rawValue: flags)
        let isAddressLong = type == 32  // ARPHRD_INFINIBAND
        var bus: String?
        var device: String?
        var isParentForeign = false
        var attributes = body.attributes
        while let attribute = attributes.next() {
            switch attribute.type {
            case LinkAttribute.virtualFunctionList:
                let list = VirtualFunctionReport.list(
                    in: body, from: attribute.offset + 4, announced: virtualFunctionCount ?? .max,
                    isAddressLong: isAddressLong)
                virtualFunctions = list.reports
                attributes.offset = max(list.end, attribute.offset + 4)
            case LinkAttribute.parentDeviceBus: bus = attribute.string
            case LinkAttribute.parentDeviceName: device = attribute.string
            case LinkAttribute.linkNamespaceID: isParentForeign = true
            default: read(attribute)
            }
        }
        if let bus, let device { self.device = ParentDevice(bus: bus, name: device) }
        // The index of a parent in another namespace means nothing here.
        if isParentForeign || parent == index { parent = nil }
        guard !name.isEmpty, index > 0 else { return nil }
    }

    private mutating func read(_ attribute: Attribute) {
        switch attribute.type {
        case LinkAttribute.name: name = attribute.string
        case LinkAttribute.address: address = HardwareAddress(bytes: attribute.payload.bytes)
        case LinkAttribute.permanentAddress: permanentAddress = HardwareAddress(bytes: attribute.payload.bytes)
        case LinkAttribute.mtu: mtu = attribute.integer() ?? 0
        case LinkAttribute.link: parent = attribute.integer()
        case LinkAttribute.master: master = attribute.integer()
        case LinkAttribute.operationalState: state = attribute.integer(UInt8.self).flatMap(State.init) ?? .unknown
        case LinkAttribute.virtualFunctionCount: virtualFunctionCount = attribute.integer()
        case LinkAttribute.physicalPortName: physicalPortName = attribute.string
        case LinkAttribute.physicalSwitchID: physicalSwitchID = Array(attribute.payload.bytes)
        case LinkAttribute.linkInfo:
            for info in attribute.payload.attributes {
                if info.type == 1 { kind = info.string }  // IFLA_INFO_KIND
                if info.type == 4 { slaveKind = info.string }  // IFLA_INFO_SLAVE_KIND
            }
        case LinkAttribute.propertyList:
            alternativeNames = attribute.payload.attributes
                .filter { $0.type == LinkAttribute.alternativeName }.map(\.string)
        default: break
        }
    }
}

extension MessageBuilder {
    /// Starts a link message: header and `struct ifinfomsg`. The mask says which of the flags are meant; the kernel
    /// would otherwise rewrite them all.
    static func link(
        _ type: UInt16, flags: UInt16, index: Int32, linkFlags: Link.Flags = [], mask: Link.Flags = []
    ) -> MessageBuilder {
        var builder = MessageBuilder(type: type, flags: flags)
        builder.append(UInt32(0))  // AF_UNSPEC, padding, type
        builder.append(index)
        builder.append(linkFlags.rawValue)
        builder.append(mask.rawValue)
        return builder
    }
}
