package import Netlink
package import PCI
package import SRIOV

// What is printed for machines and sent by the agent. Names and units are the host file's.

/// What a PF administers for a VF.
package struct SettingsView: Codable, Sendable, Hashable {
    /// A VLAN tag.
    package struct VLANView: Codable, Sendable, Hashable {
        package var id: Int
        package var qos: Int?
        package var `protocol`: String?

        package init(id: Int, qos: Int? = nil, protocol: String? = nil) {
            self.id = id
            self.qos = qos
            self.protocol = `protocol`
        }
    }

    package var mac: String?
    package var vlan: VLANView?
    package var minTxRateMbps: UInt32?
    package var maxTxRateMbps: UInt32?
    package var spoofCheck: Bool?
    package var trust: Bool?
    package var linkState: String?
    package var rssQuery: Bool?
    package var nodeGUID: String?
    package var portGUID: String?

    /// Nothing is given.
    package init() {}

    package init(_ settings: VirtualFunctionSettings) {
        mac = settings.mac?.description
        vlan = settings.vlans?.first.map {
            VLANView(id: Int($0.id), qos: Int($0.qos), protocol: $0.protocol == .dot1Q ? "802.1Q" : "802.1ad")
        }
        minTxRateMbps = settings.minTxRateMbps
        maxTxRateMbps = settings.maxTxRateMbps
        spoofCheck = settings.spoofCheck
        trust = settings.trust
        linkState = settings.linkState.map { "\($0)" }
        rssQuery = settings.rssQuery
        nodeGUID = settings.nodeGUID?.description
        portGUID = settings.portGUID?.description
    }
}

/// Whoever uses a function.
package struct HolderView: Codable, Sendable, Hashable {
    package var kind: String
    package var identifier: String
    package var through: String
    package var description: String

    package init(_ holder: Holder) {
        kind = holder.word
        identifier = holder.identifier
        through = holder.through
        description = holder.description
    }
}

/// A PCI function.
package struct FunctionView: Codable, Sendable, Hashable {
    package var address: String
    package var name: String
    package var kind: String
    package var vendor: String
    package var device: String
    package var model: String
    package var classCode: String
    package var driver: String?
    package var numaNode: Int?
    package var iommuGroup: Int?
    package var physicalFunction: String?
    package var index: Int?
    package var netdev: String?
    package var mac: String?
    package var permanentMAC: String?
    package var mtu: UInt32?
    package var isUp: Bool?
    package var linkState: String?
    package var speedMbps: Int?
    package var virtualFunctions: Int?
    package var totalVirtualFunctions: Int?
    package var serial: String?
    package var label: String?
    package var acpiIndex: Int?
    package var settings: SettingsView?
    package var pool: String?
    package var lease: String?
    package var holders: [HolderView]

    package init(_ function: Function, names: PCINames, pool: String? = nil) {
        let pci = function.pci
        address = pci.address.description
        name = function.name
        kind = pci.physicalFunction != nil ? "virtualFunction" : pci.sriov != nil ? "physicalFunction" : "function"
        vendor = fourDigits(pci.model.vendor)
        device = fourDigits(pci.model.device)
        model = names.shortName(pci.model)
        classCode = fourDigits(pci.classCode.subclass)
        driver = pci.driver
        numaNode = pci.numaNode
        iommuGroup = pci.iommuGroup
        physicalFunction = pci.physicalFunction?.description
        index = function.index
        netdev = function.link?.name ?? pci.netdevs.first
        mac = function.link?.address?.description
        permanentMAC = function.link?.permanentAddress?.description
        mtu = function.link?.mtu
        isUp = function.link?.isUp
        linkState = function.link?.state.word
        speedMbps = function.speedMbps
        virtualFunctions = pci.sriov?.enabledVFs
        totalVirtualFunctions = pci.sriov?.totalVFs
        serial = pci.serial
        label = pci.label
        acpiIndex = pci.acpiIndex
        settings = function.settings.map(SettingsView.init)
        self.pool = pool
        holders = function.holders.map(HolderView.init)
        for holder in function.holders { if case .lease(let id, _, _) = holder.kind { lease = id } }
    }
}

/// The host as a whole.
package struct HostView: Codable, Sendable, Hashable {
    package var hasIOMMU: Bool
    package var nodes: [NodeView]
    package var physicalFunctions: Int
    package var virtualFunctions: Int
    /// Devices that are not as declared and are in use, by name, and why they are not mended.
    package var drift: [String: String]

    /// A NUMA node.
    package struct NodeView: Codable, Sendable, Hashable {
        package var number: Int
        package var cpus: String
    }

    package init(_ host: Host, drift: [String: String]) {
        hasIOMMU = host.hasIOMMU
        nodes = host.nodes.map { NodeView(number: $0.number, cpus: "\($0.cpus)") }
        physicalFunctions = host.physicalFunctions.count
        virtualFunctions = host.functions.count { $0.pci.physicalFunction != nil }
        self.drift = drift
    }
}
