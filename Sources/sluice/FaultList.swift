internal import AgentAPI
internal import Diagnosis

/// The faults that are known, whether a host has them or not.
enum FaultList {
    /// Prints them; as the guide has them, in Markdown, without a format.
    static func print(as format: OutputFormat?) throws {
        switch format {
        case .json?, .yaml?: try Output.encode(FaultKind.all.map { ExplanationView($0, []) }, as: format ?? .json)
        case .name?: for kind in FaultKind.all { Output.line(kind.id) }
        case .table?, .wide?:
            var table = Table(["FAULT", "SEVERITY", "TOLD BY", "WHAT IS WRONG"])
            for kind in FaultKind.all {
                table.append([kind.id, kind.severity.rawValue, kind.detection == nil ? "message" : "host", kind.title])
            }
            Output.line(table.text)
        case nil: Output.write(markdown)
        }
    }

    private static var markdown: String {
        var text = """
            # The faults

            Written by `make docs`; [the guide](../faults.md) says how to use them.


            """
        for kind in FaultKind.all {
            text += "## `\(kind.id)`\n\(capitalized(kind.title)).\n\n"
            let severity = kind.severity == .error ? "something does not work" : "something will fail when it is needed"
            text += "* severity: \(kind.severity.rawValue) (\(severity))\n"
            if let detection = kind.detection { text += "* found by: \(detection)\n" }
            text += kind.allCauses.map { "* cause: \($0)\n" }.joined()
            if let fix = kind.fix { text += "* `sluice doctor --fix \(kind.id)`: \(fix)\n" }
            text += kind.allRemedies.map { "* remedy: \($0)\n" }.joined()
            text += kind.messages.map { "* message: `\($0.parts.joined(separator: "` … `"))`\n" }.joined()
            text += "\n"
        }
        return text
    }

    private static func capitalized(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }
}
