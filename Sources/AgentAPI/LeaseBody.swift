package import Leasing
package import Netlink
internal import PCI
internal import SRIOV

/// A request for leases as it is sent: the body of POST /v1/leases.
package struct LeaseBody: Codable, Sendable, Hashable {
    package var pool: String?
    package var function: String?
    package var count: Int?
    package var consumer: String?
    package var numaNode: Int?
    package var cpus: String?
    package var near: String?
    package var numa: String?
    package var spread: String?
    package var antiAffinity: String?
    package var driver: String?
    package var settings: SettingsView?
    package var ttlSeconds: Int64?
    /// Whether the answer says why these functions, and why not the others.
    package var explain: Bool?

    /// An empty request.
    package init() {}

    /// The paths of its members.
    package static let keys: Set<String> = [
        "pool", "function", "count", "consumer", "numaNode", "cpus", "near", "numa", "spread", "antiAffinity", "driver",
        "settings", "settings.mac", "settings.vlan", "settings.vlan.id", "settings.vlan.qos", "settings.vlan.protocol",
        "settings.minTxRateMbps", "settings.maxTxRateMbps", "settings.spoofCheck", "settings.trust",
        "settings.linkState", "settings.rssQuery", "settings.nodeGUID", "settings.portGUID", "ttlSeconds",
        "explain",
    ]

    /// The request that is meant.
    ///
    /// Throws `request.invalid` with the field, what is wrong, and what it may be.
    package func request(person: String, idempotencyKey: String?) throws(LeasingError) -> LeaseRequest {
        var request = LeaseRequest(
            consumer: try parse(consumer ?? "person:\(person)", "consumer", Self.consumers) { Consumer($0) })
        request.pool = pool
        request.function = try function.map { text throws(LeasingError) in
            try parse(text, "function", "a PCI address such as 0000:41:10.0") { PCIAddress($0) }
        }
        request.count = count ?? 1
        request.near = try place()
        request.numa = try numa.map { text throws(LeasingError) in
            try parse(text, "numa", "require, prefer or ignore") { DeclaredPool.NUMAPolicy(rawValue: $0) }
        }
        request.spread = try spread.map { text throws(LeasingError) in
            try parse(text, "spread", "physicalFunction or pack") { DeclaredPool.Spread(rawValue: $0) }
        }
        request.antiAffinity =
            try antiAffinity.map { text throws(LeasingError) in
                try parse(text, "antiAffinity", "none, physicalFunction or card") {
                    LeaseRequest.AntiAffinity(rawValue: $0)
                }
            } ?? .none
        request.driver = try driver.map { text throws(LeasingError) in
            try parse(text, "driver", "vfio-pci, kernel, or a driver's name") { name in
                guard DeclaredDriver.isName(name) else { return nil }
                return name == "kernel" ? .kernel(nil) : PCIFunction.isVFIODriver(name) ? .vfio(name) : .kernel(name)
            }
        }
        request.settings = try settings?.parsed() ?? VirtualFunctionSettings()
        request.ttlSeconds = ttlSeconds
        request.idempotencyKey = idempotencyKey
        try request.check()
        return request
    }

    private static let consumers =
        "domain:UUID, namespace:PATH, process:PID, port:UUID or person:NAME"

    private func place() throws(LeasingError) -> LeaseRequest.Place? {
        let given = [numaNode.map { _ in "numaNode" }, cpus.map { _ in "cpus" }, near.map { _ in "near" }]
            .compactMap(\.self)
        if given.count > 1 {
            throw LeasingError(
                .badRequest, "\(given.joined(separator: " and ")) exclude each other", remedy: "give one place")
        }
        if let numaNode {
            guard (0...1023).contains(numaNode) else {
                throw LeasingError(.badRequest, "numaNode \(numaNode) is out of range (0–1023)")
            }
            return .node(numaNode)
        }
        if let cpus {
            return .cpus(try parse(cpus, "cpus", "numbers and ranges such as 0-3,6") { NumberSet($0) })
        }
        return try near.map { text throws(LeasingError) in
            .device(try parse(text, "near", "a PCI address such as 0000:41:00.0") { PCIAddress($0) })
        }
    }
}

extension SettingsView {
    /// The settings that are meant.
    ///
    /// Throws `request.invalid`.
    package func parsed() throws(LeasingError) -> VirtualFunctionSettings {
        var result = VirtualFunctionSettings()
        result.mac = try mac.map { text throws(LeasingError) in
            try parse(text, "settings.mac", "a unicast MAC address such as 52:54:00:00:00:01") { text in
                MACAddress(text).flatMap { $0.isMulticast || $0.isZero ? nil : $0 }
            }
        }
        if let vlan {
            guard (0...4094).contains(vlan.id), (0...7).contains(vlan.qos ?? 0), vlan.id > 0 || vlan.qos ?? 0 == 0
            else {
                throw LeasingError(
                    .badRequest, "settings.vlan \(vlan.id) qos \(vlan.qos ?? 0) is out of range",
                    remedy: "id is 0–4094 (0 for none, without qos), qos 0–7")
            }
            let type: VLAN.TagProtocol = try parse(
                vlan.protocol ?? "802.1Q", "settings.vlan.protocol", "802.1Q or 802.1ad"
            ) {
                $0 == "802.1Q" ? .dot1Q : $0 == "802.1ad" ? .dot1ad : nil
            }
            result.vlans = vlan.id == 0 ? [] : [VLAN(id: UInt16(vlan.id), qos: UInt8(vlan.qos ?? 0), protocol: type)]
        }
        for rate in [minTxRateMbps, maxTxRateMbps].compactMap(\.self) where rate > 4_000_000 {
            throw LeasingError(.badRequest, "a rate of \(rate) Mbps is out of range (0–4000000)")
        }
        (result.minTxRateMbps, result.maxTxRateMbps) = (minTxRateMbps, maxTxRateMbps)
        (result.spoofCheck, result.trust, result.rssQuery) = (spoofCheck, trust, rssQuery)
        result.linkState = try linkState.map { text throws(LeasingError) in
            try parse(text, "settings.linkState", "auto, enable or disable") { word in
                VirtualFunctionSettings.LinkState.allCases.first { "\($0)" == word }
            }
        }
        result.nodeGUID = try nodeGUID.map { text throws(LeasingError) in
            try parse(text, "settings.nodeGUID", "a GUID of 8 bytes") { GUID($0) }
        }
        result.portGUID = try portGUID.map { text throws(LeasingError) in
            try parse(text, "settings.portGUID", "a GUID of 8 bytes") { GUID($0) }
        }
        return result
    }
}

private func parse<Value>(
    _ text: String, _ field: String, _ wanted: String, _ body: (String) -> Value?
) throws(LeasingError) -> Value {
    guard let value = body(text) else {
        throw LeasingError(.badRequest, "\(field) \"\(text.prefix(100))\" is not understood", remedy: "give \(wanted)")
    }
    return value
}
