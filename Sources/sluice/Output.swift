internal import ArgumentParser
internal import FoundationEssentials
internal import Glibc
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
    /// Prints text, and ends the program quietly when nobody reads it any more.
    static func write(_ text: String, to descriptor: Int32 = 1) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return }
            bytes = bytes.dropFirst(written)
        }
    }

    static func line(_ text: String) { write(text + "\n") }
    static func error(_ text: String) { write(text + "\n", to: 2) }

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
