internal import FoundationEssentials
internal import Netlink

/// What a plugin has made, as the specification's section "Result types" has it; also what an IPAM plugin answers.
struct CNIResult: Codable, Sendable, Hashable {
    var cniVersion: String?
    var interfaces: [Interface]?
    var ips: [IP]?
    var routes: [Route]?
    var dns: DNS?

    struct Interface: Codable, Sendable, Hashable {
        var name: String
        var mac: String?
        var mtu: UInt32?
        var sandbox: String?
        var socketPath: String?
        var pciID: String?
    }

    struct IP: Codable, Sendable, Hashable {
        /// `4` or `6`; before version 1.0.0.
        var version: String?
        var address: String
        var gateway: String?
        var interface: Int?
    }

    struct Route: Codable, Sendable, Hashable {
        var dst: String
        var gw: String?
        var mtu: UInt32?
        var advmss: UInt32?
        var priority: UInt32?
        var table: UInt32?
        var scope: UInt8?
    }

    struct DNS: Codable, Sendable, Hashable {
        var nameservers: [String]?
        var domain: String?
        var search: [String]?
        var options: [String]?

        var isEmpty: Bool { self == DNS() }
    }

    /// Reads what an IPAM plugin has printed. Throws code 6 where it is not understood.
    static func parse(_ text: String, of plugin: String) throws(CNIError) -> CNIResult {
        do {
            return try CNIJSON.decode(CNIResult.self, text)
        } catch {
            throw CNIError(.decodingFailed, "what \(plugin) has printed is no CNI result: \(text.prefix(200))")
        }
    }

    /// The addresses. Throws code 6 where one is none.
    func addresses() throws(CNIError) -> [IPPrefix] {
        try (ips ?? []).map { ip throws(CNIError) in
            guard let prefix = IPPrefix(ip.address) else { throw Self.wrong("address", ip.address) }
            return prefix
        }
    }

    /// The routes; one without a gateway goes by that of the first address of its family (specification, "Result").
    func linkRoutes() throws(CNIError) -> [LinkRoute] {
        try (routes ?? []).map { route throws(CNIError) in
            guard let destination = IPPrefix(route.dst) else { throw Self.wrong("route", route.dst) }
            // What the link itself reaches goes by nobody (RT_SCOPE_LINK and narrower).
            let isDirect = route.scope ?? 0 >= 253
            let gateways = (ips ?? []).compactMap(\.gateway).filter {
                !$0.isEmpty && $0.contains(":") == destination.isIPv6
            }
            let gateway = isDirect ? route.gw : route.gw ?? gateways.first
            var found = LinkRoute(to: destination)
            if let gateway, !gateway.isEmpty {
                guard let address = IPPrefix(gateway), address.isIPv6 == destination.isIPv6 else {
                    throw Self.wrong("gateway", gateway)
                }
                found.gateway = address
            }
            (found.mtu, found.advertisedMSS, found.priority) = (route.mtu, route.advmss, route.priority)
            (found.table, found.scope) = (route.table, route.scope)
            return found
        }
    }

    private static func wrong(_ what: String, _ text: String) -> CNIError {
        CNIError(.decodingFailed, "the \(what) \"\(text.prefix(100))\" is not understood")
    }

    /// The result as a version of the specification has it.
    func text(_ version: String) throws(CNIError) -> String {
        var result = self
        result.cniVersion = version
        let isNumbered = ["0.3.0", "0.3.1", "0.4.0"].contains(version)
        result.ips = ips?.map { ip in
            var ip = ip
            ip.version = isNumbered ? (ip.address.contains(":") ? "6" : "4") : nil
            return ip
        }
        if version != "1.1.0" {
            result.interfaces = interfaces?.map { Interface(name: $0.name, mac: $0.mac, sandbox: $0.sandbox) }
        }
        result.routes = routes(of: version)
        if EarlyResult.versions.contains(version) { return try Self.encode(EarlyResult(result)) }
        // It was always there before it could be left out.
        if isNumbered { result.dns = result.dns ?? DNS() } else if result.dns?.isEmpty ?? false { result.dns = nil }
        return try Self.encode(result)
    }

    /// What a version can say of the routes.
    func routes(of version: String) -> [Route]? {
        version == "1.1.0" ? routes : routes?.map { Route(dst: $0.dst, gw: $0.gw) }
    }

    private static func encode(_ result: some Encodable) throws(CNIError) -> String {
        do {
            return String(decoding: try JSONEncoder.plain.encode(result), as: UTF8.self)
        } catch {
            throw CNIError(.inputOutput, "the result cannot be written: \(error)")
        }
    }
}

extension CNIResult {
    /// Decodes a result of any version.
    init(from decoder: any Decoder) throws {
        let early = try EarlyResult(from: decoder)
        guard early.isEmpty else {
            self.init(early)
            return
        }
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            cniVersion: early.cniVersion,
            interfaces: try container.decodeIfPresent([Interface].self, forKey: .interfaces),
            ips: try container.decodeIfPresent([IP].self, forKey: .ips),
            routes: try container.decodeIfPresent([Route].self, forKey: .routes), dns: early.dns)
    }
}
