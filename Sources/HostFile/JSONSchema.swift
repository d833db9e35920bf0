/// The JSON Schema of the host file, for editors: completion and checks while it is written.
public enum JSONSchema {
    /// The schema's text, draft 2020-12.
    public static func text() -> String {
        var lines = Schema.host.jsonLines
        lines.insert(
            contentsOf: [
                "  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",",
                "  \"title\": \"Sluice host file\",",
            ], at: 1)
        return lines.joined(separator: "\n") + "\n"
    }
}

extension Schema {
    /// The form as the lines of a JSON object, two blanks of indentation a level.
    fileprivate var jsonLines: [String] { members.isEmpty ? ["{}"] : object(members) }

    private var members: [(key: String, value: [String])] {
        switch self {
        case .mapping(let fields):
            let properties = object(
                fields.map { field in
                    let schema = field.schema.members
                    return (field.key, object([("description", [quoted(field.summary)])] + schema))
                })
            let required = fields.filter(\.isRequired).map { quoted($0.key) }.joined(separator: ", ")
            return [("type", [quoted("object")]), ("additionalProperties", ["false"])]
                + (required.isEmpty ? [] : [("required", ["[\(required)]"])]) + [("properties", properties)]
        case .named(let pattern, let schema):
            return [
                ("type", [quoted("object")]), ("additionalProperties", ["false"]),
                ("patternProperties", object([(pattern, schema.jsonLines)])),
            ]
        case .list(let schema): return [("type", [quoted("array")]), ("items", schema.jsonLines)]
        case .integer(let range):
            return [
                ("type", [quoted("integer")]), ("minimum", ["\(range.lowerBound)"]),
                ("maximum", ["\(range.upperBound)"]),
            ]
        case .onOff:
            // YAML 1.1 reads these words as booleans, YAML 1.2 as text.
            return [("enum", ["[\"on\", \"off\", \"yes\", \"no\", true, false]"])]
        case .choice(let choices): return [("enum", ["[\(choices.map(quoted).joined(separator: ", "))]"])]
        case .text(let form):
            // A vendor such as 8086 is a number to YAML.
            return [
                ("type", ["[\"string\", \"integer\"]"]), ("pattern", [quoted(form.pattern)]),
                ("examples", ["[\(quoted(form.example))]"]),
            ]
        }
    }

    private func object(_ members: [(key: String, value: [String])]) -> [String] {
        var lines = ["{"]
        for (index, member) in members.enumerated() {
            var value = member.value
            if index < members.count - 1 { value[value.count - 1] += "," }
            lines.append("  \(quoted(member.key)): \(value[0])")
            lines += value.dropFirst().map { "  " + $0 }
        }
        return lines + ["}"]
    }

    private func quoted(_ text: String) -> String {
        "\"" + text.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] } + "\""
    }
}
