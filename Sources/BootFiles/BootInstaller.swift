public import SRIOV

/// Brings boot files to a host or its image, and takes them away again without a trace.
///
/// What is going to be written, and what was there before, is recorded first: after SIGKILL at any instruction the next
/// run goes on, and nothing of somebody else's is lost.
public struct BootInstaller {
    private let files: RootedFiles
    private let records: BootRecords

    /// An installer for a host, or for the image of one that is mounted at a folder.
    public init(root: String = "") {
        files = RootedFiles(root: root == "/" ? "" : root.hasSuffix("/") ? String(root.dropLast()) : root)
        records = BootRecords(files: files)
    }

    /// What is to be done.
    public struct Comparison: Sendable {
        /// The files.
        public var changes: [BootChange]
        /// Commands that an earlier run has not come to.
        public var pending: [[String]]
        /// Whether a run was killed before its record, and has left folders or copies.
        public var hasLeftovers: Bool
        /// The topics that were looked at; empty for all.
        var topics: Set<BootTopic>
        /// The commands of what is to be there.
        var commands: [BootCommand]
        var manifest: BootManifest

        /// Whether nothing is to be done.
        public var isDone: Bool {
            !changes.contains { $0.action != .keep } && pending.isEmpty && newCommands.isEmpty
                && obsoleteCommands.isEmpty
        }

        /// The changes that are made; those of what is somebody else's only when that is forced.
        public func doable(isForced: Bool) -> [BootChange] {
            changes.filter { $0.action != .keep && ($0.action != .foreign || isForced) }
        }

        private func isLookedAt(_ topics: some Sequence<String>) -> Bool {
            self.topics.isEmpty || topics.contains { name in self.topics.contains { $0.rawValue == name } }
        }

        /// Commands that do what no file can, and were not run yet.
        var newCommands: [BootCommand] {
            commands.filter { command in
                command.undo != nil && !manifest.commands.contains { $0.arguments == command.arguments }
            }
        }

        /// Commands that were run, and are not wanted any more.
        var obsoleteCommands: [BootManifest.Command] {
            manifest.commands.filter { old in
                !old.undo.isEmpty && isLookedAt(old.topics) && !commands.contains { $0.arguments == old.arguments }
            }
        }

        /// The commands that follow when files of some topics change, in order, each once.
        public func followUp(changing changed: Set<BootTopic>) -> [[String]] {
            let names = Set(changed.map(\.rawValue))
            let recorded = manifest.commands.filter { $0.undo.isEmpty && !names.isDisjoint(with: $0.topics) }
            let wanted = commands.filter { $0.undo == nil && !$0.topics.isDisjoint(with: changed) }
            let all =
                pending + obsoleteCommands.map(\.undo) + newCommands.map(\.arguments) + wanted.map(\.arguments)
                + recorded.map(\.arguments)
            return all.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        }
    }

    /// The options with which files were last installed; nil when none are.
    ///
    /// Throws `boot.file`.
    public func installedOptions() throws(SRIOVError) -> (startsAgent: Bool, additional: Set<BootTopic>)? {
        let manifest = try records.load()
        guard !manifest.files.isEmpty || !manifest.commands.isEmpty else { return nil }
        return (manifest.startsAgent, Set(manifest.additional.compactMap(BootTopic.init)))
    }

    /// What is ours on the host: paths, and words of the kernel's command line that were added. What others have
    /// configured is told from it.
    public func installed() throws(SRIOVError) -> (paths: Set<String>, words: Set<String>) {
        let manifest = try records.load()
        let words = manifest.files.filter { $0.kind == "words" }.flatMap {
            $0.part.split(separator: " ").map(String.init)
        }
        return (Set(manifest.files.map(\.path)), Set(manifest.commands.flatMap(\.words) + words))
    }

