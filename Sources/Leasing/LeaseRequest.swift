public import Netlink
public import PCI
public import SRIOV

/// What a consumer asks for.
public struct LeaseRequest: Sendable, Hashable {
    /// The pool to take from; nil when a function is named.
    public var pool: String?
    /// The one function that is wanted; nil when any of the pool will do.
    public var function: PCIAddress?
    /// How many functions; all or none.
    public var count = 1
    /// Where it is to be near; nil when it does not matter.
    public var near: Place?
    /// How the place counts; nil is the pool's.
    public var numa: DeclaredPool.NUMAPolicy?
    /// How leases are distributed; nil is the pool's.
    public var spread: DeclaredPool.Spread?
    /// Whether each function must be of another PF: the parts of a bond.
    public var antiAffinity = AntiAffinity.none
    /// What the function is to be set to beyond the pool's settings.
    public var settings = VirtualFunctionSettings()
    /// The driver that the consumer needs; nil is what the pool's purpose needs.
    public var driver: DeclaredDriver?
    /// Whom it is for.
    public var consumer: Consumer
    /// How long the lease lasts, seconds; nil until it is released or its consumer ends.
    public var ttlSeconds: Int64?
    /// What makes a repeated request the same one.
    public var idempotencyKey: String?
    /// What the consumer calls the lease, for whoever has to find it again.
    public var attachment: String?
    /// The pod that it is for, `NAMESPACE/NAME`; for people to read.
    public var pod: String?
    /// The kind of consumer that makes way when it has the wanted function, and gets it back when the lease ends, unless it
    /// is the lease's consumer itself; nil when nobody does. Only for one function by address.
    public var takesFrom: Consumer.Kind?

    /// A place in the host.
    public enum Place: Sendable, Hashable {
        /// A NUMA node.
        case node(Int)
        /// The nodes of some CPUs.
        case cpus(NumberSet)
        /// Near another device: the same PF, the same card, the same node, in this order.
        case device(PCIAddress)
    }

    /// What the functions of one request must not share.
    public enum AntiAffinity: String, Sendable, Hashable, CaseIterable {
        /// Nothing.
        case none
        /// Their PF.
        case physicalFunction
        /// Their card: the bus and device of their PF, with all its ports.
        case card
    }

    /// A request of one function.
    public init(pool: String? = nil, function: PCIAddress? = nil, consumer: Consumer) {
        self.pool = pool
        self.function = function
        self.consumer = consumer
    }

    /// The most functions that one request may ask for.
    public static let maximumCount = 256

    /// Throws `request.invalid` when it contradicts itself.
    public func check() throws(LeasingError) {
        func fail(_ message: String, _ remedy: String) throws(LeasingError) {
            throw LeasingError(.badRequest, message, remedy: remedy)
        }
        if (pool == nil) == (function == nil) {
            try fail("a lease is of a pool or of one function", "give pool or function, not both")
        }
        if !(1...Self.maximumCount).contains(count) {
            try fail("count \(count) is out of range (1–\(Self.maximumCount))", "ask for less, or several times")
        }
        if function != nil, count != 1 {
            try fail("one function cannot be leased \(count) times", "leave count out, or ask a pool")
        }
        if let ttlSeconds, !(1...(10 * 366 * 86_400)).contains(ttlSeconds) {
            try fail("ttlSeconds \(ttlSeconds) is out of range", "give 1 second to 10 years, or leave it out")
        }
        if let key = idempotencyKey, !(1...128).contains(key.utf8.count) {
            try fail("an idempotency key has 1 to 128 bytes, not \(key.utf8.count)", "use a UUID")
        }
        if count > 1, settings.mac != nil || settings.nodeGUID != nil || settings.portGUID != nil {
            try fail("one MAC address or GUID cannot be given to \(count) functions", "ask for them one by one")
        }
        if Consumer("\(consumer)") != consumer {
            try fail(
                "\(consumer.description.prefix(200)) is no consumer", "a name has no blanks, and a path begins with /")
        }
        if let minimum = settings.minTxRateMbps, let maximum = settings.maxTxRateMbps, maximum > 0, minimum > maximum {
            try fail("minTxRateMbps \(minimum) is above maxTxRateMbps \(maximum)", "give a limit above the guarantee")
        }
    }

    /// The request in one line, so that a repeated one is known; the key itself is not part of it.
    var fingerprint: String {
        var place = ""
        switch near {
        case .node(let node): place = "node\(node)"
        case .cpus(let cpus): place = "cpus\(cpus)"
        case .device(let device): place = "device\(device)"
        case nil: break
        }
        return [
            pool ?? "", function.map { "\($0)" } ?? "", "\(count)", place, numa?.rawValue ?? "", spread?.rawValue ?? "",
            antiAffinity.rawValue, SettingsText.encode(settings), driver.map { "\($0)" } ?? "",
            "\(consumer)", ttlSeconds.map { "\($0)" } ?? "",
        ].joined(separator: "|")
    }
}
