internal import GRDB
internal import Netlink
internal import PCI
internal import SRIOV

/// Leases and transitions as rows.
enum LedgerRecord {
    static func write(_ change: Ledger.Change, _ db: Database) throws -> [Transition] {
        if change.path.first == .some(nil) { try insert(change.lease, db) } else { try update(change.lease, db) }
        var transitions: [Transition] = []
        for (from, to) in zip(change.path, change.path.dropFirst()) {
            guard let to else { continue }
            transitions.append(try write(change, from: from, to: to, db))
        }
        return transitions
    }

    private static func insert(_ lease: Lease, _ db: Database) throws {
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO lease (id, function, address, name, pool, consumer, boot, state, reason, settings, driver,
                    before, driverBefore, created, changed, deadlineBoot, deadlineMilliseconds, deadlineTime, ttlSeconds,
                    wasHeld, idempotencyKey, fingerprint, attachment, returnsTo, pod)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        try statement.execute(arguments: [
            lease.id, lease.function.rawValue, lease.address.description, lease.name, lease.pool,
            lease.consumer.description, lease.boot, lease.state.rawValue, lease.reason,
            SettingsText.encode(lease.settings), lease.driver.map(encode), lease.before.map(SettingsText.encode),
            lease.driverBefore, lease.created, lease.changed, lease.deadline?.boot, lease.deadline?.milliseconds,
            lease.deadline?.wall, lease.ttlSeconds, lease.wasHeld ? 1 : 0, lease.idempotencyKey, lease.fingerprint,
            lease.attachment, lease.returnsTo?.description, lease.pod,
        ])
    }

    private static func update(_ lease: Lease, _ db: Database) throws {
        let statement = try db.cachedStatement(
            sql: """
                UPDATE lease SET boot = ?, address = ?, name = ?, state = ?, reason = ?, settings = ?, driver = ?, before = ?,
                    driverBefore = ?, changed = ?, deadlineBoot = ?, deadlineMilliseconds = ?, deadlineTime = ?,
                    wasHeld = ?, idempotencyKey = ?, returnsTo = ?, pod = ? WHERE id = ?
                """)
        try statement.execute(arguments: [
            lease.boot, lease.address.description, lease.name, lease.state.rawValue, lease.reason,
            SettingsText.encode(lease.settings), lease.driver.map(encode), lease.before.map(SettingsText.encode),
            lease.driverBefore, lease.changed, lease.deadline?.boot, lease.deadline?.milliseconds,
            lease.deadline?.wall, lease.wasHeld ? 1 : 0, lease.idempotencyKey,
            lease.returnsTo?.description, lease.pod, lease.id,
        ])
    }

