internal import GRDB
internal import Glibc

/// What a lease costs at the least: commits of one row that is replaced and two that are added, each on disk before the
/// next begins. A lease's life has four: prepared for, active, on its way back, free.
func bareCommits(in folder: String, count: Int) throws {
    let path = "\(folder)/bare.db"
    for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) }
    defer { for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) } }
    var configuration = Configuration()
    configuration.prepareDatabase { db in
        try db.execute(sql: "PRAGMA journal_mode = WAL")
        try db.execute(sql: "PRAGMA synchronous = FULL")
    }
    let database = try DatabaseQueue(path: path, configuration: configuration)
    try database.write { db in
        try db.execute(
            sql: """
                CREATE TABLE lease (id TEXT PRIMARY KEY NOT NULL, state TEXT NOT NULL, data TEXT NOT NULL) STRICT;
                CREATE TABLE transition (number INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT NOT NULL) STRICT;
                """)
    }
    // As long as a lease and a transition are in the ledger.
    let (lease, transition) = (String(repeating: "x", count: 320), String(repeating: "x", count: 240))
    let clock = ContinuousClock()
    let start = clock.now
    for number in 0..<count {
        try database.write { db in
            try db.cachedStatement(sql: "INSERT OR REPLACE INTO lease VALUES (?, ?, ?)")
                .execute(arguments: ["L\(number / 4)", "active", lease])
            for _ in 0..<2 {
                try db.cachedStatement(sql: "INSERT INTO transition (data) VALUES (?)")
                    .execute(arguments: [transition])
            }
        }
    }
    let elapsed = clock.now - start
    let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
    print("commitsPerSecond \(Int(Double(count) / seconds))")
}
