internal import AgentAPI
internal import ArgumentParser

/// What a VF is to be set to beyond its pool's settings.
struct SettingsOptions: ParsableArguments {
    @Option(name: .long, help: "MAC address.") var mac: String?
    @Option(name: .long, help: "VLAN, 0 for none.") var vlan: Int?
    @Option(name: .long, help: "Priority of the VLAN, 0–7.") var vlanQos: Int?
    @Option(name: .long, help: "Its protocol: 802.1Q, 802.1ad (default: 802.1Q).") var vlanProtocol: String?
    @Option(name: .long, help: "Limit of the transmit rate, Mbps.") var maxTxRate: UInt32?
    @Option(name: .long, help: "Transmit rate that it has at least, Mbps.") var minTxRate: UInt32?
    @Option(name: .long, help: "Its link: auto as the port's, enable, disable.") var linkState: String?
    @Flag(name: .long, inversion: .prefixedNo, help: "Let it change its address and receive mode.") var trust: Bool?
    @Flag(name: .long, inversion: .prefixedNo, help: "Drop frames with a foreign source address.")
    var spoofCheck: Bool?

    func validate() throws {
        if vlanQos != nil, vlan == nil { throw ValidationError("--vlan-qos needs --vlan.") }
        if vlanProtocol != nil, vlan == nil { throw ValidationError("--vlan-protocol needs --vlan.") }
    }

    var view: SettingsView {
        var settings = SettingsView()
        settings.mac = mac
        settings.vlan = vlan.map { .init(id: $0, qos: vlanQos, protocol: vlanProtocol) }
        (settings.minTxRateMbps, settings.linkState) = (minTxRate, linkState)
        (settings.maxTxRateMbps, settings.trust, settings.spoofCheck) = (maxTxRate, trust, spoofCheck)
        return settings
    }
}
