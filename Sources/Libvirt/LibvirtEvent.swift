/// Something that libvirt tells.
public enum LibvirtEvent: Sendable, Hashable {
    /// A domain was defined, started, stopped and so on.
    case domain(name: String, uuid: String, change: DomainChange)
    /// A device has come into a running domain.
    case deviceAdded(uuid: String, alias: String)
    /// A device has left a running domain.
    case deviceRemoved(uuid: String, alias: String)
    /// The guest refused to let a device go.
    case deviceRemovalFailed(uuid: String, alias: String)
    /// A network was defined, undefined, started or stopped.
    case network(name: String)
    /// The connection has ended.
    case closed

    /// What happened to a domain (`virDomainEventType`).
    public enum DomainChange: Int32, Sendable, Hashable {
        /// It was defined, or defined anew.
        case defined = 0
        /// It is not defined any more.
        case undefined
        /// It runs.
        case started
        /// It was paused.
        case suspended
        /// It goes on.
        case resumed
        /// It has ended.
        case stopped
        /// Its guest shuts down.
        case shutdown
        /// The power management of its guest has suspended it.
        case suspendedByGuest
        /// It crashed.
        case crashed
    }
}
