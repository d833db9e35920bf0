internal import Glibc
internal import PCI
internal import SystemPackage

/// The program's own state: the journal of applies, the lock, and the serial numbers of devices in use.
public struct StateDirectory: Sendable {
    /// The folder, `/var/lib/sluice` unless told otherwise.
    public let path: String

    /// Uses a folder; it is made, with mode 0700, when something is first written.
    public init(path: String = "/var/lib/sluice") { self.path = path }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Makes the folder, with mode 0700, if it is not there.
    ///
    /// Throws `state.unusable`.
    package func prepare() throws(SRIOVError) { try make() }

    func make() throws(SRIOVError) {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/\(part)"
            if mkdir(path.hasPrefix("/") ? made : String(made.dropFirst()), 0o700) != 0, errno != EEXIST {
                throw failure("make the folder", path)
            }
        }
    }

    /// A file's text; nil when it is not there.
    func read(_ name: String) throws(SRIOVError) -> String? {
        do throws(PCIError) {
            return try LiveFileTree().contents(file(name), limit: 16 << 20).map { String(decoding: $0, as: UTF8.self) }
        } catch {
            throw SRIOVError(.state, "\(error)", remedy: "run as root, or choose another folder with --state")
        }
    }

    /// Replaces a file as a whole: after a crash it has the old text or the new.
    ///
    /// Throws `state.unusable`.
    package func replace(_ name: String, with text: String) throws(SRIOVError) {
        try make()
        let new = file(name + ".new")
        let descriptor = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("write", new) }
        defer { close(descriptor) }
        try append(text, to: descriptor, new)
        guard fsync(descriptor) == 0, rename(new, file(name)) == 0 else { throw failure("write", new) }
        try synchronise()
    }

    /// Makes the names in the folder durable.
    func synchronise() throws(SRIOVError) {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw failure("open", path) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw failure("write", path) }
    }

    func append(_ text: String, to descriptor: Int32, _ name: String) throws(SRIOVError) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw failure("write", name) }
            bytes = bytes.dropFirst(written)
        }
    }

    func failure(_ what: String, _ path: String) -> SRIOVError {
        let code = Errno(rawValue: errno)
        return SRIOVError(
            .state, "cannot \(what) \(path): \(code)",
            remedy: code == .permissionDenied || code == .notPermitted
                ? "run as root, or choose another folder with --state"
                : "nothing is changed on the host before its record is on disk; free the disk or choose another folder with --state",
            errno: code)
    }
}
