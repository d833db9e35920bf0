internal import AgentAPI
internal import ArgumentParser
internal import BootFiles
internal import SRIOV

struct Boot: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The files of the operating system that make a host come back as it is declared.",
        discussion: """
            From the host file: the kernel's command line, modules, drivers of
            passthrough devices, ports that are up, the agent, libvirt after it, and
            what QEMU may open. Each file is about one topic, says where it is from,
            and is never overwritten when somebody has changed it; uninstall brings
            back what was there.

            Examples:
              sluice boot render                     what would be written here
              sluice boot render --for rhel-9 -f host.yaml
              sluice boot diff                       what differs
              sluice boot install                    shows it, asks, writes it
              sluice boot install --only ports --yes
              sluice boot install --without-agent    udev makes the VFs
              sluice boot install --root /mnt        into an image
              sluice boot uninstall                  as if it had never been there

            Topics (* only --with, since it is a risk):
            \(BootTopic.allCases.map { "  \($0.rawValue.padded(to: 18))\($0.caution == nil ? " " : "*") \($0.summary)" }.joined(separator: "\n"))

            Exit status: 0 done, or nothing to do; 1 something failed; 2 (diff)
            something differs; 3 files of somebody else's were left alone; 65 the host
            file has mistakes.
            """,
        subcommands: [BootRender.self, BootDiff.self, BootInstall.self, BootUninstall.self])
}

extension String {
    /// The text with blanks at its end, up to a width.
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

struct BootRender: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "render", abstract: "Print the files, for this host or another system.",
        discussion: """
            Examples:
              sluice boot render
              sluice boot render --for ubuntu-24.04 -f host.yaml
              sluice boot render --only kernel -o json
            """)

    @OptionGroup var options: BootOptions
    @OptionGroup var format: OutputOptions
    @Option(
        name: .customLong("for"),
        help: ArgumentHelp(
            "As the installer of this system leaves a host: \(HostSystem.names.joined(separator: ", ")).",
            valueName: "system"),
        completion: .list(HostSystem.names))
    var system: String?

    func validate() throws {
        if let system, HostSystem.named(system) == nil {
            throw ValidationError("--for \(system): known are \(HostSystem.names.joined(separator: ", ")).")
        }
    }

    func run() throws {
        let set = try options.render(for: system.flatMap(HostSystem.named)).set
        switch format.output {
        case .json, .yaml: try Output.encode(BootSetView(set), as: format.output)
        case .name: for file in set.files { Output.line(file.path) }
        default:
            for file in set.files {
                let view = BootSetView.FileView(file)
                Output.line(Output.colour("━━ \(file.path)  \(view.mode)  \(file.topic.rawValue)", .bold))
                Output.write(view.text)
            }
            for command in set.commands { Output.line("run: \(command.arguments.joined(separator: " "))") }
            for note in set.notes { Output.line("note: \(note.text)") }
        }
    }
}

/// Rendered files for machines.
struct BootSetView: Encodable {
    var files: [FileView]
    var commands: [[String]]
    var notes: [String]

    struct FileView: Encodable {
        var path: String
        var topic: String
        var why: String
        /// `0644`; `block` for a part of a file, `words` for words of a line, `link`.
        var mode: String
        var text: String

        init(_ file: BootFile) {
            path = file.path
            topic = file.topic.rawValue
            why = file.why
            let octal = String(file.mode, radix: 8)
            switch file.content {
            case .whole(let text): (mode, self.text) = ("0\(octal)", text)
            case .block(let text): (mode, self.text) = ("block", text)
            case .words(let words): (mode, text) = ("words", words.joined(separator: " ") + "\n")
            case .link(let target): (mode, text) = ("link", "→ \(target)\n")
            }
        }
    }

    init(_ set: BootSet) {
        files = set.files.map(FileView.init)
        commands = set.commands.map(\.arguments)
        notes = set.notes.map(\.text)
    }
}

struct BootDiff: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Compare the files with those that are there.",
        discussion: """
            Examples:
              sluice boot diff
              sluice boot diff --only ports
              sluice boot diff --root /mnt

            Exit status: 0 nothing differs; 2 something does.
            """)

    @OptionGroup var options: BootOptions

    func run() throws {
        let (set, _) = try options.render()
        let comparison = try options.installer.compare(with: set, topics: options.topics)
        BootChanges(comparison: comparison, notes: set.notes).show(isBrief: false)
        if !comparison.isDone { throw Status.changes }
    }
}

struct BootInstall: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install", abstract: "Write what differs, and run what makes it count.",
        discussion: """
            Examples:
              sluice boot install
              sluice boot install --only apparmor --yes
              sluice boot install --with vfio-group
              sluice boot install --root /mnt --yes
            """)

    @OptionGroup var options: BootOptions
    @OptionGroup var how: BootWriteOptions

    func run() throws {
        let (set, rendering) = try options.render()
        try how.carryOut(
            options, try options.installer.compare(with: set, topics: options.topics), rendering,
            set.notes)
    }
}

struct BootUninstall: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "uninstall", abstract: "Take the files away; what was there before comes back.",
        discussion: """
            Examples:
              sluice boot uninstall
              sluice boot uninstall --only bridge --yes
              sluice boot uninstall --root /mnt --yes
            """)

    @OptionGroup var options: BootOptions
    @OptionGroup var how: BootWriteOptions

    func run() throws {
        try how.carryOut(options, try options.installer.compare(with: BootSet(), topics: options.topics), nil, [])
    }
}