    private static func write(
        _ change: Ledger.Change, from: LeaseState?, to: LeaseState, _ db: Database
    ) throws -> Transition {
        let lease = change.lease
        let statement = try db.cachedStatement(
            sql: """
                INSERT INTO transition (time, lease, function, address, consumer, "from", "to", actor, cause, before,
                    after)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
        try statement.execute(arguments: [
            lease.changed, lease.id, lease.function.rawValue, lease.address.description, lease.consumer.description,
            from?.rawValue, to.rawValue, change.cause.actor, change.cause.text,
            change.before.map(SettingsText.encode), change.after.map(SettingsText.encode),
        ])
        let number = db.lastInsertedRowID
        if number % 1_000 == 0 { try prune(db, number) }
        return Transition(
            number: number, time: lease.changed, lease: lease.id, function: lease.function, address: lease.address,
            from: from, to: to, cause: change.cause, consumer: lease.consumer, before: change.before,
            after: change.after)
    }

    private static func prune(_ db: Database, _ number: Int64) throws {
        try db.execute(
            sql: "DELETE FROM transition WHERE number <= ?", arguments: [number - Int64(LedgerSchema.keptTransitions)])
        try db.execute(
            sql: """
                DELETE FROM lease WHERE state = 'free' AND changed < (SELECT changed FROM lease WHERE state = 'free'
                    ORDER BY changed DESC LIMIT 1 OFFSET ?)
                """, arguments: [LedgerSchema.keptLeases])
    }

    static func leases(_ db: Database) throws -> [Lease] {
        try Row.fetchAll(
            db,
            sql: """
                SELECT * FROM lease WHERE state <> 'free' UNION ALL
                SELECT * FROM (SELECT * FROM lease WHERE state = 'free' AND idempotencyKey IS NOT NULL
                    ORDER BY changed DESC LIMIT ?)
                """, arguments: [LedgerSchema.keptLeases]
        ).map(lease)
    }

    static func transitions(_ db: Database, function: FunctionIdentity?, lease: String?) throws -> [Transition] {
        try Row.fetchAll(
            db,
            sql: """
                SELECT * FROM transition WHERE (?1 IS NULL OR function = ?1) AND (?2 IS NULL OR lease = ?2)
                ORDER BY number DESC LIMIT 1000
                """, arguments: [function?.rawValue, lease]
        ).reversed().map(transition)
    }

    static func transitions(_ db: Database, at address: PCIAddress) throws -> [Transition] {
        try Row.fetchAll(
            db, sql: "SELECT * FROM transition WHERE address = ? ORDER BY number DESC LIMIT 1000",
            arguments: [address.description]
        ).reversed().map(transition)
    }

    static func transitions(_ db: Database, after number: Int64, limit: Int) throws -> [Transition] {
        try Row.fetchAll(
            db, sql: "SELECT * FROM transition WHERE number > ? ORDER BY number LIMIT ?", arguments: [number, limit]
        ).map(transition)
    }

    static func write(_ note: Note, _ db: Database) throws -> Note {
        var note = note
        try db.execute(
            sql: "INSERT INTO note (time, kind, subject, text) VALUES (?, ?, ?, ?)",
            arguments: [note.time, note.kind, note.subject, note.text])
        note.number = db.lastInsertedRowID
        try db.execute(
            sql: "DELETE FROM note WHERE number <= ?", arguments: [note.number - Int64(LedgerSchema.keptNotes)])
        return note
    }

    static func notes(_ db: Database, after number: Int64, limit: Int) throws -> [Note] {
        try Row.fetchAll(
            db, sql: "SELECT * FROM note WHERE number > ? ORDER BY number LIMIT ?", arguments: [number, limit]
        ).map { row in
            var note = Note(time: row["time"], kind: row["kind"], subject: row["subject"], text: row["text"])
            note.number = row["number"]
            return note
        }
    }

    static func lastNumbers(_ db: Database) throws -> (transition: Int64, note: Int64) {
        (
            try Int64.fetchOne(db, sql: "SELECT max(number) FROM transition") ?? 0,
            try Int64.fetchOne(db, sql: "SELECT max(number) FROM note") ?? 0
        )
    }

    /// A row that this program cannot have written is an error, not a lease that is forgotten.
    private static func lease(_ row: Row) throws -> Lease {
        guard let address = PCIAddress(row["address"] as String), let consumer = Consumer(row["consumer"] as String),
            let state = LeaseState(rawValue: row["state"] as String)
        else {
            throw LeasingError(
                .ledger, "the ledger's lease \(row["id"] as String) cannot be understood",
                remedy: "it was written by another version or by hand; correct the row with sqlite3")
        }
        var lease = Lease(
            id: row["id"], function: FunctionIdentity(rawValue: row["function"]), address: address, name: row["name"],
            pool: row["pool"], consumer: consumer, time: row["created"])
        lease.boot = row["boot"]
        lease.state = state
        lease.reason = row["reason"]
        lease.settings = settings(row["settings"]) ?? VirtualFunctionSettings()
        lease.driver = (row["driver"] as String?).map(driver)
        lease.before = settings(row["before"])
        lease.driverBefore = row["driverBefore"]
        lease.changed = row["changed"]
        if let boot = row["deadlineBoot"] as String? {
            lease.deadline = BootTime(boot: boot, milliseconds: row["deadlineMilliseconds"], wall: row["deadlineTime"])
        }
        lease.ttlSeconds = row["ttlSeconds"]
        lease.wasHeld = row["wasHeld"] == 1
        lease.idempotencyKey = row["idempotencyKey"]
        lease.fingerprint = row["fingerprint"]
        lease.attachment = row["attachment"]
        lease.returnsTo = (row["returnsTo"] as String?).flatMap(Consumer.init)
        lease.pod = row["pod"]
        return lease
    }

    private static func transition(_ row: Row) throws -> Transition {
        guard let address = PCIAddress(row["address"] as String), let consumer = Consumer(row["consumer"] as String),
            let to = LeaseState(rawValue: row["to"] as String)
        else {
            throw LeasingError(.ledger, "the ledger's transition \(row["number"] as Int64) cannot be understood")
        }
        return Transition(
            number: row["number"], time: row["time"], lease: row["lease"],
            function: FunctionIdentity(rawValue: row["function"]), address: address,
            from: (row["from"] as String?).flatMap { LeaseState(rawValue: $0) }, to: to,
            cause: Cause(actor: row["actor"], row["cause"]), consumer: consumer, before: settings(row["before"]),
            after: settings(row["after"]))
    }

    private static func settings(_ text: String?) -> VirtualFunctionSettings? {
        text.map { SettingsText.decode($0.split(separator: " ").map(String.init)) }
    }

    private static func encode(_ driver: DeclaredDriver) -> String {
        switch driver {
        case .vfio(let name): name
        case .kernel(let name): name.map { "kernel:\($0)" } ?? "kernel"
        }
    }

    private static func driver(_ text: String) -> DeclaredDriver {
        if text == "kernel" { return .kernel(nil) }
        return text.hasPrefix("kernel:") ? .kernel(String(text.dropFirst(7))) : .vfio(text)
    }
}
