internal import GRDB

/// The ledger's tables. Times are milliseconds since 1970; settings are words as in the journal.
enum LedgerSchema {
    /// How many transitions are kept: a busy host's weeks.
    static let keptTransitions = 200_000
    /// How many leases that have ended are kept, so that repeated requests are known.
    static let keptLeases = 2_000

    /// How many notes on the host are kept.
    static let keptNotes = 20_000

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1 leases and transitions") { db in
            try db.execute(
                sql: """
                    CREATE TABLE lease (
                        id TEXT PRIMARY KEY NOT NULL,
                        function TEXT NOT NULL,
                        address TEXT NOT NULL,
                        name TEXT NOT NULL,
                        pool TEXT,
                        consumer TEXT NOT NULL,
                        boot TEXT NOT NULL,
                        state TEXT NOT NULL CHECK (state IN ('reserved', 'preparing', 'active', 'releasing',
                            'scrubbing', 'free', 'quarantined', 'lost')),
                        reason TEXT,
                        settings TEXT NOT NULL,
                        driver TEXT,
                        before TEXT,
                        driverBefore TEXT,
                        created INTEGER NOT NULL,
                        changed INTEGER NOT NULL,
                        deadlineBoot TEXT,
                        deadlineMilliseconds INTEGER,
                        deadlineTime INTEGER,
                        ttlSeconds INTEGER,
                        wasHeld INTEGER NOT NULL DEFAULT 0 CHECK (wasHeld IN (0, 1)),
                        idempotencyKey TEXT,
                        fingerprint TEXT
                    ) STRICT;
                    -- No function is ever given twice, whatever the program does.
                    CREATE UNIQUE INDEX openLeaseOfFunction ON lease (function) WHERE state <> 'free';
                    CREATE INDEX leaseByKey ON lease (idempotencyKey) WHERE idempotencyKey IS NOT NULL;
                    CREATE INDEX endedLeases ON lease (changed) WHERE state = 'free';
                    CREATE TABLE transition (
                        number INTEGER PRIMARY KEY AUTOINCREMENT,
                        time INTEGER NOT NULL,
                        lease TEXT NOT NULL,
                        function TEXT NOT NULL,
                        address TEXT NOT NULL,
                        consumer TEXT NOT NULL,
                        "from" TEXT,
                        "to" TEXT NOT NULL,
                        actor TEXT NOT NULL,
                        cause TEXT NOT NULL,
                        before TEXT,
                        after TEXT
                    ) STRICT;
                    CREATE INDEX transitionOfFunction ON transition (function, number);
                    CREATE INDEX transitionOfLease ON transition (lease, number);
                    """)
        }
        migrator.registerMigration("2 notes") { db in
            try db.execute(
                sql: """
                    CREATE TABLE note (
                        number INTEGER PRIMARY KEY AUTOINCREMENT,
                        time INTEGER NOT NULL,
                        kind TEXT NOT NULL,
                        subject TEXT NOT NULL,
                        text TEXT NOT NULL
                    ) STRICT;
                    """)
        }
        migrator.registerMigration("3 attachments") { db in
            try db.execute(sql: "ALTER TABLE lease ADD COLUMN attachment TEXT")
        }
        migrator.registerMigration("4 pods") { db in
            try db.execute(
                sql: "ALTER TABLE lease ADD COLUMN returnsTo TEXT; ALTER TABLE lease ADD COLUMN pod TEXT")
        }
        return migrator
    }
}
