internal import ArgumentParser
internal import HostFile

struct SchemaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "Print the JSON Schema of the host file, for editors.",
        discussion: """
            Example:
              sluice schema > host-file.schema.json
              and as the host file's first line:  # yaml-language-server: $schema=host-file.schema.json
            """)

    func run() { Output.write(JSONSchema.text()) }
}
