public import Netlink
public import PCI
public import SRIOV

/// One function given to one consumer.
public struct Lease: Sendable, Hashable, Identifiable {
    /// Six letters and digits, without those that look alike.
    public var id: String
    /// Which function, by hardware.
    public var function: FunctionIdentity
    /// Where the function was when it was last seen.
    public var address: PCIAddress
    /// The function's name when it was last seen: `eno50 vf 0`.
    public var name: String
    /// The pool that it was taken from; nil for a function in no pool.
    public var pool: String?
    /// Whom it is for.
    public var consumer: Consumer
    /// The boot in which it was made: a process or namespace of an earlier one is gone, whatever is called the same now.
    public var boot = ""
    /// Where it is in its life.
    public var state: LeaseState
    /// Why it is there, where that needs a word: the error that led to quarantine.
    public var reason: String?
    /// What the consumer's function is set to.
    public var settings = VirtualFunctionSettings()
    /// The driver that the consumer needs; nil leaves the one that is declared.
    public var driver: DeclaredDriver?
    /// What the function was set to before it was prepared.
    public var before: VirtualFunctionSettings?
    /// The driver that the function had before.
    public var driverBefore: String?
    /// When it was made, milliseconds since 1970.
    public var created: Int64
    /// When its state last changed, milliseconds since 1970.
    public var changed: Int64
    /// When it ends by itself, in the state it is in.
    public var deadline: BootTime?
    /// How long it lasts from when it is active, seconds; nil until it is released.
    public var ttlSeconds: Int64?
    /// Whether somebody was seen to use the function. A domain that has never started holds nothing yet.
    public var wasHeld = false
    /// What makes a repeated request the same one.
    public var idempotencyKey: String?
    /// What the request was, so that the key is not used for another.
    public var fingerprint: String?
    /// What the consumer calls it, for whoever has to find it again: a container's interface in a network.
    public var attachment: String?
    /// The pod that it is for, `NAMESPACE/NAME`, where somebody has said so.
    public var pod: String?
    /// Who gets the function, clean, when this lease ends; nil when it is free then. A pod's interface comes and goes while
    /// its function stays allocated to it.
    public var returnsTo: Consumer?

    /// Makes a lease that is reserved.
    public init(
        id: String, function: FunctionIdentity, address: PCIAddress, name: String, pool: String?, consumer: Consumer,
        time: Int64
    ) {
        self.id = id
        self.function = function
        self.address = address
        self.name = name
        self.pool = pool
        self.consumer = consumer
        state = .reserved
        created = time
        changed = time
    }

    /// A new lease's identifier: 30 random bits, as many as a host's leases need, in letters that are told apart.
    public static func newIdentifier() -> String {
        let letters = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
        var random = SystemRandomNumberGenerator()
        return String((0..<6).compactMap { _ in letters.randomElement(using: &random) })
    }
}

/// Who did something to a lease, and why.
public struct Cause: Sendable, Hashable {
    /// Who: `uid 1000`, `agent`.
    public var actor: String
    /// Why, in a few words.
    public var text: String

    /// Makes a cause.
    public init(actor: String, _ text: String) {
        self.actor = actor
        self.text = text
    }
}

/// One change of a lease's state, as the ledger keeps it.
public struct Transition: Sendable, Hashable {
    /// The number in the ledger, ascending.
    public var number: Int64
    /// When, milliseconds since 1970.
    public var time: Int64
    /// Which lease.
    public var lease: String
    /// Which function.
    public var function: FunctionIdentity
    /// Where the function was.
    public var address: PCIAddress
    /// The state before; nil for a new lease.
    public var from: LeaseState?
    /// The state after.
    public var to: LeaseState
    /// Who and why.
    public var cause: Cause
    /// Whom the lease is for.
    public var consumer: Consumer
    /// The function's settings before, where the change was about them.
    public var before: VirtualFunctionSettings?
    /// The function's settings after.
    public var after: VirtualFunctionSettings?

    /// Makes a transition of its parts.
    package init(
        number: Int64, time: Int64, lease: String, function: FunctionIdentity, address: PCIAddress, from: LeaseState?,
        to: LeaseState, cause: Cause, consumer: Consumer, before: VirtualFunctionSettings?,
        after: VirtualFunctionSettings?
    ) {
        self.number = number
        self.time = time
        self.lease = lease
        self.function = function
        self.address = address
        self.from = from
        self.to = to
        self.cause = cause
        self.consumer = consumer
        self.before = before
        self.after = after
    }
}
