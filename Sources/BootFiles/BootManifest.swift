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
    static let folder = "/var/lib/sluice/boot"
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

    /// Removes the manifest.
    func removeManifest() throws(SRIOVError) { try files.remove(Self.manifest) }
}