    /// Compares what is to be with what is there. An empty set of topics means all.
    ///
    /// Throws `boot.file` when something cannot be read.
    public func compare(with set: BootSet, topics: Set<BootTopic> = []) throws(SRIOVError) -> Comparison {
        let manifest = try records.load()
        let comparer = BootComparer(files: files, records: records, manifest: manifest)
        let set = set.only(topics)
        var changes: [BootChange] = []
        for file in set.files { changes.append(try comparer.change(for: file)) }
        let wanted = Set(set.files.map(\.path))
        for entry in manifest.files.sorted(by: { $0.path < $1.path }) where !wanted.contains(entry.path) {
            guard topics.isEmpty || topics.contains(where: { $0.rawValue == entry.topic }) else { continue }
            changes.append(try comparer.removal(of: entry))
        }
        let exist = try records.exist()
        return Comparison(
            changes: changes, pending: manifest.pending, hasLeftovers: manifest.isEmpty && exist,
            topics: topics, commands: set.commands, manifest: manifest)
    }

    /// Does what a comparison says.
    ///
    /// - Parameters:
    ///   - comparison: What is to be done. It is made anew when somebody has installed something since.
    ///   - options: How the files were rendered; nil when they are taken away.
    ///   - isForced: Whether what is somebody else's is replaced, too. A copy of it is kept.
    ///   - onKept: Told of such a copy.
    /// - Returns: The commands that are to be run now; each is to be reported with `hasRun`.
    ///
    /// Throws `boot.file`, `boot.foreign` when a file has changed since it was compared, `boot.busy`.
    public func apply(
        _ comparison: Comparison, options: BootRenderer.Options?, isForced: Bool = false,
        onKept: (String) -> Void = { _ in }
    ) throws -> [[String]] {
        let changes = comparison.doable(isForced: isForced)
        let commands = comparison.followUp(changing: Set(changes.map(\.topic)))
        guard !changes.isEmpty || !commands.isEmpty || comparison.hasLeftovers else { return [] }
        let made = try records.prepare()
        return try files.locking(BootRecords.folder) {
            var manifest = try records.load()
            manifest.folders += made.filter { !manifest.folders.contains($0) }
            manifest.note(options, removing: comparison.topics)
            manifest.pending = commands
            for old in comparison.obsoleteCommands { manifest.commands.removeAll { $0.arguments == old.arguments } }
            // Of commands that read files anew those count that are rendered now.
            if options != nil {
                let topics = Set(comparison.commands.flatMap { $0.topics.map(\.rawValue) })
                manifest.commands.removeAll { $0.undo.isEmpty && topics.isSuperset(of: $0.topics) }
            }
            for command in comparison.commands
            where !manifest.commands.contains(where: { $0.arguments == command.arguments }) {
                manifest.commands.append(BootManifest.Command(command))
            }
            try records.sweep(keeping: Set(manifest.files.map(\.path)))
            // First what will be, and what was.
            for change in changes { try record(change, in: &manifest, onKept) }
            try records.save(manifest)
            // Then the files.
            for change in changes { try write(change, manifest) }
            try finish(changes, &manifest)
            return commands
        }
    }

    /// Notes that a command was run. With the last one of what was taken away, the records go too.
    public func hasRun(_ command: [String]) throws {
        try files.locking(BootRecords.folder) {
            var manifest = try records.load()
            manifest.pending.removeAll { $0 == command }
            try settle(&manifest)
        }
    }

    // MARK: Steps

