internal import FoundationEssentials

/// JSON as the plugins that this one replaces read it: names of members in any case (encoding/json).
enum CNIJSON {
    private static let names = Dictionary(
        uniqueKeysWithValues: [
            "cniVersion", "name", "type", "ipam", "dns", "prevResult", "runtimeConfig", "deviceID", "pciBusID", "vlan",
            "vlanQoS", "vlanProto", "mac", "spoofchk", "trust", "min_tx_rate", "max_tx_rate", "link_state",
            "containerID", "ifname", "CNIDeviceInfoFile", "interfaces", "ips", "routes", "mtu", "sandbox", "socketPath",
            "pciID", "version",
            "address", "gateway", "interface", "dst", "gw", "advmss", "priority", "table", "scope", "nameservers",
            "domain", "search", "options", "code", "msg", "details", "ip4", "ip6", "ip",
        ].map { ($0.lowercased(), $0) })

    static func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .custom { path in
            let name = path.last?.stringValue ?? ""
            return AnyKey(names[name.lowercased()] ?? name)
        }
        return try decoder.decode(type, from: Data(text.utf8))
    }
}

/// A member's name.
struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }
}
