internal import AgentAPI
internal import Netlink
internal import SRIOV

// What is printed for people.

extension Function {
    /// `up 1 Gb/s`, `no carrier`, `down`, for a function with a netdev.
    var linkText: String {
        guard let link else { return "" }
        guard link.isUp else { return "down" }
        guard link.flags.contains(.running) || link.state == .up else { return "no carrier" }
        guard let speedMbps else { return "up" }
        return speedMbps % 1000 == 0 ? "up \(speedMbps / 1000) Gb/s" : "up \(speedMbps) Mb/s"
    }

    /// What the PF administers for a VF in a few words; what is as it is without anybody's doing is left out.
    var settingsText: String { settings?.text ?? "" }

    var holderText: String { holders.map(\.description).joined(separator: ", ") }
}

extension VirtualFunctionSettings {
    var text: String {
        var parts: [String] = []
        if let mac, !mac.isZero { parts.append(mac.description) }
        for vlan in vlans ?? [] {
            parts.append(
                "vlan \(vlan.id)" + (vlan.qos > 0 ? " qos \(vlan.qos)" : "")
                    + (vlan.protocol == .dot1ad ? " 802.1ad" : ""))
        }
        if let rate = minTxRateMbps, rate > 0 { parts.append("≥ \(rate) Mbps") }
        if let rate = maxTxRateMbps, rate > 0 { parts.append("≤ \(rate) Mbps") }
        if spoofCheck == false { parts.append("spoofCheck off") }
        if trust == true { parts.append("trust on") }
        if let linkState, linkState != .auto { parts.append("link \(linkState)") }
        if rssQuery == true { parts.append("rssQuery on") }
        if let nodeGUID, nodeGUID.rawValue != 0 { parts.append("node \(nodeGUID)") }
        if let portGUID, portGUID.rawValue != 0 { parts.append("port \(portGUID)") }
        return parts.joined(separator: "  ")
    }
}

extension SettingsView {
    var text: String {
        var view = self
        // What nobody has set is not worth a word, and would not be taken as a wish.
        if mac.flatMap({ MACAddress($0) })?.isZero ?? false { view.mac = nil }
        return (try? view.parsed())?.text ?? ""
    }
}
