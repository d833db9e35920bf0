internal import ArgumentParser
internal import HostFile
internal import Leasing
internal import PCI
internal import SRIOV
internal import Synchronization

/// The host file whose pools are shown beside the functions.
struct PoolOptions: ParsableArguments {
    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp(
            "The host file whose pools are shown (default \(HostFileOptions.defaultPath), if it is there).",
            valueName: "file"),
        completion: .file(extensions: ["yaml", "yml"]))
    var file: String?

    /// The pools of the file that was given or, on this host, of the usual one. A usual one that cannot be used shows no
    /// pools: looking at a host must work without it.
    func pools(of host: Host, _ kernel: any HostKernel, isLive: Bool) throws -> PoolNames {
        var declared: DeclaredHost?
        if let file {
            declared = try HostFileOptions.load(file)
        } else if isLive {
            declared = try? HostFileOptions.load(HostFileOptions.defaultPath)
        }
        guard let declared, !declared.pools.isEmpty else { return PoolNames(host: host, names: [:]) }
        let pools = PoolSet(declared, host: host, files: kernel.files, knownSerials: [:])
        let names = pools.pools.flatMap { pool in pool.members.map { ($0.identity, pool.name) } }
        return PoolNames(host: host, names: Dictionary(names, uniquingKeysWith: { first, _ in first }))
    }
}

/// Which pool a function belongs to.
struct PoolNames {
    let host: Host
    let names: [FunctionIdentity: String]

    func pool(of function: Function) -> String? {
        names.isEmpty ? nil : names[FunctionIdentity(function, in: host)]
    }
}

/// Where the declared state comes from.
struct HostFileOptions: ParsableArguments {
    static let defaultPath = "/etc/sluice/host.yaml"

    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp("The host file; - is standard input.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml"]))
    var file = HostFileOptions.defaultPath

    static func load(_ path: String) throws -> DeclaredHost {
        let (text, name) = try read(path)
        return try HostFile.parse(text, file: name)
    }

    /// A host file's text, and what it is called where a place in it is told. Standard input is read once and kept.
    static func read(_ path: String) throws -> (text: String, name: String) {
        guard path == "-" else { return (try HostFile.text(of: path), path) }
        let text = try standardInput.withLock { kept in
            let text = try kept ?? HostFile.text(of: "/dev/stdin", name: "standard input")
            kept = text
            return text
        }
        return (text, "standard input")
    }

    private static let standardInput = Mutex<String?>(nil)
}
