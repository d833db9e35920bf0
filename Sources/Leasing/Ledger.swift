internal import Dispatch
internal import GRDB
internal import Glibc
public import Netlink
public import SRIOV
internal import Synchronization

/// The durable record of leases: one SQLite file a host, readable with the sqlite3 shell.
///
/// A commit returns when its changes are on disk. Changes that arrive while one commit is being written go into the next
/// one together, each for itself: one that is refused does not take the others with it.
public final class Ledger: Sendable {
    private let database: DatabaseQueue
    private let lock: LedgerLock
    private let queue = DispatchQueue(label: "ledger")
    private let waiting = Mutex(Waiting())

    private struct Waiting {
        var commits: [Commit] = []
        var isWriting = false
    }

    private struct Commit {
        var changes: [Change]
        var continuation: CheckedContinuation<[Transition], any Error>
    }

    /// A lease in its new state, and how it came to be there.
    public struct Change: Sendable {
        /// The lease after the change.
        public var lease: Lease
        /// The states that it passed through, with the one that it was in first; a new lease begins with nil.
        public var path: [LeaseState?]
        /// Who and why.
        public var cause: Cause
        /// The function's settings before, where they change.
        public var before: VirtualFunctionSettings?
        /// The function's settings after.
        public var after: VirtualFunctionSettings?
    }

    /// Opens the ledger of a state folder; it is made when there is none.
    ///
    /// Throws `ledger.locked` when another process has it open, `ledger.unusable` when it cannot be used.
    public init(in state: StateDirectory) throws(LeasingError) {
        let path = "\(state.path)/ledger.db"
        do {
            try state.prepare()
            lock = try LedgerLock.take(path + ".lock")
            var configuration = Configuration()
            configuration.label = "ledger"
            configuration.prepareDatabase { db in
                try db.execute(sql: "PRAGMA journal_mode = WAL")
                // A lease that was granted survives a power cut.
                try db.execute(sql: "PRAGMA synchronous = FULL")
                try db.execute(sql: "PRAGMA foreign_keys = ON")
            }
            // The file has the settings of tenants.
            let mask = umask(0o077)
            defer { umask(mask) }
            database = try DatabaseQueue(path: path, configuration: configuration)
            try LedgerSchema.migrator.migrate(database)
        } catch let error as LeasingError {
            throw error
        } catch {
            throw Self.failure(error, path)
        }
    }

    // MARK: Writing

    /// Writes changes, all or none, and returns when they are on disk, with their numbers.
    ///
    /// Throws `ledger.unusable` when the disk does not take them; nothing is recorded then.
    public func commit(_ changes: [Change]) async throws -> [Transition] {
        try await withCheckedThrowingContinuation { continuation in
            let isFirst = waiting.withLock { waiting in
                waiting.commits.append(Commit(changes: changes, continuation: continuation))
                defer { waiting.isWriting = true }
                return !waiting.isWriting
            }
            if isFirst { queue.async { self.write() } }
        }
    }

    private func write() {
        while true {
            let commits = waiting.withLock { waiting in
                defer { waiting.commits = [] }
                if waiting.commits.isEmpty { waiting.isWriting = false }
                return waiting.commits
            }
            guard !commits.isEmpty else { return }
            let results: Result<[Result<[Transition], any Error>], any Error> = Result {
                try database.write { db in
                    var results: [Result<[Transition], any Error>] = []
                    for commit in commits { results.append(try Self.write(commit.changes, db)) }
                    return results
                }
            }
            switch results {
            case .success(let results):
                for (commit, result) in zip(commits, results) { commit.continuation.resume(with: result) }
            case .failure(let error):
                let failure = Self.failure(error, database.path)
                for commit in commits { commit.continuation.resume(throwing: failure) }
            }
        }
    }

