/// A virtual machine with what it has of the host.
package struct DomainView: Codable, Sendable, Hashable {
    package var name: String
    package var uuid: String
    package var isActive: Bool
    package var interfaces: [Interface]
    /// The NUMA nodes that it is bound to; nil when it may run anywhere.
    package var numaNodes: [Int]?
    /// Whether all its functions are of the nodes that it is bound to; nil when that cannot be said.
    package var fitsNUMA: Bool?
    /// Places for devices that are attached while it runs.
    package var hotplugPorts: Int
    /// How many of them are free.
    package var freeHotplugPorts: Int

    /// A function that it has, or will have from a pool's network.
    package struct Interface: Codable, Sendable, Hashable {
        /// Where it is in the domain's documents: `live`, `config` or both.
        package var `in`: [String]
        package var alias: String?
        package var mac: String?
        package var network: String?
        package var address: String?
        package var name: String?
        package var pool: String?
        package var lease: String?
        package var numaNode: Int?

        package init(`in`: [String]) { self.`in` = `in` }
    }

    package init(name: String, uuid: String, isActive: Bool, hotplugPorts: Int, freeHotplugPorts: Int) {
        self.name = name
        self.uuid = uuid
        self.isActive = isActive
        self.hotplugPorts = hotplugPorts
        self.freeHotplugPorts = freeHotplugPorts
        interfaces = []
    }
}

/// A network that hands out functions of a pool.
package struct NetworkView: Codable, Sendable, Hashable {
    package var name: String
    package var pool: String
    /// What was done, or is to be done: `create`, `adopt`, `update`, `start`, `keep`.
    package var action: String
    package var functions: [String]
    package var vlan: Int?
    /// Networks that hand out functions of the pool too.
    package var rivals: [String]

    package init(
        name: String, pool: String, action: String, functions: [String], vlan: Int?, rivals: [String]
    ) {
        self.name = name
        self.pool = pool
        self.action = action
        self.functions = functions
        self.vlan = vlan
        self.rivals = rivals
    }
}

/// What a hook script of libvirt was called with.
package struct HookBody: Codable, Sendable, Hashable {
    /// `qemu` or `network`.
    package var kind: String
    /// The domain's or network's name.
    package var object: String
    package var operation: String
    /// The document that came on standard input.
    package var document: String

    package init(kind: String, object: String, operation: String, document: String) {
        self.kind = kind
        self.object = object
        self.operation = operation
        self.document = document
    }

    package static let keys: Set<String> = ["kind", "object", "operation", "document"]
}

/// A request to attach functions of a pool to a domain.
package struct AttachBody: Codable, Sendable, Hashable {
    package var pool: String
    package var count: Int?
    /// `live`, `config`, `both`; the running domain and its next start when it is left out.
    package var target: String?
    /// Whether each function is to be of another port.
    package var spread: String?
    package var numa: String?
    package var settings: SettingsView?
    /// The network of the virtio interface that stands in while the domain migrates.
    package var failover: String?

    package init(pool: String) { self.pool = pool }

    package static let keys: Set<String> = [
        "pool", "count", "target", "spread", "numa", "settings", "settings.mac", "settings.vlan", "settings.vlan.id",
        "settings.vlan.qos", "settings.vlan.protocol", "settings.minTxRateMbps", "settings.maxTxRateMbps",
        "settings.spoofCheck", "settings.trust", "settings.linkState", "settings.rssQuery", "failover",
    ]
}

/// A request to detach an interface from a domain.
package struct DetachBody: Codable, Sendable, Hashable {
    /// Which one: its MAC address, its alias, or its function's address or name.
    package var interface: String
    package var target: String?
    /// How long the guest may take, seconds.
    package var waitSeconds: Int?

    package init(interface: String) { self.interface = interface }

    package static let keys: Set<String> = ["interface", "target", "waitSeconds"]
}

/// A request for places where devices can be attached.
package struct PortsBody: Codable, Sendable, Hashable {
    /// How many places are to be free; the advisable number in all when it is left out.
    package var reserve: Int?

    package init(reserve: Int?) { self.reserve = reserve }

    package static let keys: Set<String> = ["reserve"]
}

/// What has become of such a request.
package struct PortsView: Codable, Sendable, Hashable {
    package var domain: String
    package var added: Int
    package var total: Int
    package var free: Int
    /// Whether it takes effect only when the domain is started the next time.
    package var isAtNextStart: Bool
    /// More places than the firmware is known to start with; nil when there are not.
    package var warning: String?

    package init(domain: String, added: Int, total: Int, free: Int, isAtNextStart: Bool, warning: String?) {
        self.domain = domain
        self.added = added
        self.total = total
        self.free = free
        self.isAtNextStart = isAtNextStart
        self.warning = warning
    }
}

/// Whether a domain can migrate.
package struct MigrationView: Codable, Sendable, Hashable {
    package var domain: String
    /// What keeps it from that; empty when nothing does.
    package var blockers: [String]

    package init(domain: String, blockers: [String]) {
        self.domain = domain
        self.blockers = blockers
    }
}
