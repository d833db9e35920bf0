internal import FoundationEssentials
internal import Netlink
internal import PCI

/// A network's configuration, with the keys that sriov-cni has; others are somebody else's and ignored.
struct NetworkConfiguration: Decodable, Sendable {
    var cniVersion: String?
    var name: String?
    var type: String?
    var ipam: IPAM?
    var dns: CNIResult.DNS?
    var prevResult: CNIResult?
    var runtimeConfig: RuntimeConfiguration?
    var deviceID: String?
    var pciBusID: String?
    var vlan: Int?
    var vlanQoS: Int?
    var vlanProto: String?
    var mac: String?
    var minTxRate: Int?
    var maxTxRate: Int?
    var spoofchk: String?
    var trust: String?
    var linkState: String?

    /// Who gives out addresses.
    struct IPAM: Decodable, Sendable {
        var type: String?
    }

    /// What the runtime adds for the capabilities that the network declares.
    struct RuntimeConfiguration: Decodable, Sendable {
        var mac: String?
        var deviceID: String?
        /// Where the runtime reads what the VF is (device-info-spec).
        var deviceInfoFile: String?

        enum CodingKeys: String, CodingKey {
            case mac, deviceID
            case deviceInfoFile = "CNIDeviceInfoFile"
        }
    }

