internal import FoundationEssentials
internal import SRIOV

/// What is installed on a host, so that it can be compared, and taken away without a trace. Beside it, in the folders
/// `installed` and `original`, are copies of each file as it was written and as it was before: a copy proves more than a
/// hash, and can be shown.
struct BootManifest: Codable, Sendable {
    /// The format's version.
    var version = 1
    /// How it was rendered.
    var startsAgent = true
    /// The topics that were asked for.
    var additional: [String] = []
    /// The files.
    var files: [Entry] = []
    /// The commands that were run, and can be undone.
    var commands: [Command] = []
    /// Commands that are still to be run, oldest first: a run was killed, or one of them failed.
    var pending: [[String]] = []
    /// Folders that were made, outermost first.
    var folders: [String] = []

    /// A file.
    struct Entry: Codable, Sendable {
        var path: String
        var topic: String
        /// `whole`, `block`, `words`, `link`.
        var kind: String
        /// The block's lines, the words, or the link's target.
        var part: String
        /// How it was before; nil where there was none.
        var original: Attributes?
        /// What it pointed to before, when it was a link.
        var originalLink: String?
    }

    /// Whose a file was, and who might read it.
    struct Attributes: Codable, Sendable {
        var mode: UInt32
        var owner: UInt32
        var group: UInt32
    }

    /// A command. One that cannot be undone is run again when files of its topics have gone.
    struct Command: Codable, Sendable {
        var arguments: [String]
        var undo: [String]
        var topics: [String]
        var words: [String]

        init(_ command: BootCommand) {
            arguments = command.arguments
            undo = command.undo ?? []
            topics = command.topics.map(\.rawValue).sorted()
            words = command.words
        }
    }

    /// Whether nothing of ours is on the host, and nothing is still to be done.
    var isEmpty: Bool { files.isEmpty && commands.isEmpty && pending.isEmpty }

    /// Notes how files were rendered; or, without options, that some topics are taken away, or all: what was wished for is
    /// not wished any more.
    mutating func note(_ options: BootRenderer.Options?, removing topics: Set<BootTopic>) {
        if let options {
            startsAgent = options.startsAgent
            additional = options.additional.map(\.rawValue).sorted()
            return
        }
        let names = Set(topics.map(\.rawValue))
        additional.removeAll { topics.isEmpty || names.contains($0) }
        if topics.isEmpty || topics.contains(.functions) { startsAgent = true }
    }

    subscript(path: String) -> Entry? {
        get { files.first { $0.path == path } }
        set {
            files.removeAll { $0.path == path }
            if let newValue { files.append(newValue) }
        }
    }
}

/// The manifest and the copies, below the root.
struct BootRecords {
    static let parent = "/var/lib/sluice"
    static let folder = "\(parent)/boot"
    private static let manifest = "\(folder)/manifest.json"

    let files: RootedFiles

    /// The manifest; an empty one when nothing is installed. Throws `boot.file` when it cannot be understood.
    func load() throws(SRIOVError) -> BootManifest {
        guard let bytes = try files.read(Self.manifest) else { return BootManifest() }
        do {
            let manifest = try JSONDecoder().decode(BootManifest.self, from: Data(bytes))
            if manifest.version == 1 { return manifest }
        } catch {}
        throw SRIOVError(
            .bootFile, "\(files.root)\(Self.manifest) is not what this release writes",
            remedy: "it says what to take away: use the release that has written it, or restore it from a backup")
    }

    func save(_ manifest: BootManifest) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try files.replace(Self.manifest, [UInt8](try encoder.encode(manifest)), mode: 0o600)
    }

    /// A copy of a file: as it was written, as it was before the last write, as it was before the first.
    enum Copy: String { case installed, before, original }

    private func place(_ copy: Copy, _ path: String) -> String { "\(Self.folder)/\(copy.rawValue)\(path)" }

    func read(_ copy: Copy, of path: String) throws(SRIOVError) -> [UInt8]? { try files.read(place(copy, path)) }

    func keep(_ bytes: [UInt8]?, as copy: Copy, of path: String) throws(SRIOVError) {
        let place = place(copy, path)
        guard let bytes else { return try files.remove(place) }
        _ = try files.makeFolders(of: place, mode: 0o700)
        try files.replace(place, bytes, mode: 0o600)
    }

    func forget(_ path: String) throws(SRIOVError) {
        for copy in [Copy.installed, .before, .original] {
            let place = place(copy, path)
            try files.remove(place)
            var folder = place
            // Up to the folder of all copies.
            while let end = folder.lastIndex(of: "/"), folder[..<end].utf8.count > Self.folder.utf8.count {
                folder = String(folder[..<end])
                guard try files.removeFolder(folder) else { break }
            }
        }
    }

    /// Removes copies of files that no manifest knows: a run was killed before it was written, or after it was.
    func sweep(keeping paths: Set<String>) throws(SRIOVError) {
        for copy in [Copy.installed, .before, .original] {
            for path in try found("\(Self.folder)/\(copy.rawValue)") {
                let name = String(path.dropFirst("\(Self.folder)/\(copy.rawValue)".utf8.count))
                if !paths.contains(name) { try forget(name) }
            }
            _ = try files.removeFolder("\(Self.folder)/\(copy.rawValue)")
        }
    }

    /// The files below a folder.
    private func found(_ folder: String) throws(SRIOVError) -> [String] {
        var paths: [String] = []
        for name in try files.entries(folder) ?? [] {
            let path = "\(folder)/\(name)"
            let below = try found(path)
            let isFolder = try files.entries(path) != nil
            if isFolder, below.isEmpty { _ = try files.removeFolder(path) }
            paths += isFolder ? below : [path]
        }
        return paths
    }

    /// Whether something is recorded, or was when a run was killed.
    func exist() throws(SRIOVError) -> Bool {
        if try files.entries(Self.folder) != nil { return true }
        // Killed between the two folders; the agent's is never empty.
        return try files.entries(Self.parent)?.isEmpty ?? false
    }

    /// Makes the folder for records. What it returns goes with the last of them.
    func prepare() throws(SRIOVError) -> [String] {
        let parent = Self.parent
        var made = try files.makeFolders(of: parent)
        let isParentMade = try files.entries(parent)?.isEmpty ?? true
        _ = try files.makeFolders(of: "\(Self.folder)/manifest", mode: 0o700)
        // One that was killed before its first record has left these folders, and nothing else in them.
        let names = try files.entries(parent)
        let isLeftOver = try files.read(Self.manifest) == nil
        if isParentMade || isLeftOver && names == ["boot"] { made.append(parent) }
        return made
    }

    /// Removes the manifest.
    func removeManifest() throws(SRIOVError) { try files.remove(Self.manifest) }
}
