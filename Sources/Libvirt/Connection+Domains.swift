internal import CLibvirt
internal import Glibc

/// A domain as libvirt has it.
public struct Domain: Sendable, Hashable {
    /// Its name.
    public var name: String
    /// Its UUID, lower case with hyphens.
    public var uuid: String
    /// How it runs now; nil when it does not.
    public var live: DomainDescription?
    /// How it is to start next; nil for one that exists only while it runs.
    public var config: DomainDescription?

    /// Whether it runs.
    public var isActive: Bool { live != nil }
}

/// Which of a domain's two descriptions is changed.
public struct DomainTarget: OptionSet, Sendable, Hashable {
    /// `virDomainDeviceModifyFlags`.
    public let rawValue: UInt32
    /// Makes a target of libvirt's flags.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The running domain.
    public static let live = DomainTarget(rawValue: VIR_DOMAIN_AFFECT_LIVE.rawValue)
    /// What it is at its next start.
    public static let config = DomainTarget(rawValue: VIR_DOMAIN_AFFECT_CONFIG.rawValue)
}

extension Connection {
    /// All domains, by name.
    public func domains() async throws(LibvirtError) -> [Domain] {
        try await call("list the domains") { functions, connection throws(LibvirtError) in
            var list: UnsafeMutablePointer<virDomainPtr?>?
            let count = functions.virConnectListAllDomains(connection, &list, 0)
            try Self.check(count >= 0, functions, "list the domains")
            defer { free(list) }
            var domains: [Domain] = []
            for index in 0..<Int(count) {
                guard let pointer = list?[index] else { continue }
                defer { _ = functions.virDomainFree(pointer) }
                do throws(LibvirtError) {
                    domains.append(try Self.domain(pointer, functions))
                } catch {
                    // One that has ended since it was listed is left out. Of another it must not look as if it were not there.
                    guard error.code == .noDomain else { throw error }
                }
            }
            return domains.sorted { $0.name < $1.name }
        }
    }

    /// A domain by its name or UUID. Throws `domain.notFound` when there is none.
    public func domain(_ name: String) async throws(LibvirtError) -> Domain {
        try await with(domain: name, "look at domain \(name)") { functions, pointer throws(LibvirtError) in
            try Self.domain(pointer, functions)
        }
    }

    private static func domain(_ pointer: virDomainPtr, _ functions: sluice_libvirt) throws(LibvirtError) -> Domain {
        guard let (name, uuid) = EventSink.identity(of: pointer) else {
            throw Library.lastError(functions, "read a domain")
        }
        func description(_ flags: UInt32) throws(LibvirtError) -> DomainDescription {
            guard let text = String(taking: functions.virDomainGetXMLDesc(pointer, flags)) else {
                throw Library.lastError(functions, "read domain \(name)")
            }
            return try DomainDescription(parsing: text)
        }
        var domain = Domain(name: name, uuid: uuid)
        // One that cannot be asked must not look as if it did not run: what it has would be given to others.
        if try isTrue(functions.virDomainIsActive(pointer), functions, "read domain \(name)") {
            domain.live = try description(0)
        }
        if try isTrue(functions.virDomainIsPersistent(pointer), functions, "read domain \(name)") {
            // With its secrets, so that what is defined anew keeps them.
            domain.config = try description(VIR_DOMAIN_XML_INACTIVE.rawValue | VIR_DOMAIN_XML_SECURE.rawValue)
        }
        return domain
    }

    /// Attaches a device to a domain.
    public func attach(
        _ device: XMLElement, to domain: String, _ target: DomainTarget, patience: Duration = Connection.patience
    ) async throws(LibvirtError) {
        let text = try device.document()
        try await with(domain: domain, "attach to domain \(domain)", patience: patience) {
            functions, pointer throws(LibvirtError) in
            let result = functions.virDomainAttachDeviceFlags(pointer, text, target.rawValue)
            try Self.check(result == 0, functions, "attach to domain \(domain)")
        }
    }

    /// Asks a domain to let a device go. A running guest may take its time, or refuse: events tell.
    public func detach(_ device: XMLElement, from domain: String, _ target: DomainTarget) async throws(LibvirtError) {
        let text = try device.document()
        try await with(domain: domain, "detach from domain \(domain)") { functions, pointer throws(LibvirtError) in
            let result = functions.virDomainDetachDeviceFlags(pointer, text, target.rawValue)
            try Self.check(result == 0, functions, "detach from domain \(domain)")
        }
    }

    /// Changes what a domain is at its next start: read and defined anew in one go, so that nobody's change is lost in
    /// between. What libvirt would not accept is refused, and nothing changes.
    public func changeConfig(
        of domain: String, _ change: @escaping @Sendable (inout DomainDescription) -> Void
    ) async throws(LibvirtError) {
        try await with(domain: domain, "define domain \(domain)") { functions, pointer throws(LibvirtError) in
            guard var description = try Self.domain(pointer, functions).config else {
                throw LibvirtError(.refused, "domain \(domain) exists only while it runs")
            }
            change(&description)
            let text = try description.element.document()
            let connection = functions.virDomainGetConnect(pointer)
            let defined = functions.virDomainDefineXMLFlags(connection, text, VIR_DOMAIN_DEFINE_VALIDATE.rawValue)
            guard let defined else { throw Library.lastError(functions, "define domain \(domain)") }
            _ = functions.virDomainFree(defined)
        }
    }

    private func with<Value: Sendable>(
        domain name: String, _ what: String, patience: Duration = Connection.patience,
        _ body: @escaping @Sendable (sluice_libvirt, virDomainPtr) throws(LibvirtError) -> Value
    ) async throws(LibvirtError) -> Value {
        try await call(what, patience: patience) { functions, connection throws(LibvirtError) in
            guard let pointer = try Self.lookUp(name, functions, connection, what) else {
                throw LibvirtError(
                    .noDomain, "there is no domain \(name)", remedy: "sluice vm list shows the domains")
            }
            defer { _ = functions.virDomainFree(pointer) }
            return try body(functions, pointer)
        }
    }

    /// A domain by its name or, when no name is like it, by its UUID; nil when there is none.
    private static func lookUp(
        _ name: String, _ functions: sluice_libvirt, _ connection: virConnectPtr, _ what: String
    ) throws(LibvirtError) -> virDomainPtr? {
        if let pointer = functions.virDomainLookupByName(connection, name) { return pointer }
        var error = Library.lastError(functions, what)
        guard error.code == .noDomain else { throw error }
        let isUUID = name.utf8.count == 36 && name.allSatisfy { $0.isHexDigit || $0 == "-" }
        guard isUUID else { return nil }
        if let pointer = functions.virDomainLookupByUUIDString(connection, name) { return pointer }
        error = Library.lastError(functions, what)
        guard error.code == .noDomain else { throw error }
        return nil
    }
}
