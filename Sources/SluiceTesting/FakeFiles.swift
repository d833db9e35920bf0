internal import Netlink
public import PCI
internal import Synchronization
internal import SystemPackage

// The files of /sys and /proc that the fake kernel shows.
extension FakeKernel {
    /// See `FileTree`.
    public func bytes(_ path: String) throws(PCIError) -> [UInt8]? {
        state.withLock { state in text(path, state).map { Array(($0 + "\n").utf8) } }
    }

    /// See `FileTree`.
    public func contents(_ path: String, limit: Int) throws(PCIError) -> [UInt8]? { try bytes(path) }

    /// See `FileTree`.
    public func link(_ path: String) throws(PCIError) -> String? {
        state.withLock { state -> String? in
            if let pid = pid(in: path) {
                return state.holders.filter { $0.value == pid }.keys.first.map { "/dev/vfio/\(group($0))" }
            }
            guard let (address, name) = split(path), let function = function(address, state) else { return nil }
            switch name {
            case "driver": return function.driver.map { "../../bus/pci/drivers/\($0)" }
            case "iommu_group": return state.hasIOMMU ? "../../kernel/iommu_groups/\(group(address))" : nil
            case "physfn": return function.parent.map { "../\($0)" }
            default:
                guard name.hasPrefix("virtfn"), let index = Int(name.dropFirst(6)) else { return nil }
                return function.vfs.indices.contains(index) ? "../\(function.vfs[index])" : nil
            }
        }
    }

    /// See `FileTree`.
    public func entries(_ path: String) throws(PCIError) -> [String]? {
        state.withLock { state -> [String]? in
            switch path {
            case "/sys/bus/pci/devices":
                return state.ports.flatMap { port in [port.port.address] + addresses(port) }.map(\.description)
            case "/sys/devices/system/node": return Set(state.ports.map(\.port.node)).map { "node\($0)" } + ["possible"]
            case "/sys/kernel/iommu_groups":
                return state.hasIOMMU
                    ? state.ports.flatMap { [$0.port.address] + addresses($0) }.map { "\(group($0))" } : []
            case "/proc": return state.holders.values.map(String.init) + ["self", "1"]
            default: break
            }
            if path.hasPrefix("/sys/bus/pci/drivers/") {
                let name = String(path.dropFirst("/sys/bus/pci/drivers/".count))
                let builtIn = state.ports.contains { $0.port.driver == name }
                return builtIn || state.modules.contains(name) ? ["bind", "unbind"] : nil
            }
            if pid(in: path + "/0") != nil { return ["0"] }
            guard let (address, name) = split(path), let function = function(address, state) else { return nil }
            if name == "net" { return function.netdev.map { [$0] } }
            guard name.isEmpty else { return nil }
            var names = ["vendor", "device", "class", "numa_node", "driver_override"]
            if function.driver != nil { names.append("driver") }
            if state.hasIOMMU { names.append("iommu_group") }
            if function.parent != nil { names += ["physfn", "reset"] }
            if function.netdev != nil { names.append("net") }
            if function.port != nil {
                names += ["sriov_totalvfs", "sriov_numvfs", "sriov_offset", "sriov_stride", "sriov_drivers_autoprobe"]
            }
            return names + function.vfs.indices.map { "virtfn\($0)" }
        }
    }

    /// A PF or a VF as its folder shows it.
    private struct Folder {
        var driver: String?
        var override: String?
        var node: Int
        var parent: PCIAddress?
        var netdev: String?
        var port: PortState?
        var vfs: [PCIAddress] = []
    }

    private func function(_ address: PCIAddress, _ state: State) -> Folder? {
        for port in state.ports {
            if port.port.address == address {
                return Folder(
                    driver: port.driver, node: port.port.node, netdev: port.driver == nil ? nil : port.port.netdev,
                    port: port, vfs: addresses(port))
            }
            if let index = addresses(port).firstIndex(of: address) {
                let vf = port.vfs[index]
                return Folder(
                    driver: vf.driver, override: vf.override, node: port.port.node, parent: port.port.address,
                    netdev: vf.driver == port.port.vfDriver ? "\(port.port.netdev)v\(index)" : nil)
            }
        }
        return nil
    }

    /// The first VF is 128 routing identifiers away, the others two from one another, as with an 82576.
    func addresses(_ port: PortState) -> [PCIAddress] {
        port.vfs.indices.compactMap { port.port.address.virtualFunction($0, offset: 128, stride: 2) }
    }

    private func group(_ address: PCIAddress) -> Int { Int(address.routingID) }

    /// The process of `/proc/PID/fd/0`, when it holds a function.
    private func pid(in path: String) -> Int32? {
        let parts = path.split(separator: "/")
        guard parts.count == 4, parts[0] == "proc", parts[2] == "fd" else { return nil }
        return Int32(parts[1])
    }

    private func split(_ path: String) -> (PCIAddress, String)? {
        let prefix = "/sys/bus/pci/devices/"
        guard path.hasPrefix(prefix) else { return nil }
        let parts = path.dropFirst(prefix.count).split(separator: "/", maxSplits: 1)
        return parts.first.flatMap { PCIAddress($0) }.map { ($0, parts.count > 1 ? String(parts[1]) : "") }
    }

