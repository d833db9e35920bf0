public import Netlink
public import PCI
public import SRIOV
internal import Synchronization
internal import SystemPackage

/// A kernel in memory, for tests of planners and of back ends: it keeps the rules that the conformance suite states.
public final class FakeKernel: HostKernel, FileTree, DeviceWriter {
    /// How a port behaves.
    public struct Port: Sendable {
        /// Its address.
        public var address: PCIAddress
        /// Its netdev.
        public var netdev: String
        /// Its permanent MAC address.
        public var mac: MACAddress
        /// Its NUMA node.
        public var node: Int
        /// How many VFs it can have.
        public var totalVFs: Int
        /// The settings that its driver does not know: their names as in the host file.
        public var unsupported: Set<String>
        /// How many VFs the driver enables at most, whatever it is asked for.
        public var grantsAtMost: Int
        /// The driver of the port.
        public var driver: String
        /// The driver of its VFs.
        public var vfDriver: String

        /// Makes a port that behaves like an igb: seven VFs, no link state.
        public init(
            address: PCIAddress, netdev: String, mac: MACAddress, node: Int = 0, totalVFs: Int = 7,
            unsupported: Set<String> = ["linkState"], grantsAtMost: Int = .max, driver: String = "igb",
            vfDriver: String = "igbvf"
        ) {
            self.address = address
            self.netdev = netdev
            self.mac = mac
            self.node = node
            self.totalVFs = totalVFs
            self.unsupported = unsupported
            self.grantsAtMost = grantsAtMost
            self.driver = driver
            self.vfDriver = vfDriver
        }
    }

    struct VF: Sendable {
        var driver: String?
        var override: String?
        var settings = VirtualFunctionSettings()
        var resets = 0
    }

    struct PortState: Sendable {
        var port: Port
        var driver: String?
        var isUp = false
        var mtu: UInt32 = 1500
        var autoprobe = true
        var vfs: [VF] = []
        var index: Int32
    }

    struct State: Sendable {
        var ports: [PortState]
        var hasIOMMU = true
        var modules: Set<String> = []
        var holders: [PCIAddress: Int32] = [:]
        /// Processes and when they were started, clock ticks since boot.
        var processes: [Int32: UInt64] = [:]
        var slaves: [String: String] = [:]
        var defaultRoute: String?
        var packages: [PCIAddress: String] = [:]
        var writes: [String] = []
        var messages = 0
    }

    let state: Mutex<State>

    /// A host with ports.
    public init(ports: [Port], hasIOMMU: Bool = true) {
        let states = ports.enumerated().map { PortState(port: $1, driver: $1.driver, index: Int32($0 + 2)) }
        state = Mutex(State(ports: states, hasIOMMU: hasIOMMU))
    }

    /// A host like the lab's: four ports with seven VFs each, two on each node.
    public static func lab() -> FakeKernel {
        let buses: [(UInt8, Int)] = [(0x41, 0), (0x42, 0), (0x81, 1), (0x82, 1)]
        return FakeKernel(
            ports: buses.enumerated().compactMap { number, place in
                PCIAddress(bus: place.0, device: 0, function: 0).map { address in
                    Port(
                        address: address, netdev: "ens\(10 + number)",
                        mac: MACAddress(rawValue: 0x025c_0000_0000 + UInt64(number)), node: place.1)
                }
            })
    }

    // MARK: What tests do to it and ask of it

    /// Lets a port's driver enable at most some VFs from now on, whatever it is asked for.
    public func grant(atMost count: Int, of netdev: String) {
        state.withLock { state in
            for index in state.ports.indices where state.ports[index].port.netdev == netdev {
                state.ports[index].port.grantsAtMost = count
            }
        }
    }

    /// Lets a process have a VF's VFIO group open, until it is released with nil.
    public func hold(_ address: PCIAddress, by pid: Int32?) {
        state.withLock { $0.holders[address] = pid }
    }

    /// Lets a process be there, started at a time, clock ticks since boot.
    public func startProcess(_ pid: Int32, at ticks: UInt64) {
        state.withLock { $0.processes[pid] = ticks }
    }

    /// How often each VF of a port was reset.
    public func resets(of netdev: String) -> [Int] {
        state.withLock { $0.ports.first { $0.port.netdev == netdev }?.vfs.map(\.resets) ?? [] }
    }

    /// Lets a network card say that it has loaded a package of dynamic device personalisation.
    public func load(_ package: String, into address: PCIAddress) {
        state.withLock { $0.packages[address] = package }
    }

    /// Enslaves a port's netdev to a bridge.
    public func enslave(_ netdev: String, to bridge: String) {
        state.withLock { $0.slaves[netdev] = bridge }
    }

    /// Sends the default route through a port.
    public func setDefaultRoute(_ netdev: String?) {
        state.withLock { $0.defaultRoute = netdev }
    }

    /// The paths that were written to, in order.
    public var writes: [String] { state.withLock { $0.writes } }
    /// How many messages changed a link.
    public var messages: Int { state.withLock { $0.messages } }

    // MARK: HostKernel

    /// See `HostKernel`.
    public var files: any FileTree { self }
    /// See `HostKernel`.
    public var writer: any DeviceWriter { self }

    /// See `HostKernel`.
    public func links(_ detail: RouteNetlink.Detail) throws(NetlinkError) -> [Link] {
        state.withLock { state in
            var links = state.ports.compactMap { port in port.driver == nil ? nil : link(of: port, detail, state) }
            for (number, bridge) in Set(state.slaves.values).sorted().enumerated() {
                var link = Link(index: Int32(100 + number), name: bridge)
                link.kind = "bridge"
                links.append(link)
            }
            return links
        }
    }

