internal import Glibc

/// The kernel's messages as the journal has kept them: the kernel's own log is a ring, which forgets what it said at boot.
enum KernelJournal {
    /// The most messages that are looked through.
    private static let limit = 200_000

    // sd-journal.h. The library is loaded when it is needed: hosts without systemd do without.
    private typealias Open = @convention(c) (UnsafeMutablePointer<OpaquePointer?>, Int32) -> Int32
    private typealias Match = @convention(c) (OpaquePointer, UnsafeRawPointer, Int) -> Int32
    private typealias Step = @convention(c) (OpaquePointer) -> Int32
    private typealias Data =
        @convention(c) (
            OpaquePointer, UnsafePointer<CChar>, UnsafeMutablePointer<UnsafeRawPointer?>, UnsafeMutablePointer<Int>
        ) -> Int32
    private typealias Close = @convention(c) (OpaquePointer) -> Void

    /// The messages since the boot that are wanted, oldest first; empty where there is no journal or it may not be read.
    static func lines(where isWanted: (String) -> Bool) -> [String] {
        guard let library = dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL) else { return [] }
        // It stays loaded: it has no way to be unloaded that is safe with its threads' keys.
        func function<Type>(_ name: String, _ type: Type.Type) -> Type? {
            dlsym(library, name).map { unsafeBitCast($0, to: type) }
        }
        guard let open = function("sd_journal_open", Open.self),
            let match = function("sd_journal_add_match", Match.self),
            let head = function("sd_journal_seek_head", Step.self), let next = function("sd_journal_next", Step.self),
            let data = function("sd_journal_get_data", Data.self), let close = function("sd_journal_close", Close.self),
            let boot = (try? LiveFileTree().text("/proc/sys/kernel/random/boot_id")) ?? nil
        else { return [] }
        var opened: OpaquePointer?
        // SD_JOURNAL_LOCAL_ONLY, SD_JOURNAL_SYSTEM
        guard open(&opened, 1 | 4) == 0, let journal = opened else { return [] }
        defer { close(journal) }
        for text in ["_TRANSPORT=kernel", "_BOOT_ID=\(boot.filter { $0 != "-" })"] {
            guard
                Array(text.utf8).withUnsafeBytes({
                    match(journal, $0.baseAddress ?? UnsafeRawPointer(journal), $0.count)
                }) == 0
            else { return [] }
        }
        guard head(journal) == 0 else { return [] }
        var lines: [String] = []
        for _ in 0..<limit {
            guard next(journal) > 0 else { break }
            var (start, length): (UnsafeRawPointer?, Int) = (nil, 0)
            guard data(journal, "MESSAGE", &start, &length) == 0, let start else { continue }
            // MESSAGE=…
            let text = String(decoding: UnsafeRawBufferPointer(start: start, count: length).dropFirst(8), as: UTF8.self)
            if isWanted(text) { lines.append(text) }
        }
        return lines
    }
}
