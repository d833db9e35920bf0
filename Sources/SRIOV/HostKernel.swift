public import Netlink
public import PCI

/// The kernel of a host: this one, a recorded one, or a simulated one.
///
/// The conformance suite in SluiceTesting says what is expected of an implementation.
public protocol HostKernel: Sendable {
    /// The files of /sys and /proc.
    var files: any FileTree { get }
    /// Writes to /sys and /proc.
    var writer: any DeviceWriter { get }

    /// All links of the host's own network namespace.
    func links(_ detail: RouteNetlink.Detail) throws(NetlinkError) -> [Link]
    /// One link.
    func link(index: Int32, _ detail: RouteNetlink.Detail) throws(NetlinkError) -> Link
    /// The IP addresses of the host's own network namespace.
    func addresses() throws(NetlinkError) -> [LinkAddress]
    /// The links that carry a default route.
    func defaultRouteLinks() throws(NetlinkError) -> Set<Int32>
    /// The other network namespaces and their links.
    func otherNamespaces() -> [NetworkNamespace]

    /// Sets a link up or down.
    func setUp(_ isUp: Bool, link index: Int32) throws(NetlinkError)
    /// Waits until a link has a carrier: drivers refuse rates before they know the port's speed.
    func waitForCarrier(link index: Int32, deadline: Duration) throws(NetlinkError)
    /// Sets a link's MTU, bytes.
    func setMTU(_ mtu: UInt32, link index: Int32) throws(NetlinkError)
    /// Keeps a link from making itself an IPv6 address.
    func disableIPv6AddressGeneration(link index: Int32) throws(NetlinkError)
    /// Sets all settings of VFs together; the first refusal ends it.
    func set(_ changes: [VirtualFunctionChange], of index: Int32) throws(NetlinkError)
    /// Sets every setting by itself and returns the refused ones.
    func setEach(_ changes: [VirtualFunctionChange], of index: Int32) -> [RefusedSetting]

    /// The eswitch mode of a PF; nil when its driver has none.
    func eswitchMode(of address: PCIAddress) throws(NetlinkError) -> Devlink.EswitchMode?
    /// Changes the eswitch mode of a PF.
    func setEswitchMode(_ mode: Devlink.EswitchMode, of address: PCIAddress) throws(NetlinkError)

    /// The package of dynamic device personalisation that a network card has loaded (devlink's `fw.app.name`); nil for one
    /// that has none or does not say.
    func firmwarePackage(of address: PCIAddress) throws(NetlinkError) -> String?

    /// Loads a kernel module; does nothing when it is loaded already.
    func loadModule(_ name: String) throws(SRIOVError)

    /// Whether a process has a VFIO group open, by trying to open it: the kernel lets only one do so (EBUSY). nil where
    /// that cannot be tried, and the processes have to be looked through.
    func isOpen(group: Int) -> Bool?

    /// Whether a block device is in exclusive use (mounted, a member of a volume), by trying to open it so (O_EXCL). nil
    /// where that cannot be tried.
    func isExclusivelyOpen(node: String) -> Bool?
}

extension HostKernel {
    /// Nothing is known.
    public func firmwarePackage(of address: PCIAddress) throws(NetlinkError) -> String? { nil }
    /// Nothing is known.
    public func isOpen(group: Int) -> Bool? { nil }
    /// Nothing is known.
    public func isExclusivelyOpen(node: String) -> Bool? { nil }
}

/// A setting that the driver refused.
public struct RefusedSetting: Sendable, Hashable {
    /// The setting: one VF, one attribute.
    public var change: VirtualFunctionChange
    /// The kernel's answer.
    public var error: NetlinkError

    /// Whether it is a rate.
    var isRate: Bool { change.settings.minTxRateMbps != nil || change.settings.maxTxRateMbps != nil }

    /// Makes a report of a refusal.
    public init(change: VirtualFunctionChange, error: NetlinkError) {
        self.change = change
        self.error = error
    }
}

/// A network namespace other than the host's own, and what is in it.
public struct NetworkNamespace: Sendable, Hashable {
    /// Its name below /run/netns, if it has one.
    public var name: String?
    /// A process that lives in it.
    public var pid: Int32?
    /// The container that the process belongs to (64 hexadecimal digits of its cgroup's name).
    public var container: String?
    /// Its links.
    public var links: [Link]

    /// Makes a namespace.
    public init(name: String?, pid: Int32?, container: String?, links: [Link]) {
        self.name = name
        self.pid = pid
        self.container = container
        self.links = links
    }
}
