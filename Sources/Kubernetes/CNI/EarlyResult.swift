/// A result as versions 0.1.0 and 0.2.0 of the specification have it: one address of each family, with its routes, and no
/// interfaces.
struct EarlyResult: Codable, Sendable {
    static let versions = ["0.1.0", "0.2.0"]

    var cniVersion: String?
    var ip4: Address?
    var ip6: Address?
    var dns: CNIResult.DNS?

    struct Address: Codable, Sendable {
        var ip: String
        var gateway: String?
        var routes: [Route]?
    }

    struct Route: Codable, Sendable {
        var dst: String
        var gw: String?
    }

    /// Whether it has neither address: then it is none, or a result of a later version.
    var isEmpty: Bool { ip4 == nil && ip6 == nil }

    /// What of a result these versions can say.
    init(_ result: CNIResult) {
        func address(isIPv6: Bool) -> Address? {
            guard let ip = result.ips?.first(where: { $0.address.contains(":") == isIPv6 }) else { return nil }
            let routes = (result.routes ?? []).filter { $0.dst.contains(":") == isIPv6 }
            return Address(
                ip: ip.address, gateway: ip.gateway,
                routes: routes.isEmpty ? nil : routes.map { Route(dst: $0.dst, gw: $0.gw) })
        }
        cniVersion = result.cniVersion
        (ip4, ip6) = (address(isIPv6: false), address(isIPv6: true))
        dns = result.dns ?? CNIResult.DNS()
    }
}

extension CNIResult {
    /// The same as later versions have it.
    init(_ early: EarlyResult) {
        let addresses = [early.ip4, early.ip6].compactMap(\.self)
        self.init(
            cniVersion: early.cniVersion, ips: addresses.map { IP(address: $0.ip, gateway: $0.gateway) },
            routes: addresses.flatMap { $0.routes ?? [] }.map { Route(dst: $0.dst, gw: $0.gw) }, dns: early.dns)
    }
}
