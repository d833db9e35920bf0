/// What went wrong with pools and leases, in a sentence that helps.
public struct LeasingError: Error, Sendable, Hashable {
    /// The stable code of a failure, for machines; Documentation/errors.md lists them.
    public struct Code: Sendable, Hashable, RawRepresentable {
        /// The stable string, such as `pool.exhausted`.
        public let rawValue: String
        /// Makes a code of its string.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// No pool has the name.
        public static let noPool = Code(rawValue: "pool.notFound")
        /// The pool has fewer free functions than were asked for.
        public static let exhausted = Code(rawValue: "pool.exhausted")
        /// A function belongs to two pools.
        public static let overlap = Code(rawValue: "pool.overlap")
        /// The pool is for other consumers.
        public static let purpose = Code(rawValue: "pool.purpose")
        /// The consumer has as many leases as the pool allows.
        public static let limit = Code(rawValue: "pool.limit")
        /// A request contradicts itself or cannot be understood.
        public static let badRequest = Code(rawValue: "request.invalid")
        /// An idempotency key was used for another request.
        public static let keyReused = Code(rawValue: "request.keyReused")
        /// There is no such lease.
        public static let noLease = Code(rawValue: "lease.notFound")
        /// The lease is in a state in which this cannot be done.
        public static let state = Code(rawValue: "lease.state")
        /// The function cannot be prepared as asked.
        public static let unprepared = Code(rawValue: "lease.notPrepared")
        /// The lease's holder has not let go.
        public static let stillHeld = Code(rawValue: "lease.stillHeld")
        /// The function could not be cleaned.
        public static let unclean = Code(rawValue: "vf.quarantined")
        /// Another lease has the identifier that was made up.
        static let identifierTaken = Code(rawValue: "lease.identifierTaken")
        /// The ledger cannot be read or written.
        public static let ledger = Code(rawValue: "ledger.unusable")
        /// Another process owns the ledger.
        public static let ledgerLocked = Code(rawValue: "ledger.locked")
        /// The agent does not answer, or not as it should.
        public static let unreachable = Code(rawValue: "agent.unreachable")
        /// The caller may not do this.
        public static let forbidden = Code(rawValue: "request.forbidden")
    }

    /// The stable code.
    public var code: Code
    /// What went wrong.
    public var message: String
    /// What stands behind it, line by line: the functions of an exhausted pool and who has them.
    public var details: [String]
    /// What to do about it.
    public var remedy: String?

    /// Makes an error of its parts.
    public init(_ code: Code, _ message: String, details: [String] = [], remedy: String? = nil) {
        self.code = code
        self.message = message
        self.details = details
        self.remedy = remedy
    }
}

extension LeasingError: CustomStringConvertible {
    /// The message, its code, the details and the remedy, each on a line of its own.
    public var description: String {
        (["\(message)  [\(code.rawValue)]"] + details.map { "  \($0)" } + (remedy.map { ["  → \($0)"] } ?? []))
            .joined(separator: "\n")
    }
}