    /// The interfaces that are not to be collected (GC); nil where the runtime does not say. An empty list may be null.
    static func validAttachments(_ text: String) throws(CNIError) -> [Attachment]? {
        struct Lists: Decodable {
            var list: [Attachment]?
            init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: AnyKey.self)
                // The second is what some libraries send (libcni 1.2).
                for name in ["cni.dev/valid-attachments", "cni.dev/attachments"] where list == nil {
                    guard container.contains(AnyKey(name)) else { continue }
                    list = try container.decodeIfPresent([Attachment].self, forKey: AnyKey(name)) ?? []
                }
            }
        }
        do {
            return try CNIJSON.decode(Lists.self, text).list
        } catch {
            throw CNIError(.decodingFailed, "cni.dev/valid-attachments is no list of containerID and ifname")
        }
    }

    /// An interface that is not to be collected (GC).
    struct Attachment: Decodable, Sendable, Hashable {
        var containerID: String
        var ifname: String
    }

    enum CodingKeys: String, CodingKey {
        case cniVersion, name, type, ipam, dns, prevResult, runtimeConfig, deviceID, pciBusID, vlan, vlanQoS, vlanProto,
            mac
        case spoofchk, trust
        case minTxRate = "min_tx_rate"
        case maxTxRate = "max_tx_rate"
        case linkState = "link_state"
    }

    /// Reads a configuration.
    ///
    /// Throws code 6 where it is none, code 1 where its version is not spoken here, code 7 where its name is none.
    static func parse(_ text: String) throws(CNIError) -> NetworkConfiguration {
        let conf: NetworkConfiguration
        do {
            conf = try CNIJSON.decode(Self.self, text)
        } catch let DecodingError.typeMismatch(_, context) {
            throw CNIError(.decodingFailed, "\(path(context)) of the network's configuration has the wrong type")
        } catch let DecodingError.dataCorrupted(context) where !context.codingPath.isEmpty {
            throw CNIError(.decodingFailed, "\(path(context)) of the network's configuration is no value for it")
        } catch let DecodingError.keyNotFound(key, context) {
            let place = path(context)
            throw CNIError(
                .decodingFailed,
                "\(place.isEmpty ? "" : place + ".")\(key.stringValue) of the network's configuration is missing")
        } catch {
            throw CNIError(.decodingFailed, "the network's configuration is no JSON object")
        }
        guard ContainerNetwork.versions.contains(conf.version) else {
            throw CNIError(
                .incompatibleVersion, "cniVersion \"\(conf.version.prefix(100))\" is not spoken here",
                remedy:
                    "write one of \(ContainerNetwork.versions.joined(separator: ", ")) into the network's configuration"
            )
        }
        guard let name = conf.name, let first = name.utf8.first, isNameByte(first), first != UInt8(ascii: "."),
            name.utf8.count <= 128, name.utf8.allSatisfy({ isNameByte($0) || $0 == UInt8(ascii: "-") })
        else {
            throw CNIError(
                .invalidConfiguration, "the network has the name \"\(conf.name?.prefix(100) ?? "")\"",
                remedy: "it begins with a letter or digit and goes on with those, '_', '.' and '-', at most 128"
            ).of(conf.version)
        }
        return conf
    }

    /// The version; a configuration without one is of the first (the specification's section "Version").
    var version: String { Self.first(cniVersion) ?? "0.1.0" }

    /// Who gives out addresses; nil where nobody does. Throws code 7 for one that would be this plugin again.
    var addressPlugin: String? {
        get throws(CNIError) {
            guard let plugin = ipam?.type, !plugin.isEmpty else { return nil }
            guard plugin != type, plugin != "sluice-cni" else {
                throw CNIError(
                    .invalidConfiguration, "ipam.type is \"\(plugin.prefix(100))\", which gives out no addresses",
                    remedy: "it is a plugin such as host-local, static or dhcp")
            }
            return plugin
        }
    }

    /// The VF that the runtime, or multus for it, has chosen. Throws code 7 where there is none.
    func device() throws(CNIError) -> PCIAddress {
        guard let text = Self.first(deviceID, runtimeConfig?.deviceID, pciBusID) else {
            throw CNIError(
                .invalidConfiguration, "no VF is named: deviceID is missing",
                remedy: "multus fills it in where the NetworkAttachmentDefinition has the annotation "
                    + "k8s.v1.cni.cncf.io/resourceName and the pod requests that resource")
        }
        guard let address = PCIAddress(text) else {
            throw CNIError(
                .invalidConfiguration, "deviceID \"\(text.prefix(100))\" is no PCI address",
                remedy: "it looks like 0000:41:10.0")
        }
        return address
    }

    /// The file that the runtime reads what the VF is from. Throws code 7 for one that is not among those of the
    /// specification: the agent would write wherever it is told.
    var deviceInfoFile: String? {
        get throws(CNIError) {
            guard let path = runtimeConfig?.deviceInfoFile, !path.isEmpty else { return nil }
            let parts = path.split(separator: "/", omittingEmptySubsequences: false)
            let isThere = ["/run/k8s.cni.cncf.io/", "/var/run/k8s.cni.cncf.io/"].contains(where: path.hasPrefix)
            guard isThere, path.utf8.count < 1024, !parts.dropFirst().contains(where: { ["", ".", ".."].contains($0) })
            else { throw Self.wrong("CNIDeviceInfoFile", path, "it is a file below /var/run/k8s.cni.cncf.io") }
            return path
        }
    }

    /// What the VF is to be set to. Throws code 7 with the key that is wrong.
    func settings(macArgument: String?) throws(CNIError) -> VirtualFunctionSettings {
        var settings = VirtualFunctionSettings()
        settings.vlans = try vlans()
        if let text = Self.first(runtimeConfig?.mac, macArgument, mac) {
            guard let mac = MACAddress(text), !mac.isZero, !mac.isMulticast else {
                throw Self.wrong("mac", text, "it is an address of one interface, such as 02:00:5e:10:00:01")
            }
            settings.mac = mac
        }
        settings.minTxRateMbps = try rate(minTxRate, "min_tx_rate")
        settings.maxTxRateMbps = try rate(maxTxRate, "max_tx_rate")
        if let low = settings.minTxRateMbps, let high = settings.maxTxRateMbps, high > 0, low > high {
            throw Self.wrong("min_tx_rate", "\(low)", "it is at most max_tx_rate, \(high)")
        }
        settings.spoofCheck = try flag(spoofchk, "spoofchk")
        settings.trust = try flag(trust, "trust")
        if let linkState, !linkState.isEmpty {
            switch linkState {
            case "auto": settings.linkState = .auto
            case "enable": settings.linkState = .enable
            case "disable": settings.linkState = .disable
            default: throw Self.wrong("link_state", linkState, "it is auto, enable or disable")
            }
        }
        return settings
    }

    private static func first(_ texts: String?...) -> String? {
        texts.compactMap(\.self).first { !$0.isEmpty }
    }

    /// 0 takes the tag away; so sriov-cni has it.
    private func vlans() throws(CNIError) -> [VLAN]? {
        guard let vlan else {
            if let vlanQoS, vlanQoS != 0 { throw Self.wrong("vlanQoS", "\(vlanQoS)", "it goes with a vlan") }
            if let vlanProto, !vlanProto.isEmpty { throw Self.wrong("vlanProto", vlanProto, "it goes with a vlan") }
            return nil
        }
        guard let id = UInt16(exactly: vlan), id < 4095 else { throw Self.wrong("vlan", "\(vlan)", "it is 0 to 4094") }
        guard let qos = UInt8(exactly: vlanQoS ?? 0), qos < 8 else {
            throw Self.wrong("vlanQoS", "\(vlanQoS ?? 0)", "it is 0 to 7")
        }
        var proto = VLAN.TagProtocol.dot1Q
        switch vlanProto?.lowercased() {
        case nil, "", "802.1q": break
        case "802.1ad": proto = .dot1ad
        default: throw Self.wrong("vlanProto", vlanProto ?? "", "it is 802.1q or 802.1ad")
        }
        guard id != 0 else {
            if qos != 0 { throw Self.wrong("vlanQoS", "\(qos)", "it needs a vlan other than 0") }
            if proto != .dot1Q { throw Self.wrong("vlanProto", "802.1ad", "it needs a vlan other than 0") }
            return []
        }
        return [VLAN(id: id, qos: qos, protocol: proto)]
    }

    private func rate(_ value: Int?, _ key: String) throws(CNIError) -> UInt32? {
        guard let value else { return nil }
        guard let rate = UInt32(exactly: value) else {
            throw Self.wrong(key, "\(value)", "it is a rate in Mbit/s, and 0 is none")
        }
        return rate
    }

    private func flag(_ text: String?, _ key: String) throws(CNIError) -> Bool? {
        switch text {
        case nil, "": return nil
        case "on": return true
        case "off": return false
        default: throw Self.wrong(key, text ?? "", "it is \"on\" or \"off\"")
        }
    }

    private static func wrong(_ key: String, _ value: String, _ rule: String) -> CNIError {
        CNIError(.invalidConfiguration, "\(key) is \"\(value.prefix(100))\"", remedy: rule)
    }

    private static func path(_ context: DecodingError.Context) -> String {
        context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }
}
