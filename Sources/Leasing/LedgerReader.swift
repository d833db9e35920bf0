internal import GRDB
internal import Glibc
internal import PCI
public import SRIOV

/// Reads a ledger.
public struct LedgerReader: Sendable {
    private let database: DatabaseQueue

    init(database: DatabaseQueue) { self.database = database }

    /// Opens the ledger of a state folder only to look: nothing is locked, made or migrated. nil where there is none.
    ///
    /// Throws `ledger.unusable` when it cannot be read.
    public static func open(in state: StateDirectory) throws(LeasingError) -> LedgerReader? {
        let path = "\(state.path)/ledger.db"
        guard access(path, F_OK) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw LeasingError(
                .ledger, "cannot read \(path): \(String(cString: strerror(errno)))",
                remedy: "run as root, or ask the agent as a member of its group")
        }
        do {
            var configuration = Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(5)
            let database = try DatabaseQueue(path: path, configuration: configuration)
            guard try database.read(LedgerSchema.migrator.hasCompletedMigrations) else {
                throw LeasingError(
                    .ledger, "\(path) is of another version",
                    remedy: "start the agent, or change a lease as root: either brings it up to date")
            }
            return LedgerReader(database: database)
        } catch let error as LeasingError {
            throw error
        } catch {
            throw Ledger.failure(error, path)
        }
    }

    /// Whether a state folder has a ledger.
    public static func exists(in state: StateDirectory) -> Bool { access("\(state.path)/ledger.db", F_OK) == 0 }

    /// The notes after a number, oldest first.
    public func notes(after number: Int64, limit: Int) throws(LeasingError) -> [Note] {
        try read { db in try LedgerRecord.notes(db, after: number, limit: limit) }
    }

    /// The numbers of the last transition and the last note.
    public func lastNumbers() throws(LeasingError) -> (transition: Int64, note: Int64) {
        try read { db in try LedgerRecord.lastNumbers(db) }
    }

    /// All leases that have not ended, and those that ended last and may be asked for again.
    public func leases() throws(LeasingError) -> [Lease] {
        try read { db in try LedgerRecord.leases(db) }
    }

    /// All leases that have not ended.
    public func openLeases() throws(LeasingError) -> [Lease] { try leases().filter(\.state.isOpen) }

    /// What happened after a number, oldest first.
    public func transitions(after number: Int64, limit: Int) throws(LeasingError) -> [Transition] {
        try read { db in try LedgerRecord.transitions(db, after: number, limit: limit) }
    }

    /// What happened to a function or a lease, oldest first; at most the latest thousand.
    public func history(of function: FunctionIdentity? = nil, lease: String? = nil) throws(LeasingError) -> [Transition]
    {
        try read { db in try LedgerRecord.transitions(db, function: function, lease: lease) }
    }

    /// What happened to a device or a lease, oldest first; to all of them when nil.
    ///
    /// A device is meant by its address, name, MAC or serial, or by its identity in the ledger; one that is gone is
    /// still known by the address at which it was leased last.
    public func history(of selector: String?, on host: Host) throws(LeasingError) -> [Transition] {
        guard let selector else { return try history() }
        let byLease = try history(lease: selector.uppercased())
        if !byLease.isEmpty { return byLease }
        if case .function(let function)? = try? DeviceSelector(host: host).device(selector) {
            let found = try history(of: FunctionIdentity(function, in: host))
            if !found.isEmpty { return found }
        }
        let byIdentity = try history(of: FunctionIdentity(rawValue: selector))
        if !byIdentity.isEmpty { return byIdentity }
        guard let address = PCIAddress(selector) else { return [] }
        return try read { db in try LedgerRecord.transitions(db, at: address) }
    }

    private func read<Value>(_ body: (Database) throws -> Value) throws(LeasingError) -> Value {
        do {
            return try database.read(body)
        } catch {
            throw Ledger.failure(error, database.path)
        }
    }
}
