internal import AgentAPI
public import ArgumentParser
public import BootFiles
internal import Glibc
internal import HostFile
internal import PCI
internal import SRIOV

extension BootTopic: ExpressibleByArgument {}

/// For which host boot files are made, and which.
struct BootOptions: ParsableArguments {
    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp(
            "The host file; - is standard input (default: \(HostFileOptions.defaultPath), below --root).",
            valueName: "file"),
        completion: .file(extensions: ["yaml", "yml"]))
    var file: String?
    @Option(
        name: .long, help: ArgumentHelp("Work on the image of a host that is mounted at DIR.", valueName: "dir"),
        completion: .directory)
    var root: String?
    @Option(
        name: .long,
        help: ArgumentHelp(
            "Only this topic; may be given several times. \(BootTopic.allCases.map(\.rawValue).joined(separator: ", "))",
            valueName: "topic"),
        completion: .list(BootTopic.allCases.map(\.rawValue)))
    var only: [BootTopic] = []
    @Option(
        name: .customLong("with"),
        help: ArgumentHelp(
            "Also this topic, which is a risk: \(BootOptions.risky.map(\.rawValue).joined(separator: ", ")).",
            valueName: "topic"),
        completion: .list(BootOptions.risky.map(\.rawValue)))
    var additional: [BootTopic] = []
    @Flag(name: .long, help: "udev makes the VFs at boot, and no agent is started.") var withoutAgent = false
    @Flag(name: .long, help: "The agent again, where --without-agent was chosen before.") var withAgent = false

    static let risky = BootTopic.allCases.filter { $0.caution != nil }

    func validate() throws {
        for topic in additional where topic.caution == nil {
            throw ValidationError("--with \(topic.rawValue): it is done without being asked for, where it is needed.")
        }
        if withAgent, withoutAgent { throw ValidationError("--with-agent and --without-agent exclude each other.") }
        if let root {
            var status = stat()
            guard stat(root, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
                throw ValidationError("--root \(root): there is no such folder.")
            }
        }
    }

    /// Whether it is the host that this runs on.
    var isLive: Bool { root.map { $0 == "/" } ?? true }
    var topics: Set<BootTopic> { Set(only) }
    var installer: BootInstaller { BootInstaller(root: isLive ? "" : root ?? "") }

    /// What the host is to have of the chosen topics, and how that was rendered. What was chosen at the last installation
    /// holds on.
    func render(for system: HostSystem? = nil) throws -> (set: BootSet, options: BootRenderer.Options) {
        let files = ImageFiles(root: isLive ? "" : root ?? "")
        let declared = try declaredHost(files)
        var options = BootRenderer.Options()
        // Who may not read the records renders for a host on which nothing is installed.
        let installed = try? installer.installedOptions()
        options.startsAgent = withAgent || !withoutAgent && installed?.startsAgent ?? true
        options.additional = Set(additional + only).union(installed?.additional ?? [])
        let ours = (try? installer.installed()) ?? (paths: [], words: [])
        let system =
            system ?? HostSystem(reading: files, isLive: isLive, ours: ours.words, skipping: ours.paths)
        var host: Host?
        if isLive { host = try HostReader(kernel: readOnlyKernel()).read() }
        let ports = BootPort.list(declared, on: host, files: files)
        let renderer = BootRenderer(
            declared: declared, ports: ports, system: system, options: options,
            otherSerials: BootRenderer.otherSerials(declared, on: host, files: files))
        return (renderer.render().only(topics), options)
    }

    private func declaredHost(_ files: ImageFiles) throws -> DeclaredHost {
        if let file { return try HostFileOptions.load(file) }
        let path = HostFileOptions.defaultPath
        // What is named by topic may be wished for before a host file is written.
        let isNeeded = only.isEmpty || only.contains(where: \.needsHostFile)
        guard !isLive, let root else {
            let isThere = try isNeeded || files.bytes(path) != nil
            return isThere ? try HostFileOptions.load(path) : DeclaredHost()
        }
        guard let bytes = try files.bytes(path) else {
            guard isNeeded else { return DeclaredHost() }
            throw SRIOVError(
                .hostFileUnreadable, "there is no host file \(root)\(path)",
                remedy: "write one (Documentation/host-file.md has examples), or name it with -f FILE")
        }
        return try HostFile.parse(String(decoding: bytes, as: UTF8.self), file: "\(root)\(path)")
    }
}
