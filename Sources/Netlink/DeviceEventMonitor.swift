internal import CLinux
internal import Glibc
internal import SystemPackage

/// What the kernel says of a device (uevent): it came, it went, a driver was bound to it.
public struct DeviceEvent: Sendable, Hashable {
    /// `add`, `remove`, `change`, `bind`, `unbind`, `move`, `online`, `offline`.
    public var action: String
    /// The device's path below /sys.
    public var path: String
    /// `pci`, `net`, `vfio`, ….
    public var subsystem: String

    /// Parses a uevent as the kernel sends it: `ACTION@PATH`, then NAME=VALUE, each ended by a zero byte. nil is what
    /// udev or somebody else has sent.
    package init?(_ datagram: [UInt8]) {
        let parts = datagram.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        guard let head = parts.first, let at = head.firstIndex(of: "@") else { return nil }
        action = String(head[..<at])
        path = String(head[head.index(after: at)...])
        guard let subsystem = parts.first(where: { $0.hasPrefix("SUBSYSTEM=") }) else { return nil }
        self.subsystem = String(subsystem.dropFirst(10))
    }
}

/// Waits for what the kernel says of devices.
public enum DeviceEventMonitor {
    /// Calls a closure with each event, on the calling thread, until it returns false. nil means that events were lost,
    /// and whoever keeps a picture of the devices reads them anew.
    ///
    /// Throws `NetlinkError` when the socket cannot be opened or read.
    public static func run(_ each: (DeviceEvent?) -> Bool) throws(NetlinkError) {
        // Group 1 is the kernel's own; udev's is 2.
        let socket = try NetlinkSocket.open(NETLINK_KOBJECT_UEVENT, groups: 1, timeoutSeconds: -1)
        while true {
            do throws(NetlinkError) {
                let datagram = try socket.receive("read device events")
                if let event = DeviceEvent(datagram), !each(event) { return }
            } catch {
                guard error.errno?.rawValue == ENOBUFS else { throw error }
                if !each(nil) { return }
            }
        }
    }
}
