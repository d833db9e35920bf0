internal import CLibvirt
internal import Glibc

/// A network as libvirt has it.
public struct Network: Sendable, Hashable {
    /// How it is defined: what it is at its next start.
    public var config: NetworkDescription
    /// How it is now; nil when it is not active.
    public var live: NetworkDescription?
    /// Whether it is started with the daemon.
    public var isAutostarted: Bool
    /// Who has something of it.
    public var ports: [NetworkPort]

    /// Makes a network of its parts.
    public init(
        config: NetworkDescription, live: NetworkDescription?, isAutostarted: Bool, ports: [NetworkPort] = []
    ) {
        self.config = config
        self.live = live
        self.isAutostarted = isAutostarted
        self.ports = ports
    }
}

extension Connection {
    /// All networks that hand out devices of the host, by name, with their ports. Others are not our business.
    public func hostdevNetworks() async throws(LibvirtError) -> [Network] {
        try await call("list the networks", of: .networks) { functions, connection throws(LibvirtError) in
            var list: UnsafeMutablePointer<virNetworkPtr?>?
            let count = functions.virConnectListAllNetworks(connection, &list, 0)
            try Self.check(count >= 0, functions, "list the networks")
            defer { free(list) }
            var networks: [Network] = []
            for index in 0..<Int(count) {
                guard let pointer = list?[index] else { continue }
                defer { _ = functions.virNetworkFree(pointer) }
                do throws(LibvirtError) {
                    let network = try Self.network(pointer, functions)
                    if network.config.handsOutDevices { networks.append(network) }
                } catch {
                    // One that has gone since it was listed is left out.
                    guard error.code == .noNetwork else { throw error }
                }
            }
            return networks.sorted { $0.config.name < $1.config.name }
        }
    }

    private static func network(
        _ pointer: virNetworkPtr, _ functions: sluice_libvirt
    ) throws(LibvirtError) -> Network {
        func description(_ flags: UInt32) throws(LibvirtError) -> NetworkDescription {
            guard let text = String(taking: functions.virNetworkGetXMLDesc(pointer, flags)) else {
                throw Library.lastError(functions, "read a network")
            }
            return try NetworkDescription(parsing: text)
        }
        let isActive = try isTrue(functions.virNetworkIsActive(pointer), functions, "read a network")
        let live = isActive ? try description(0) : nil
        let config: NetworkDescription
        // One that exists only while it is active has no other description.
        do throws(LibvirtError) {
            config = try description(VIR_NETWORK_XML_INACTIVE.rawValue)
        } catch {
            guard let live else { throw error }
            config = live
        }
        var autostart: Int32 = 0
        _ = functions.virNetworkGetAutostart(pointer, &autostart)
        var network = Network(config: config, live: live, isAutostarted: autostart == 1)
        // What a network of another kind has does not concern us.
        if isActive, config.handsOutDevices { network.ports = try checkedPorts(of: pointer, functions) }
        return network
    }

    private static func checkedPorts(
        of network: virNetworkPtr, _ functions: sluice_libvirt
    ) throws(LibvirtError) -> [NetworkPort] {
        var list: UnsafeMutablePointer<virNetworkPortPtr?>?
        let count = functions.virNetworkListAllPorts(network, &list, 0)
        if count < 0 {
            let error = Library.lastError(functions, "list the ports of a network")
            // VIR_ERR_NO_SUPPORT: not every driver of libvirt has ports (test:///default has none).
            guard error.number == 3 else { throw error }
            return []
        }
        defer { free(list) }
        var documents: [String] = []
        for index in 0..<Int(count) {
            guard let port = list?[index] else { continue }
            defer { _ = functions.virNetworkPortFree(port) }
            // One that has gone since it was listed is left out.
            if let text = String(taking: functions.virNetworkPortGetXMLDesc(port, 0)) { documents.append(text) }
        }
        return try documents.map { text throws(LibvirtError) in try NetworkPort(parsing: text) }
    }