    /// One commit among those of a transaction. What SQLite refuses is this commit's failure alone; a disk that takes
    /// nothing is the transaction's.
    private static func write(_ changes: [Change], _ db: Database) throws -> Result<[Transition], any Error> {
        var transitions: [Transition] = []
        do {
            try db.inSavepoint {
                for change in changes { transitions += try LedgerRecord.write(change, db) }
                return .commit
            }
            return .success(transitions)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_CONSTRAINT {
            return .failure(
                LeasingError(
                    .state, "\(changes.first?.lease.name ?? "the function") is leased already",
                    remedy: "ask again; sluice lease list shows who has it"))
        }
    }

    /// Writes a note on the host, and returns it with its number.
    public func note(_ note: Note) throws(LeasingError) -> Note {
        do {
            return try database.write { db in try LedgerRecord.write(note, db) }
        } catch {
            throw Self.failure(error, database.path)
        }
    }

    // MARK: Reading

    /// The notes after a number, oldest first.
    public func notes(after number: Int64, limit: Int) throws(LeasingError) -> [Note] {
        try read { db in try LedgerRecord.notes(db, after: number, limit: limit) }
    }

    /// The numbers of the last transition and the last note.
    public func lastNumbers() throws(LeasingError) -> (transition: Int64, note: Int64) {
        try read { db in try LedgerRecord.lastNumbers(db) }
    }

    /// All leases that have not ended, and those that ended last.
    public func leases() throws(LeasingError) -> [Lease] {
        try read { db in try LedgerRecord.leases(db) }
    }

    /// What happened to a function or a lease, oldest first; at most the latest thousand.
    public func history(of function: FunctionIdentity? = nil, lease: String? = nil) throws(LeasingError) -> [Transition]
    {
        try read { db in try LedgerRecord.transitions(db, function: function, lease: lease) }
    }

    /// What happened after a number, oldest first.
    public func transitions(after number: Int64, limit: Int) throws(LeasingError) -> [Transition] {
        try read { db in try LedgerRecord.transitions(db, after: number, limit: limit) }
    }

    private func read<Value>(_ body: (Database) throws -> Value) throws(LeasingError) -> Value {
        do {
            return try database.read(body)
        } catch {
            throw Self.failure(error, database.path)
        }
    }

    private static func failure(_ error: any Error, _ path: String) -> LeasingError {
        guard let error = error as? DatabaseError else {
            return LeasingError(
                .ledger, "\(path) cannot be used: \(error)",
                remedy: "run as root, or choose another folder with --state")
        }
        let remedy =
            switch error.resultCode {
            case .SQLITE_FULL: "free space on its disk; nothing was changed, and the next request goes on"
            case .SQLITE_READONLY, .SQLITE_IOERR, .SQLITE_CANTOPEN, .SQLITE_PERM:
                "look whether its file system is full or mounted read-only; nothing was changed"
            case .SQLITE_NOTADB, .SQLITE_CORRUPT:
                "restore it from a backup, or move it away: the leases of running consumers are then found as foreign"
            default: "sqlite3 \(path) 'PRAGMA integrity_check' may say more"
            }
        return LeasingError(.ledger, "\(path): \(error.message ?? "\(error.resultCode)")", remedy: remedy)
    }
}

/// One process writes the ledger at a time; the kernel gives the lock back however it ends.
private final class LedgerLock: Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    static func take(_ path: String) throws(LeasingError) -> LedgerLock {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw LeasingError(
                .ledger, "cannot open \(path): \(String(cString: strerror(errno)))",
                remedy: "run as root, or choose another folder with --state")
        }
        let lock = LedgerLock(descriptor: descriptor)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = pread(descriptor, &bytes, 64, 0)
            let owner = String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
            throw LeasingError(
                .ledgerLocked, "another process has the ledger open: \(owner.isEmpty ? "unknown" : owner)",
                remedy: "ask the agent instead: it answers on /run/sluice/sluice.sock")
        }
        ftruncate(descriptor, 0)
        let text = Array("pid \(getpid())".utf8)
        pwrite(descriptor, text, text.count, 0)
        return lock
    }
}