    /// Records a change, and keeps what it replaces.
    private func record(_ change: BootChange, in manifest: inout BootManifest, _ onKept: (String) -> Void) throws {
        let now = try files.present(change.path)
        let bytes = now.bytes
        guard now.shown == change.before else {
            throw SRIOVError(
                .foreignFile, "\(change.path) has changed since it was compared", remedy: "look again: sluice boot diff"
            )
        }
        if change.action == .foreign, manifest[change.path] != nil, let bytes {
            onKept(try keepAside(bytes, change.path))
        }
        guard let file = change.file else { return }
        let known = manifest[file.path]
        var entry = known ?? BootManifest.Entry(path: file.path, topic: file.topic.rawValue, kind: "", part: "")
        if known == nil {
            entry.originalLink = now.link
            if bytes != nil, let status = try files.status(file.path) {
                entry.original = .init(mode: status.mode, owner: status.owner, group: status.group)
            }
            try records.keep(bytes, as: .original, of: file.path)
        }
        switch file.content {
        case .whole: (entry.kind, entry.part) = ("whole", "")
        case .block(let block): (entry.kind, entry.part) = ("block", block)
        case .words(let words):
            // Of the words that were there already none is ours.
            let present = SharedFile.words(of: now.text ?? "")
            let old = entry.part.split(separator: " ").map(String.init)
            let added = words.filter { !present.contains($0) || old.contains($0) }
            (entry.kind, entry.part) = ("words", added.joined(separator: " "))
        case .link(let target): (entry.kind, entry.part) = ("link", target)
        }
        try records.keep(bytes, as: .before, of: file.path)
        try records.keep(change.bytes, as: .installed, of: file.path)
        manifest[file.path] = entry
        var folder = file.path
        var missing: [String] = []
        while let end = folder.lastIndex(of: "/"), end > folder.startIndex {
            folder = String(folder[..<end])
            guard try files.status(folder) == nil else { break }
            missing.insert(folder, at: 0)
        }
        for folder in missing where !manifest.folders.contains(folder) { manifest.folders.append(folder) }
    }

    /// Keeps what somebody has made of a file of ours.
    private func keepAside(_ bytes: [UInt8], _ path: String) throws -> String {
        var number = 1
        func name() -> String { "\(BootRecords.folder)/kept\(path).\(number)" }
        while try files.status(name()) != nil { number += 1 }
        _ = try files.makeFolders(of: name(), mode: 0o700)
        try files.replace(name(), bytes, mode: 0o600)
        return files.root + name()
    }

    private func write(_ change: BootChange, _ manifest: BootManifest) throws {
        let entry = manifest[change.path]
        guard let file = change.file else {
            // What was there before comes back.
            if let link = entry?.originalLink { return try files.replace(change.path, withLinkTo: link) }
            guard let bytes = change.bytes else { return try files.remove(change.path) }
            let status = try files.status(change.path)
            let original = entry?.original
            return try files.replace(
                change.path, bytes, mode: original?.mode ?? status?.mode ?? 0o644,
                owner: original?.owner ?? status?.owner ?? 0, group: original?.group ?? status?.group ?? 0)
        }
        _ = try files.makeFolders(of: file.path)
        switch file.content {
        case .link(let target): try files.replace(file.path, withLinkTo: target)
        case .whole: try files.replace(file.path, change.bytes ?? [], mode: file.mode)
        case .block, .words:
            let status = try files.status(file.path)
            try files.replace(
                file.path, change.bytes ?? [], mode: status?.mode ?? file.mode, owner: status?.owner ?? 0,
                group: status?.group ?? 0)
        }
    }

    private func finish(_ changes: [BootChange], _ manifest: inout BootManifest) throws {
        for change in changes where change.file == nil { manifest[change.path] = nil }
        let topics = Set(manifest.files.map(\.topic))
        manifest.commands.removeAll { $0.undo.isEmpty && topics.isDisjoint(with: $0.topics) }
        // The record goes before the copies that it is about: an entry without its copy would look as if nothing had been
        // there before.
        try records.save(manifest)
        for change in changes {
            if change.file == nil {
                try records.forget(change.path)
            } else {
                try records.keep(nil, as: .before, of: change.path)
            }
        }
        try settle(&manifest)
    }

    /// Saves the manifest, or removes all that is ours when nothing is left to say.
    private func settle(_ manifest: inout BootManifest) throws {
        let isEmpty = manifest.isEmpty
        var left: [String] = []
        // The records' own folder is the last.
        for folder in manifest.folders.reversed() {
            let isOfRecords = BootRecords.folder.hasPrefix("\(folder)/")
            if try isOfRecords || !files.removeFolder(folder) { left.insert(folder, at: 0) }
        }
        manifest.folders = left
        guard isEmpty else { return try records.save(manifest) }
        try records.removeManifest()
        // Copies that somebody may want stay, and the folder with them.
        for folder in [BootRecords.folder] + left.reversed() { _ = try files.removeFolder(folder) }
    }
}