    /// Defines a network, or defines it anew.
    public func define(_ network: NetworkDescription) async throws(LibvirtError) {
        let text = try network.element.document()
        try await call("define network \(network.name)", of: .networks) { functions, connection throws(LibvirtError) in
            guard let pointer = functions.virNetworkDefineXML(connection, text) else {
                throw Library.lastError(functions, "define network \(network.name)")
            }
            defer { _ = functions.virNetworkFree(pointer) }
            try Self.check(
                functions.virNetworkSetAutostart(pointer, 1) == 0, functions, "autostart network \(network.name)")
        }
    }

    /// Starts a network.
    public func start(network name: String) async throws(LibvirtError) {
        try await with(network: name, "start network \(name)") { functions, pointer throws(LibvirtError) in
            try Self.check(functions.virNetworkCreate(pointer) == 0, functions, "start network \(name)")
        }
    }

    /// Stops a network and starts it again as it is defined now. Its ports are claimed again, so that running domains
    /// keep what they have; one that is of a device that the network does not have any more is lost, and returned.
    ///
    /// libvirt takes the list of devices over only at a start, and forgets the ports then (networkStartNetwork in
    /// src/network/bridge_driver.c).
    public func restart(network name: String) async throws(LibvirtError) -> [NetworkPort] {
        try await with(network: name, "restart network \(name)") { functions, pointer throws(LibvirtError) in
            // Before anything is stopped: what cannot be read could not be claimed again.
            let ports = try Self.checkedPorts(of: pointer, functions)
            if try Self.isTrue(functions.virNetworkIsActive(pointer), functions, "read network \(name)") {
                try Self.check(functions.virNetworkDestroy(pointer) == 0, functions, "stop network \(name)")
            }
            try Self.check(functions.virNetworkCreate(pointer) == 0, functions, "start network \(name)")
            return ports.filter { port in
                guard let text = try? port.element.document() else { return true }
                let claimed = functions.virNetworkPortCreateXML(
                    pointer, text, VIR_NETWORK_PORT_CREATE_RECLAIM.rawValue)
                guard let claimed else {
                    functions.virResetLastError()
                    return true
                }
                _ = functions.virNetworkPortFree(claimed)
                return false
            }
        }
    }

    /// The ports of an active network.
    public func ports(of network: String) async throws(LibvirtError) -> [NetworkPort] {
        try await with(network: network, "list the ports of network \(network)") {
            functions, pointer throws(LibvirtError) in try Self.checkedPorts(of: pointer, functions)
        }
    }

    /// Takes a device out of what a network hands out: a port without a domain.
    public func claim(_ port: NetworkPort, of network: String) async throws(LibvirtError) {
        let text = try port.element.document()
        try await with(network: network, "claim a device of network \(network)") {
            functions, pointer throws(LibvirtError) in
            let claimed = functions.virNetworkPortCreateXML(pointer, text, VIR_NETWORK_PORT_CREATE_RECLAIM.rawValue)
            guard let claimed else { throw Library.lastError(functions, "claim a device of network \(network)") }
            _ = functions.virNetworkPortFree(claimed)
        }
    }

    /// Gives a network a device back.
    public func unclaim(port uuid: String, of network: String) async throws(LibvirtError) {
        try await with(network: network, "give network \(network) a device back") {
            functions, pointer throws(LibvirtError) in
            guard let port = functions.virNetworkPortLookupByUUIDString(pointer, uuid) else {
                // It has gone by itself.
                functions.virResetLastError()
                return
            }
            defer { _ = functions.virNetworkPortFree(port) }
            try Self.check(
                functions.virNetworkPortDelete(port, 0) == 0, functions, "give network \(network) a device back")
        }
    }

    private func with<Value: Sendable>(
        network name: String, _ what: String,
        _ body: @escaping @Sendable (sluice_libvirt, virNetworkPtr) throws(LibvirtError) -> Value
    ) async throws(LibvirtError) -> Value {
        try await call(what, of: .networks) { functions, connection throws(LibvirtError) in
            guard let pointer = functions.virNetworkLookupByName(connection, name) else {
                throw Library.lastError(functions, what)
            }
            defer { _ = functions.virNetworkFree(pointer) }
            return try body(functions, pointer)
        }
    }
}
