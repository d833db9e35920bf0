internal import Glibc
public import Logging

/// Writes log lines to standard error: with the priority that journald reads from their beginning (sd-daemon(3)) when
/// it goes to the journal, and with the time where it does not.
public struct StderrLog: LogHandler {
    /// See `LogHandler`.
    public var logLevel = Logger.Level.info
    /// See `LogHandler`.
    public var metadata: Logger.Metadata = [:]

    /// A log of this process.
    public init() {}

    /// See `LogHandler`.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// See `LogHandler`.
    public func log(event: LogEvent) {
        // A line is one record: names come from devices and requests.
        var text = String.UnicodeScalarView()
        let fields = (event.metadata ?? [:]).merging(metadata) { first, _ in first }.sorted { $0.key < $1.key }
        let line = "\(event.message)" + fields.map { " \($0.key)=\($0.value)" }.joined()
        text.append(contentsOf: line.unicodeScalars.map { $0.value < 0x20 ? " " : $0 })
        let bytes = Array((prefix(event.level) + String(text) + "\n").utf8)
        _ = write(2, bytes, bytes.count)
    }

    private func prefix(_ level: Logger.Level) -> String {
        if Systemd.isJournal {
            switch level {
            case .trace, .debug: return "<7>"
            case .info: return "<6>"
            case .notice: return "<5>"
            case .warning: return "<4>"
            case .error: return "<3>"
            case .critical: return "<2>"
            }
        }
        var now = time(nil)
        var parts = tm()
        localtime_r(&now, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) \(level) "
    }
}
