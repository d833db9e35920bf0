public import Netlink
public import PCI

/// The kernel of a recorded host, or of a directory that looks like a host: it can be read, not changed.
public struct RecordedKernel: HostKernel {
    /// See `HostKernel`.
    public let files: any FileTree
    /// See `HostKernel`.
    public var writer: any DeviceWriter { self }

    /// A host of recorded files.
    public init(files: any FileTree) { self.files = files }

    /// See `HostKernel`.
    public func links(_ detail: RouteNetlink.Detail) throws(NetlinkError) -> [Link] {
        let recorded = messages("/netlink/links")
        if !recorded.isEmpty { return recorded.compactMap { Link($0) } }
        do throws(PCIError) {
            return try SysfsLinks(files: files).links()
        } catch {
            throw NetlinkError(.socket, "list the links", errno: error.errno, text: error.description)
        }
    }

    /// See `HostKernel`.
    public func link(index: Int32, _ detail: RouteNetlink.Detail) throws(NetlinkError) -> Link {
        guard let link = try links(detail).first(where: { $0.index == index }) else {
            throw refusal("read link \(index)")
        }
        return link
    }

    /// See `HostKernel`.
    public func addresses() throws(NetlinkError) -> [LinkAddress] {
        messages("/netlink/addresses").compactMap { LinkAddress($0) }
    }

    /// See `HostKernel`.
    public func defaultRouteLinks() throws(NetlinkError) -> Set<Int32> {
        let text = (try? files.text("/netlink/routes/default")) ?? nil
        return Set((text ?? "").split(separator: " ").compactMap { Int32($0) })
    }

    /// See `HostKernel`.
    public func otherNamespaces() -> [NetworkNamespace] {
        let folder = "/netlink/namespaces"
        let names = ((try? files.entries(folder)) ?? nil) ?? []
        return names.sorted().map { entry in
            func text(_ name: String) -> String? {
                ((try? files.text("\(folder)/\(entry)/\(name)")) ?? nil).flatMap { $0.isEmpty ? nil : $0 }
            }
            return NetworkNamespace(
                name: text("name"), pid: text("pid").flatMap { Int32($0) }, container: text("container"),
                links: messages("\(folder)/\(entry)").compactMap { Link($0) })
        }
    }

    /// The recorded messages below a path: the attributes `0`, `1`, ….
    private func messages(_ path: String) -> [ByteReader] {
        let names = ((try? files.entries(path)) ?? nil) ?? []
        return names.compactMap { Int($0) }.sorted().compactMap { number in
            // An interface with 1,000 VFs fills 300 kB.
            ((try? files.contents("\(path)/\(number)", limit: 16 << 20)) ?? nil).map { ByteReader($0) }
        }
    }

    private func refusal(_ operation: String) -> NetlinkError {
        NetlinkError(.refused, operation, text: "a recorded host cannot be changed")
    }

    /// Always refused.
    public func setUp(_ isUp: Bool, link index: Int32) throws(NetlinkError) { throw refusal("set link \(index)") }
    /// Always refused: a recorded host does not change.
    public func waitForCarrier(link index: Int32, deadline: Duration) throws(NetlinkError) {
        throw refusal("wait for link \(index)")
    }
    /// Always refused.
    public func setMTU(_ mtu: UInt32, link index: Int32) throws(NetlinkError) { throw refusal("set link \(index)") }
    /// Always refused.
    public func disableIPv6AddressGeneration(link index: Int32) throws(NetlinkError) {
        throw refusal("set link \(index)")
    }
    /// Always refused.
    public func set(_ changes: [VirtualFunctionChange], of index: Int32) throws(NetlinkError) {
        throw refusal("set VFs of link \(index)")
    }
    /// Always refused.
    public func setEach(_ changes: [VirtualFunctionChange], of index: Int32) -> [RefusedSetting] {
        changes.map { RefusedSetting(change: $0, error: refusal("set VF \($0.index)")) }
    }
    /// Not recorded.
    public func eswitchMode(of address: PCIAddress) throws(NetlinkError) -> Devlink.EswitchMode? { nil }
    /// Always refused.
    public func setEswitchMode(_ mode: Devlink.EswitchMode, of address: PCIAddress) throws(NetlinkError) {
        throw refusal("set the eswitch mode of \(address)")
    }
    /// Always refused.
    public func loadModule(_ name: String) throws(SRIOVError) {
        throw SRIOVError(.noModule, "a recorded host cannot be changed")
    }
}

extension RecordedKernel: DeviceWriter {
    /// Always refused.
    public func write(_ requests: [WriteRequest], deadline: Duration) -> [PCIError?] {
        requests.map {
            PCIError(.recorded, $0.operation, path: $0.path, detail: "a recorded host cannot be changed")
        }
    }
}
