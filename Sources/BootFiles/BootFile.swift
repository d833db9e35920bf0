/// A file of the operating system as it is to be.
public struct BootFile: Sendable, Hashable {
    /// Where it is, as on the host itself.
    public var path: String
    /// What is in it.
    public var content: Content
    /// Its permissions.
    public var mode: UInt32
    /// What it is about.
    public var topic: BootTopic
    /// What it is good for, in a few words.
    public var why: String

    /// What of a file is ours.
    public enum Content: Sendable, Hashable {
        /// All of it.
        case whole(String)
        /// A part between two marks of a file that others write too: its lines.
        case block(String)
        /// Words of a file's only line: the kernel's command line.
        case words([String])
        /// A symbolic link, to this.
        case link(String)
    }

    /// A file that is ours, with a header.
    init(_ path: String, _ topic: BootTopic, _ why: String, mode: UInt32 = 0o644, _ content: Content) {
        self.path = path
        self.topic = topic
        self.why = why
        self.mode = mode
        self.content = content
    }

    /// A text file that is ours as a whole, with the header that says so. A script keeps its first line.
    static func text(
        _ path: String, _ topic: BootTopic, _ why: String, mode: UInt32 = 0o644, _ body: String
    ) -> BootFile {
        let header = """
            # Written by sluice boot install (\(topic.rawValue)): \(why).
            # Changes made here are noticed and never overwritten unasked; sluice boot uninstall removes the file.

            """
        guard body.hasPrefix("#!"), let end = body.firstIndex(of: "\n") else {
            return BootFile(path, topic, why, mode: mode, .whole(header + body))
        }
        return BootFile(
            path, topic, why, mode: mode, .whole("\(body[...end])\(header)\(body[body.index(after: end)...])"))
    }
}

/// A command that makes files count, or that does what no file can.
public struct BootCommand: Sendable, Hashable {
    /// The program and its arguments.
    public var arguments: [String]
    /// The command that undoes it; nil for one that is run again after files have gone.
    public var undo: [String]?
    /// Run when files of these topics have changed.
    public var topics: Set<BootTopic>
    /// The words that it adds to the kernel's command line.
    public var words: [String]

    /// A command that reads files anew, after they came or went.
    static func refresh(_ arguments: [String], for topics: Set<BootTopic>) -> BootCommand {
        BootCommand(arguments: arguments, undo: nil, topics: topics, words: [])
    }
}

/// What a host is to have of files, and which commands make them count.
public struct BootSet: Sendable, Hashable {
    /// The files, by topic and path.
    public var files: [BootFile] = []
    /// The commands, in their order.
    public var commands: [BootCommand] = []
    /// What is not done, and why; for people.
    public var notes: [Note] = []

    /// A sentence about a topic.
    public struct Note: Sendable, Hashable {
        /// What it is about.
        public var topic: BootTopic
        /// The sentence.
        public var text: String
    }

    mutating func note(_ topic: BootTopic, _ text: String) { notes.append(Note(topic: topic, text: text)) }

    /// Nothing.
    public init() {}

    /// The set with some topics only.
    public func only(_ topics: Set<BootTopic>) -> BootSet {
        guard !topics.isEmpty else { return self }
        var set = self
        set.files.removeAll { !topics.contains($0.topic) }
        set.commands.removeAll { $0.topics.isDisjoint(with: topics) }
        set.notes.removeAll { !topics.contains($0.topic) }
        return set
    }
}
