internal import Glibc
public import Netlink
public import PCI
internal import SystemPackage

/// The kernel that this program runs on.
///
/// Each request opens a connection of its own, which takes microseconds: ports are worked on in parallel, and a driver
/// that keeps one request waiting holds up no other.
public struct LinuxKernel: HostKernel {
    /// See `HostKernel`.
    public let files: any FileTree
    /// See `HostKernel`.
    public let writer: any DeviceWriter

    /// The running kernel, written to through a writer.
    public init(writer: any DeviceWriter) {
        files = LiveFileTree()
        self.writer = writer
    }

    /// See `HostKernel`.
    public func links(_ detail: RouteNetlink.Detail) throws(NetlinkError) -> [Link] {
        var connection = try RouteNetlink.open()
        return try connection.links(detail)
    }

    /// See `HostKernel`.
    public func link(index: Int32, _ detail: RouteNetlink.Detail) throws(NetlinkError) -> Link {
        var connection = try RouteNetlink.open()
        return try connection.link(index: index, detail)
    }

    /// See `HostKernel`.
    public func addresses() throws(NetlinkError) -> [LinkAddress] {
        var connection = try RouteNetlink.open()
        return try connection.addresses()
    }

    /// See `HostKernel`.
    public func defaultRouteLinks() throws(NetlinkError) -> Set<Int32> {
        var connection = try RouteNetlink.open()
        return try connection.defaultRouteLinks()
    }

    /// See `HostKernel`.
    public func otherNamespaces() -> [NetworkNamespace] { NamespaceScanner(files: files).namespaces() }

    /// See `HostKernel`.
    public func setUp(_ isUp: Bool, link index: Int32) throws(NetlinkError) {
        var connection = try RouteNetlink.open()
        try connection.setUp(isUp, link: index)
    }

    /// See `HostKernel`.
    public func waitForCarrier(link index: Int32, deadline: Duration) throws(NetlinkError) {
        try RouteNetlink.wait(forLink: index, toBe: "running", deadline: deadline) { $0.flags.contains(.running) }
    }

    /// See `HostKernel`.
    public func setMTU(_ mtu: UInt32, link index: Int32) throws(NetlinkError) {
        var connection = try RouteNetlink.open()
        try connection.setMTU(mtu, link: index)
    }

    /// See `HostKernel`.
    public func disableIPv6AddressGeneration(link index: Int32) throws(NetlinkError) {
        var connection = try RouteNetlink.open()
        try connection.disableIPv6AddressGeneration(link: index)
    }

    /// See `HostKernel`.
    public func set(_ changes: [VirtualFunctionChange], of index: Int32) throws(NetlinkError) {
        var connection = try RouteNetlink.open()
        try connection.set(changes, of: index)
    }

    /// See `HostKernel`.
    public func setEach(_ changes: [VirtualFunctionChange], of index: Int32) -> [RefusedSetting] {
        do throws(NetlinkError) {
            var connection = try RouteNetlink.open()
            return connection.setEach(changes, of: index).map { RefusedSetting(change: $0.change, error: $0.error) }
        } catch {
            return changes.map { RefusedSetting(change: $0, error: error) }
        }
    }

    /// See `HostKernel`.
    public func eswitchMode(of address: PCIAddress) throws(NetlinkError) -> Devlink.EswitchMode? {
        do throws(NetlinkError) {
            var devlink = try Devlink.open()
            return try devlink.eswitchMode(of: .init(bus: "pci", name: "\(address)"))
        } catch  where Self.isWithoutDevlink(error) {
            return nil
        }
    }

    /// See `HostKernel`.
    public func setEswitchMode(_ mode: Devlink.EswitchMode, of address: PCIAddress) throws(NetlinkError) {
        var devlink = try Devlink.open()
        try devlink.setEswitchMode(mode, of: .init(bus: "pci", name: "\(address)"))
    }

    /// See `HostKernel`.
    public func firmwarePackage(of address: PCIAddress) throws(NetlinkError) -> String? {
        do throws(NetlinkError) {
            var devlink = try Devlink.open()
            return try devlink.info(of: .init(bus: "pci", name: "\(address)")).versions["fw.app.name"]
        } catch  where Self.isWithoutDevlink(error) {
            return nil
        }
    }

    /// The driver does not have what was asked for, is not registered with devlink, or the kernel has no devlink.
    private static func isWithoutDevlink(_ error: NetlinkError) -> Bool {
        error.isUnsupported || error.errno?.rawValue == ENODEV || error.errno?.rawValue == ENOENT
    }

    /// See `HostKernel`.
    public func isOpen(group: Int) -> Bool? {
        switch NodeMonitor.probe("/dev/vfio/\(group)", O_RDWR | O_CLOEXEC) {
        case 0: false
        case EBUSY: true
        default: nil
        }
    }

    /// See `HostKernel`.
    public func isExclusivelyOpen(node: String) -> Bool? {
        let descriptor = open(node, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK)
        guard descriptor < 0 else {
            close(descriptor)
            return false
        }
        // What may not be looked at counts as in use.
        return [EBUSY, EPERM, EACCES].contains(errno) ? true : nil
    }

    /// See `HostKernel`.
    public func loadModule(_ name: String) throws(SRIOVError) {
        // The kernel loads modules through this program too; there is no system call that resolves dependencies.
        let configured = (try? files.text("/proc/sys/kernel/modprobe")) ?? nil
        let program = configured.flatMap { $0.isEmpty ? nil : $0 } ?? "/sbin/modprobe"
        var pid = pid_t()
        // The thread may be one of a pool, which have their signals blocked; modprobe is to hear of them.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let failed = withCStrings([program, "-q", "--", name]) { arguments in
            posix_spawn(&pid, program, nil, &attributes, arguments, environ)
        }
        var status: Int32 = failed
        if failed == 0 { while waitpid(pid, &status, 0) < 0, errno == EINTR {} }
        guard status == 0 else {
            throw SRIOVError(
                .noModule, "the kernel module \(name) cannot be loaded",
                remedy: "modprobe \(name) tells why; the module may be missing from this kernel, or refused by lockdown"
            )
        }
    }

    private func withCStrings<Result>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let pointers = strings.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers + [nil])
    }
}
