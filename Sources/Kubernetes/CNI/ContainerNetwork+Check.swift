internal import Leasing
internal import Netlink
internal import PCI

extension ContainerNetwork {
    func check(_ call: CNICall, _ conf: NetworkConfiguration) async throws -> Answer {
        try call.checkAttachment()
        try call.checkNamespace()
        guard !["0.1.0", "0.2.0", "0.3.0", "0.3.1"].contains(conf.version) else {
            throw CNIError(.incompatibleVersion, "CHECK is there from version 0.4.0 on")
        }
        if let answer = try delegate(call, conf) { return answer }
        guard let lease = lease(Self.attachment(call, conf)), lease.state == .active else {
            throw CNIError(.differs, "\(call.ifname) of container \(call.containerID) has no VF")
        }
        guard let namespace = PodNamespace(call.netns), namespace.inode == lease.consumer.generation else {
            throw CNIError(.differs, "the container's network namespace is not the one that \(lease.name) was moved to")
        }
        guard let previous = conf.prevResult else {
            throw CNIError(.invalidConfiguration, "prevResult is missing: what is to be compared")
        }
        let name = call.ifname
        // In a chain the other interfaces' addresses are others' to check. The path may have another spelling.
        let index = previous.interfaces?.firstIndex { $0.name == name && !($0.sandbox ?? "").isEmpty }
        guard let index else { throw CNIError(.invalidConfiguration, "prevResult has no interface \(name)") }
        let (mac, mtu) = (previous.interfaces?[index].mac, previous.interfaces?[index].mtu)
        let ips = (previous.ips ?? []).filter { $0.interface == index }
        // A route without a gateway goes by the first address's, which may be another interface's.
        let isAlone = ips.count == previous.ips?.count
        let own = CNIResult(ips: ips, routes: previous.routes?.filter { isAlone || !($0.gw ?? "").isEmpty })
        let (wanted, wantedRoutes) = (try own.addresses(), try own.linkRoutes())
        if try isForPrograms(lease) {
            try await manager.verify(lease)
            return .result("")
        }
        try await namespace.run { pod in
            guard let link = try? pod.link(named: name), link.device?.name == "\(lease.address)" else {
                throw CNIError(.differs, "the container's \(name) is not \(lease.name), or is gone")
            }
            guard link.isUp else { throw CNIError(.differs, "the container's \(name) is down") }
            if let mac, link.address?.description != mac.lowercased() {
                throw CNIError(
                    .differs,
                    "the container's \(name) has the MAC address \(link.address?.description ?? "none"), not \(mac)")
            }
            if let mtu, mtu != 0, link.mtu != mtu {
                throw CNIError(
                    .differs, "the container's \(name) has the MTU \(link.mtu), not \(mtu)",
                    remedy:
                        "where a plugin after this one sets it without saying so (tuning), cniVersion 1.0.0 leaves it out"
                )
            }
            let has = Set(try pod.addresses().filter { $0.link == link.index }.map(\.description))
            if let missing = wanted.first(where: { !has.contains($0.description) }) {
                throw CNIError(.differs, "the container's \(name) has not the address \(missing)")
            }
            // In a chain a route by another interface's gateway is its plugin's to compare.
            let routes = try pod.routes(byLink: link.index)
            let near = wanted.map(\.network)
            for route in wantedRoutes {
                if !isAlone, let gateway = route.gateway, !near.contains(where: { $0.contains(gateway) }) { continue }
                guard routes.contains(where: route.isMet) else {
                    throw CNIError(
                        .differs, "the container's \(name) has not the route to \(route.destination)",
                        remedy: "ip route show table all dev \(name), in the container, says which it has")
                }
            }
        }
        try await manager.verify(lease)
        return .result("")
    }
}
