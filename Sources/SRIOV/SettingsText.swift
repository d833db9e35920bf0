package import Netlink

/// Settings as words of a journal or a ledger: ` mac=… vlan=100/3/8100 trust=1`.
package enum SettingsText {
    package static func encode(_ settings: VirtualFunctionSettings) -> String {
        var words: [String] = []
        if let mac = settings.mac { words.append("mac=\(mac)") }
        if let vlans = settings.vlans {
            let tags = vlans.map { "\($0.id)/\($0.qos)/\(String($0.protocol.rawValue, radix: 16))" }
            words.append("vlans=\(tags.joined(separator: ","))")
        }
        if let rate = settings.minTxRateMbps { words.append("minTxRateMbps=\(rate)") }
        if let rate = settings.maxTxRateMbps { words.append("maxTxRateMbps=\(rate)") }
        if let on = settings.spoofCheck { words.append("spoofCheck=\(on ? 1 : 0)") }
        if let on = settings.trust { words.append("trust=\(on ? 1 : 0)") }
        if let state = settings.linkState { words.append("linkState=\(state.rawValue)") }
        if let on = settings.rssQuery { words.append("rssQuery=\(on ? 1 : 0)") }
        if let guid = settings.nodeGUID { words.append("nodeGUID=\(guid)") }
        if let guid = settings.portGUID { words.append("portGUID=\(guid)") }
        return words.map { " " + $0 }.joined()
    }

    package static func decode(_ words: some Sequence<String>) -> VirtualFunctionSettings {
        var settings = VirtualFunctionSettings()
        for word in words {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { continue }
            let value = parts[1]
            switch parts[0] {
            case "mac": settings.mac = MACAddress(value)
            case "vlans":
                settings.vlans = value.split(separator: ",").compactMap { tag in
                    let numbers = tag.split(separator: "/")
                    guard numbers.count == 3, let id = UInt16(numbers[0]), let qos = UInt8(numbers[1]),
                        let type = UInt16(numbers[2], radix: 16).flatMap(VLAN.TagProtocol.init)
                    else { return nil }
                    return VLAN(id: id, qos: qos, protocol: type)
                }
            case "minTxRateMbps": settings.minTxRateMbps = UInt32(value)
            case "maxTxRateMbps": settings.maxTxRateMbps = UInt32(value)
            case "spoofCheck": settings.spoofCheck = value == "1"
            case "trust": settings.trust = value == "1"
            case "linkState": settings.linkState = UInt32(value).flatMap(VirtualFunctionSettings.LinkState.init)
            case "rssQuery": settings.rssQuery = value == "1"
            case "nodeGUID": settings.nodeGUID = GUID(value)
            case "portGUID": settings.portGUID = GUID(value)
            default: break
            }
        }
        return settings
    }
}