    private func link(of port: PortState, _ detail: RouteNetlink.Detail, _ state: State) -> Link {
        var link = Link(index: port.index, name: port.port.netdev)
        link.address = HardwareAddress(bytes: port.port.mac.bytes)
        link.permanentAddress = link.address
        link.mtu = port.mtu
        link.flags = port.isUp ? [.up, .running] : []
        link.state = port.isUp ? .up : .down
        link.device = .init(bus: "pci", name: "\(port.port.address)")
        if let bridge = state.slaves[port.port.netdev] {
            let number = Set(state.slaves.values).sorted().firstIndex(of: bridge) ?? 0
            link.master = Int32(100 + number)
            link.slaveKind = "bridge"
        }
        guard detail != .linksOnly else { return link }
        link.virtualFunctionCount = UInt32(port.vfs.count)
        link.virtualFunctions = port.vfs.enumerated().map {
            VirtualFunctionReport(index: UInt32($0), settings: $1.settings)
        }
        return link
    }

    /// See `HostKernel`.
    public func link(index: Int32, _ detail: RouteNetlink.Detail) throws(NetlinkError) -> Link {
        guard let link = try links(detail).first(where: { $0.index == index }) else {
            throw NetlinkError(.refused, "read link \(index)", errno: Errno(rawValue: 19))
        }
        return link
    }

    /// See `HostKernel`.
    public func addresses() throws(NetlinkError) -> [LinkAddress] { [] }

    /// See `HostKernel`.
    public func defaultRouteLinks() throws(NetlinkError) -> Set<Int32> {
        state.withLock { state in
            Set(state.ports.filter { $0.port.netdev == state.defaultRoute }.map(\.index))
        }
    }

    /// See `HostKernel`.
    public func otherNamespaces() -> [NetworkNamespace] { [] }

    /// See `HostKernel`.
    public func setUp(_ isUp: Bool, link index: Int32) throws(NetlinkError) {
        try change(index, "set link \(index)") { $0.isUp = isUp }
    }

    /// See `HostKernel`.
    public func waitForCarrier(link index: Int32, deadline: Duration) throws(NetlinkError) {
        guard try link(index: index, .linksOnly).isUp else {
            throw NetlinkError(.timeout, "wait for a carrier of link \(index)")
        }
    }

    /// See `HostKernel`.
    public func setMTU(_ mtu: UInt32, link index: Int32) throws(NetlinkError) {
        try change(index, "set the MTU of link \(index)") { $0.mtu = mtu }
    }

    /// See `HostKernel`.
    public func disableIPv6AddressGeneration(link index: Int32) throws(NetlinkError) {
        try change(index, "set link \(index)") { _ in }
    }

    private func change(_ index: Int32, _ operation: String, _ body: (inout PortState) -> Void) throws(NetlinkError) {
        let isFound = state.withLock { state in
            guard let port = state.ports.firstIndex(where: { $0.index == index && $0.driver != nil }) else {
                return false
            }
            state.messages += 1
            body(&state.ports[port])
            return true
        }
        guard isFound else { throw NetlinkError(.refused, operation, errno: Errno(rawValue: 19)) }
    }

    /// See `HostKernel`. Like the kernel, it works through the settings in order and stops at the first refusal.
    public func set(_ changes: [VirtualFunctionChange], of index: Int32) throws(NetlinkError) {
        let error = state.withLock { state -> NetlinkError? in
            state.messages += 1
            guard let port = state.ports.firstIndex(where: { $0.index == index && $0.driver != nil }) else {
                return NetlinkError(.refused, "set VFs of link \(index)", errno: Errno(rawValue: 19))
            }
            for change in changes.flatMap(\.separated) {
                if let errno = Self.set(change, &state.ports[port]) {
                    return NetlinkError(.refused, "set VFs of link \(index)", errno: errno)
                }
            }
            return nil
        }
        if let error { throw error }
    }

    private static func set(_ change: VirtualFunctionChange, _ port: inout PortState) -> Errno? {
        guard port.vfs.indices.contains(Int(change.index)) else { return .invalidArgument }
        if !port.port.unsupported.isDisjoint(with: change.names) { return Errno(rawValue: 95) }
        if let mac = change.settings.mac, mac.isMulticast { return .invalidArgument }
        if (change.settings.vlans ?? []).contains(where: { $0.id > 4094 || $0.qos > 7 }) { return .invalidArgument }
        let observed = port.vfs[Int(change.index)].settings
        port.vfs[Int(change.index)].settings = change.settings.filled(from: observed)
        return nil
    }

    /// See `HostKernel`.
    public func setEach(_ changes: [VirtualFunctionChange], of index: Int32) -> [RefusedSetting] {
        changes.flatMap(\.separated).compactMap { change in
            do throws(NetlinkError) {
                try set([change], of: index)
                return nil
            } catch {
                return RefusedSetting(change: change, error: error)
            }
        }
    }

    /// No port has an eswitch.
    public func eswitchMode(of address: PCIAddress) throws(NetlinkError) -> Devlink.EswitchMode? { nil }

    /// No port has an eswitch.
    public func setEswitchMode(_ mode: Devlink.EswitchMode, of address: PCIAddress) throws(NetlinkError) {
        throw NetlinkError(.refused, "set the eswitch mode of \(address)", errno: Errno(rawValue: 95))
    }

    /// See `HostKernel`.
    public func firmwarePackage(of address: PCIAddress) throws(NetlinkError) -> String? {
        state.withLock { state in
            state.messages += 1
            return state.packages[address]
        }
    }

    /// See `HostKernel`.
    public func loadModule(_ name: String) throws(SRIOVError) {
        _ = state.withLock { $0.modules.insert(name) }
    }
}
