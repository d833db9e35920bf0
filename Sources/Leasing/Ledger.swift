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
    /// Reads it, also while something is written.
    public let reader: LedgerReader
    /// Where it is, beside other records.
    let state: StateDirectory
    private let database: DatabaseQueue
    private let lock: LedgerLock
    private let waiting = Mutex(Waiting())
    private let onCommit: @Sendable ([Transition], [Note]) -> Void

    private struct Waiting {
        var commits: [Commit] = []
        var isWriting = false
    }

    private struct Commit {
        var changes: [Change]
        var notes: [Note]
        var continuation: CheckedContinuation<Written, any Error>
    }

    /// What a commit has written, with its numbers.
    private struct Written {
        var transitions: [Transition] = []
        var notes: [Note] = []
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
    /// The closure is called for everything that is written, in the order of the numbers, before whoever wrote it goes
    /// on. Another process that has the ledger open is waited for: commands have it for a moment.
    ///
    /// Throws `ledger.locked` when another process keeps it open, `ledger.unusable` when it cannot be used.
    public init(
        in state: StateDirectory, deadline: Duration = .seconds(5),
        onCommit: @escaping @Sendable ([Transition], [Note]) -> Void = { _, _ in }
    ) throws(LeasingError) {
        self.onCommit = onCommit
        self.state = state
        let path = "\(state.path)/ledger.db"
        do {
            try state.prepare()
            lock = try LedgerLock.take(path + ".lock", deadline: deadline)
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
            reader = LedgerReader(database: database)
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
    @discardableResult
    public func commit(_ changes: [Change]) async throws -> [Transition] {
        try await enqueue(changes, []).transitions
    }

    /// Writes notes on the host, all or none.
    public func note(_ notes: [Note]) async throws {
        if !notes.isEmpty { _ = try await enqueue([], notes) }
    }

    private func enqueue(_ changes: [Change], _ notes: [Note]) async throws -> Written {
        try await withCheckedThrowingContinuation { continuation in
            let isFirst = waiting.withLock { waiting in
                waiting.commits.append(Commit(changes: changes, notes: notes, continuation: continuation))
                defer { waiting.isWriting = true }
                return !waiting.isWriting
            }
            if isFirst, !startThread({ self.write() }) { write() }
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
            let results: Result<[Result<Written, any Error>], any Error> = Result {
                try database.write { db in
                    var results: [Result<Written, any Error>] = []
                    for commit in commits { results.append(try Self.write(commit, db)) }
                    return results
                }
            }
            switch results {
            case .success(let results):
                for (commit, result) in zip(commits, results) {
                    if case .success(let written) = result { onCommit(written.transitions, written.notes) }
                    commit.continuation.resume(with: result)
                }
            case .failure(let error):
                let failure = Self.failure(error, database.path)
                for commit in commits { commit.continuation.resume(throwing: failure) }
            }
        }
    }

    /// One commit among those of a transaction. What SQLite refuses is this commit's failure alone; a disk that takes
    /// nothing is the transaction's.
    private static func write(_ commit: Commit, _ db: Database) throws -> Result<Written, any Error> {
        var written = Written()
        do {
            try db.inSavepoint {
                for change in commit.changes { written.transitions += try LedgerRecord.write(change, db) }
                for note in commit.notes { written.notes.append(try LedgerRecord.write(note, db)) }
                return .commit
            }
            return .success(written)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_CONSTRAINT {
            let name = commit.changes.first?.lease.name ?? "the function"
            if error.extendedResultCode == .SQLITE_CONSTRAINT_PRIMARYKEY {
                return .failure(LeasingError(.identifierTaken, "the lease's identifier is in use", remedy: "ask again"))
            }
            return .failure(
                LeasingError(
                    .state, "\(name) is leased already", remedy: "ask again; sluice lease list shows who has it"))
        }
    }

    static func failure(_ error: any Error, _ path: String) -> LeasingError {
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

    static func take(_ path: String, deadline: Duration) throws(LeasingError) -> LedgerLock {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw LeasingError(
                .ledger, "cannot open \(path): \(String(cString: strerror(errno)))",
                remedy: "run as root, or choose another folder with --state")
        }
        let lock = LedgerLock(descriptor: descriptor)
        guard waitForLock(descriptor, deadline: deadline) else {
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
