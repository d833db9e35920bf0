internal import ArgumentParser
internal import FoundationEssentials
internal import Glibc
internal import SRIOV
internal import Synchronization
internal import Yams

/// How a command prints its result.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table, wide, json, yaml, name
}

struct OutputOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "How to print: table, wide (more columns), json, yaml, name (one name a line).")
    var output = OutputFormat.table
}

enum Output {
    /// Why something could not be printed. What is under way goes on: a full disk behind standard output must not end an
    /// apply in the middle.
    private static let failure = Mutex<Int32?>(nil)

    /// Prints text. Nobody who reads it any more is no failure.
    static func write(_ text: String, to descriptor: Int32 = 1) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else {
                let code = errno
                if code != EPIPE, descriptor != 2 { failure.withLock { $0 = $0 ?? code } }
                return
            }
            bytes = bytes.dropFirst(written)
        }
    }

    /// Whether something could not be printed.
    static var hasFailed: Bool { failure.withLock { $0 != nil } }

    /// Throws when something could not be printed.
    static func finish() throws {
        guard let code = failure.withLock({ $0 }) else { return }
        throw SRIOVError(.state, "the output could not be written: \(String(cString: strerror(code)))")
    }

    /// Asks whoever sits before the terminal. Throws where there is none.
    static func confirm(_ question: String) throws -> Bool {
        guard isTerminal(0) else {
            throw ValidationError("Standard input is not a terminal, so nobody can be asked: give --yes.")
        }
        write("\(question) [y/N] ")
        let answer = readLine() ?? ""
        return ["y", "yes"].contains(answer.lowercased())
    }

    static func line(_ text: String) { write(safe(text) + "\n") }
    static func error(_ text: String) { write(safe(text) + "\n", to: 2) }

    /// The text without what would command the terminal, but for colours: names come from devices, firmware, processes and
    /// recordings.
    private static func safe(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0 == "\u{1b}" }) else { return text.withoutControls }
        let parts = text.split(separator: "\u{1b}[", omittingEmptySubsequences: false)
        return parts.dropFirst().reduce(String(parts[0]).withoutControls) { result, part in
            let code = part.prefix { $0.isASCII && ($0.isNumber || $0 == ";") }
            let isColour = part.dropFirst(code.count).first == "m"
            return result + (isColour ? "\u{1b}[" : "") + String(part).withoutControls
        }
    }

    /// Prints a value for machines. The same members in both notations.
    static func encode(_ value: some Encodable, as format: OutputFormat) throws {
        if format == .yaml {
            let encoder = YAMLEncoder()
            encoder.options.width = -1
            encoder.options.allowUnicode = true
            write(try encoder.encode(value))
            return
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        line(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Columns of the terminal, 100 where there is none.
    static var width: Int {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 100 }
        return Int(size.ws_col)
    }

    /// Colour on terminals, unless NO_COLOR is set (no-color.org) or the terminal is dumb.
    private static let hasColour: Bool = {
        func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
        return isTerminal(1) && variable("NO_COLOR")?.isEmpty ?? true && variable("TERM") != "dumb"
    }()

    enum Colour: Int {
        case red = 31, green = 32, yellow = 33, dim = 2, bold = 1
    }

    static func colour(_ text: String, _ colour: Colour) -> String {
        hasColour ? "\u{1b}[\(colour.rawValue)m\(text)\u{1b}[0m" : text
    }
}

extension String {
    /// The text without control characters, but with line breaks.
    fileprivate var withoutControls: String {
        split(separator: "\n", omittingEmptySubsequences: false).map { String($0).printable }.joined(separator: "\n")
    }

    /// The text without control characters: names come from devices, firmware and recordings, and must not command the
    /// terminal.
    var printable: String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: unicodeScalars.filter { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) })
        return String(text)
    }
}

/// Rows in columns as wide as their widest cell.
struct Table {
    private let header: [String]
    private var rows: [[String]] = []

    init(_ header: [String]) { self.header = header }

    mutating func append(_ row: [String]) { rows.append(row.map(\.printable)) }

    /// The lines without trailing blanks. An empty cell is printed as a dash.
    var text: String {
        let rows = [header] + self.rows.map { $0.map { $0.isEmpty ? "–" : $0 } }
        let widths = header.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let line = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(
                separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}