    private func text(_ path: String, _ state: State) -> String? {
        if path.hasPrefix("/sys/devices/system/node/node"),
            let node = path.split(separator: "/").dropLast().last?.dropFirst(4)
        {
            return String(node)
        }
        if path.hasPrefix("/proc/"), path.hasSuffix("/comm") { return "holder" }
        if path.hasPrefix("/proc/"), path.hasSuffix("/stat"), let pid = Int32(path.dropFirst(6).dropLast(5)),
            let ticks = state.processes[pid]
        {
            // Field 22 is the start time; those before it do not matter here.
            return "\(pid) (process) S" + String(repeating: " 0", count: 18) + " \(ticks) 0"
        }
        guard let (address, name) = split(path), let function = function(address, state) else { return nil }
        switch name {
        case "vendor": return "0x8086"
        case "device": return function.port == nil ? "0x10ca" : "0x10c9"
        case "class": return "0x020000"
        case "numa_node": return "\(function.node)"
        case "driver_override": return function.override ?? "(null)"
        default: break
        }
        guard let port = function.port else { return nil }
        switch name {
        case "sriov_totalvfs": return "\(port.port.totalVFs)"
        case "sriov_numvfs": return "\(port.vfs.count)"
        case "sriov_offset": return "128"
        case "sriov_stride": return "2"
        case "sriov_drivers_autoprobe": return port.autoprobe ? "1" : "0"
        default: return nil
        }
    }

    // MARK: DeviceWriter

    /// See `DeviceWriter`. A write that the kernel would hold up is reported as hung at once.
    public func write(_ requests: [WriteRequest], deadline: Duration) -> [PCIError?] {
        requests.map { request in
            state.withLock { state in
                state.writes.append(request.path)
                switch store(request, &state) {
                case nil: return nil
                case .hung: return PCIError(.hung, request.operation, path: request.path, detail: "a VF is held")
                case .errno(let number):
                    return PCIError(.write, request.operation, path: request.path, errno: Errno(rawValue: number))
                }
            }
        }
    }

    private enum Failure {
        case errno(Int32)
        case hung
    }

    private func store(_ request: WriteRequest, _ state: inout State) -> Failure? {
        if request.path == "/sys/bus/pci/drivers_probe" { return probe(request.value, &state) }
        if request.path.hasPrefix("/sys/bus/pci/drivers/") { return storeDriver(request, &state) }
        guard let (address, name) = split(request.path), let (port, vf) = place(address, state) else {
            return .errno(2)
        }
        switch (name, vf) {
        case ("driver_override", let vf?):
            state.ports[port].vfs[vf].override = request.value == "\n" ? nil : request.value
            return nil
        case ("sriov_drivers_autoprobe", nil):
            guard let value = Int(request.value), (0...1).contains(value) else { return .errno(22) }
            state.ports[port].autoprobe = value == 1
            return nil
        case ("sriov_numvfs", nil): return storeCount(request.value, port, &state)
        // drivers/pci/pci-sysfs.c, reset_store: 1 and nothing else. What the PF administers is not the VF's, and stays.
        case ("reset", let vf?):
            guard Int(request.value) == 1 else { return .errno(22) }
            state.ports[port].vfs[vf].resets += 1
            return nil
        default: return .errno(13)
        }
    }

    /// drivers/pci/iov.c, sriov_numvfs_store.
    private func storeCount(_ value: String, _ index: Int, _ state: inout State) -> Failure? {
        let port = state.ports[index]
        guard let count = UInt16(value).map(Int.init) else { return .errno(22) }
        if count > port.port.totalVFs { return .errno(34) }
        if count == port.vfs.count { return nil }
        if port.driver == nil { return .errno(2) }
        if count == 0 {
            if addresses(port).contains(where: { state.holders[$0] != nil }) { return .hung }
            state.ports[index].vfs = []
            return nil
        }
        if !port.vfs.isEmpty { return .errno(16) }
        let driver = port.autoprobe ? port.port.vfDriver : nil
        var vf = VF(driver: driver, override: nil)
        vf.settings.mac = MACAddress(rawValue: 0)
        vf.settings.vlans = []
        (vf.settings.minTxRateMbps, vf.settings.maxTxRateMbps) = (0, 0)
        (vf.settings.spoofCheck, vf.settings.trust, vf.settings.linkState) = (true, false, .auto)
        state.ports[index].vfs = Array(repeating: vf, count: min(count, port.port.grantsAtMost))
        return nil
    }

    private func place(_ address: PCIAddress, _ state: State) -> (port: Int, vf: Int?)? {
        for (index, port) in state.ports.enumerated() {
            if port.port.address == address { return (index, nil) }
            if let vf = addresses(port).firstIndex(of: address) { return (index, vf) }
        }
        return nil
    }

    /// drivers_probe: an override is the only driver that matches; without one a VF of a port with autoprobe off
    /// matches none.
    private func probe(_ value: String, _ state: inout State) -> Failure? {
        guard let address = PCIAddress(value), let (port, vf) = place(address, state) else { return .errno(19) }
        guard let vf else {
            state.ports[port].driver = state.ports[port].port.driver
            return nil
        }
        guard state.ports[port].vfs[vf].driver == nil else { return nil }
        let own = state.ports[port].port.vfDriver
        if let override = state.ports[port].vfs[vf].override {
            if override == own || state.modules.contains(override) { state.ports[port].vfs[vf].driver = override }
        } else if state.ports[port].autoprobe {
            state.ports[port].vfs[vf].driver = own
        }
        return nil
    }

    private func storeDriver(_ request: WriteRequest, _ state: inout State) -> Failure? {
        guard request.path.hasSuffix("/unbind"), let address = PCIAddress(request.value),
            let (port, vf) = place(address, state)
        else { return .errno(19) }
        if let vf {
            if state.holders[address] != nil { return .hung }
            state.ports[port].vfs[vf].driver = nil
        } else {
            // Without its driver a port loses its VFs.
            state.ports[port].driver = nil
            state.ports[port].vfs = []
        }
        return nil
    }
}
