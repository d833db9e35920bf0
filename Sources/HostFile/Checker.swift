internal import SRIOV
internal import Yams

/// Compares a YAML tree with a form and collects every mistake with its place.
struct Checker {
    let file: String
    private(set) var errors: [HostFileError] = []
    /// Aliases can make a small file expand without end; a host file has no need of this many parts.
    private var partsLeft = 200_000

    init(file: String) { self.file = file }

    func position(_ node: Node) -> SourcePosition {
        SourcePosition(file: file, line: node.mark?.line ?? 1, column: node.mark?.column ?? 1)
    }

    mutating func report(_ node: Node, _ message: String) {
        errors.append(HostFileError(position(node), message))
    }

    mutating func check(_ node: Node, _ schema: Schema, at path: String) {
        partsLeft -= 1
        guard partsLeft > 0 else {
            if partsLeft == 0 { report(node, "the file has too many parts; are aliases (*name) nested?") }
            return
        }
        switch schema {
        case .mapping(let fields): checkMapping(node, fields, at: path)
        case .named(let pattern, let schema):
            guard case .mapping(let mapping) = node else { return reportType(node, "a mapping of names", at: path) }
            for (key, value) in mapping {
                let name = key.scalar?.string ?? ""
                if !Self.isName(name) {
                    report(
                        key,
                        "\"\(name)\" is not a name: letters, digits, \".\", \"_\" and \"-\", 63 at most (\(pattern))")
                }
                check(value, schema, at: "\(path).\(name)")
            }
        case .list(let schema):
            guard case .sequence(let sequence) = node else { return reportType(node, "a list", at: path) }
            for (index, entry) in sequence.enumerated() { check(entry, schema, at: "\(path)[\(index)]") }
        case .integer(let range):
            guard let text = node.scalar?.string else { return reportType(node, "a number", at: path) }
            guard let value = Int(text) else {
                return report(node, "\(label(path)): \"\(clipped(text))\" is not a whole number")
            }
            if !range.contains(value) {
                report(node, "\(label(path)) \(value) is out of range (\(range.lowerBound)–\(range.upperBound))")
            }
        case .onOff:
            guard let text = node.scalar?.string else { return reportType(node, "on or off", at: path) }
            if Self.onOff(text) == nil { report(node, "\(label(path)) is on or off, not \"\(clipped(text))\"") }
        case .choice(let choices):
            guard let text = node.scalar?.string else {
                return reportType(node, choices.joined(separator: " or "), at: path)
            }
            if !choices.contains(text) {
                let list = choices.joined(separator: ", ")
                report(
                    node,
                    "\(label(path)) is one of \(list), not \"\(clipped(text))\"" + suggestion(text, among: choices))
            }
        case .text(let form):
            guard let text = node.scalar?.string else { return reportType(node, form.name, at: path) }
            if !form.isValid(text) {
                report(node, "\(label(path)): \"\(clipped(text))\" is not \(form.name) (as in \(form.example))")
            }
        }
    }

    private mutating func checkMapping(_ node: Node, _ fields: [Schema.Field], at path: String) {
        guard case .mapping(let mapping) = node else {
            return reportType(node, "a mapping with \(fields.prefix(3).map(\.key).joined(separator: ", "))", at: path)
        }
        var misspelt: Set<String> = []
        for (key, value) in mapping {
            guard let name = key.scalar?.string, let field = fields.first(where: { $0.key == name }) else {
                let name = key.scalar?.string ?? "?"
                if let close = closest(name, among: fields.map(\.key)) { misspelt.insert(close) }
                report(key, "unknown key \"\(clipped(name))\"" + suggestion(name, among: fields.map(\.key)))
                continue
            }
            check(value, field.schema, at: path.isEmpty ? name : "\(path).\(name)")
        }
        for field in fields where field.isRequired && mapping[Node(field.key)] == nil && !misspelt.contains(field.key) {
            report(node, "\(path.isEmpty ? "the file" : label(path)) lacks \(field.key): \(field.summary)")
        }
    }

    private mutating func reportType(_ node: Node, _ expected: String, at path: String) {
        let found: String =
            switch node {
            case .mapping: "a mapping"
            case .sequence: "a list"
            case .scalar(let scalar): scalar.string.isEmpty ? "nothing" : "\"\(clipped(scalar.string))\""
            case .alias: "an alias"
            }
        report(node, "\(path.isEmpty ? "the file" : label(path)) is \(expected), not \(found)")
    }

    /// The part's name as people say it: VLAN rather than physicalFunctions[0].defaults.vlan.id.
    private func label(_ path: String) -> String {
        if path.hasSuffix("vlan.id") { return "VLAN" }
        if path.hasSuffix("vlan.qos") { return "VLAN QoS" }
        let last = path.split(separator: ".").last.map(String.init) ?? path
        return String(last.prefix { $0 != "[" })
    }

    private func clipped(_ text: String) -> String {
        let line = text.prefix(60).map { $0.isNewline || ($0.asciiValue ?? 32) < 32 ? " " : String($0) }.joined()
        return text.count > 60 ? line + "…" : line
    }

    static func isName(_ text: String) -> Bool {
        guard (1...63).contains(text.utf8.count), let first = text.first, first.isASCII,
            first.isLetter || first.isNumber
        else { return false }
        return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) }
    }

    static func onOff(_ text: String) -> Bool? {
        switch text {
        case "on", "true", "yes": true
        case "off", "false", "no": false
        default: nil
        }
    }
}

/// ` — did you mean "…"?` when one of the words is close, nothing otherwise.
func suggestion(_ text: String, among words: [String]) -> String {
    closest(text, among: words).map { " — did you mean \"\($0)\"?" } ?? ""
}

/// The word that a text is most likely a misspelling of; nil when none is close.
func closest(_ text: String, among words: [String]) -> String? {
    guard text.count <= 40 else { return nil }
    let scored = words.map { (word: $0, distance: editDistance(text.lowercased(), $0.lowercased())) }
    guard let best = scored.min(by: { $0.distance < $1.distance }) else { return nil }
    // Two letters in the wrong order count as two; in a word of three that would be another word.
    return best.distance <= max(best.word.count > 3 ? 2 : 1, best.word.count / 3) ? best.word : nil
}

/// How many characters have to be added, removed or replaced to make one text of the other (Levenshtein).
func editDistance(_ left: String, _ right: String) -> Int {
    let (left, right) = (Array(left), Array(right))
    var row = Array(0...right.count)
    for (i, character) in left.enumerated() {
        var previous = row[0]
        row[0] = i + 1
        for (j, other) in right.enumerated() {
            let cost = previous + (character == other ? 0 : 1)
            previous = row[j + 1]
            row[j + 1] = min(cost, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[right.count]
}
