/// What libvirt tells a hook script, as its manual (docs/hooks.rst) has it.
public enum HookCall: Sendable, Hashable {
    /// A domain is about to start; nothing of the host was touched yet.
    case domainPrepares(DomainDescription)
    /// A domain's devices are set and bound, and QEMU is about to start.
    case domainStarts(DomainDescription)
    /// Whatever a domain had of the host is given back.
    case domainReleased(DomainDescription)
    /// A domain's interface gets something of a network, or the network is told of one that has.
    case portCreated(NetworkPort, network: String)
    /// It gives it back.
    case portDeleted(NetworkPort, network: String)
    /// Anything else.
    case other

    /// Reads the arguments and the standard input of a hook script: `qemu` or `network`, the operation, and the document.
    ///
    /// Throws `libvirt.malformed`.
    public init(kind: String, operation: String, document: String) throws(LibvirtError) {
        switch (kind, operation) {
        case ("qemu", "prepare"): self = .domainPrepares(try DomainDescription(parsing: document))
        case ("qemu", "start"): self = .domainStarts(try DomainDescription(parsing: document))
        case ("qemu", "release"): self = .domainReleased(try DomainDescription(parsing: document))
        case ("network", "port-created"), ("network", "plugged"):
            let (port, network) = try Self.port(document)
            self = .portCreated(port, network: network)
        case ("network", "port-deleted"), ("network", "unplugged"):
            let (port, network) = try Self.port(document)
            self = .portDeleted(port, network: network)
        case ("qemu", _), ("network", _): self = .other
        default: throw LibvirtError(.malformed, "a hook is of qemu or network, not of \(kind.prefix(100))")
        }
    }

    private static func port(_ document: String) throws(LibvirtError) -> (NetworkPort, String) {
        let data = try XMLElement(parsing: document)
        guard data.name == "hookData", let port = data.first("networkport"),
            let name = data.first("network", "name")?.text
        else { throw LibvirtError(.malformed, "<\(data.name)> is not what libvirt gives a network's hook") }
        return (try NetworkPort(port), name)
    }
}
