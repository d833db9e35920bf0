internal import CLinux
internal import Glibc
internal import SRIOV
internal import SystemPackage

/// The files of a host, or of its image mounted somewhere: no link of the image leads out of it.
struct RootedFiles {
    /// Where the image is mounted; empty for this host.
    let root: String

    /// What a file is.
    struct Status {
        var mode: UInt32
        var owner: UInt32
        var group: UInt32
    }

    /// What is at a path: a file or a symbolic link.
    struct Present {
        var bytes: [UInt8]?
        var link: String?
        var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
        /// Whether it can be read as text and written again without a loss.
        var isText: Bool { bytes.map { Array(String(decoding: $0, as: UTF8.self).utf8) == $0 } ?? true }
        /// It as text; a link's is `→ TARGET`.
        var shown: String? { link.map { "→ \($0)\n" } ?? text }
    }

    private func failure(_ what: String, _ path: String) -> SRIOVError {
        let code = Errno(rawValue: errno)
        return SRIOVError(
            .bootFile, "cannot \(what) \(root)\(path): \(code)",
            remedy: code == .permissionDenied || code == .notPermitted ? "run as root" : nil, errno: code)
    }

    private func split(_ path: String) -> (folder: String, name: String) {
        let end = path.lastIndex(of: "/") ?? path.startIndex
        return (String(path[..<end]), String(path[path.index(after: end)...]))
    }

    private func open(_ path: String, _ flags: Int32) -> Int32 {
        let base = Glibc.open(root.isEmpty ? "/" : root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard base >= 0 else { return -1 }
        defer { close(base) }
        return sluice_open_in_root(base, path.isEmpty ? "/" : path, UInt64(bitPattern: Int64(flags | O_CLOEXEC)), 0)
    }

    /// Opens the folder of a path for a body; nil when there is no such folder.
    private func within<Value>(
        _ path: String, _ what: String, _ body: (Int32, String) throws(SRIOVError) -> Value
    ) throws(SRIOVError) -> Value? {
        let (folder, name) = split(path)
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw failure(what, path)
        }
        defer { close(descriptor) }
        return try body(descriptor, name)
    }

    /// What is at a path, unresolved; nil when nothing is.
    func status(_ path: String) throws(SRIOVError) -> Status? {
        try within(path, "look at") { folder, name throws(SRIOVError) in
            var status = stat()
            guard fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                if errno == ENOENT { return Optional<Status>.none }
                throw failure("look at", path)
            }
            return Status(
                mode: status.st_mode & 0o7777, owner: status.st_uid,
                group: status.st_gid)
        } ?? nil
    }

    /// A file's bytes, up to a megabyte; nil when there is none.
    func read(_ path: String) throws(SRIOVError) -> [UInt8]? {
        // A pipe of an image must not make the reader wait.
        let descriptor = open(path, O_RDONLY | O_NONBLOCK)
        guard descriptor >= 0 else {
            if [ENOENT, ENOTDIR, ENXIO].contains(errno) { return nil }
            throw failure("read", path)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("read", path) }
        guard status.st_mode & S_IFMT == S_IFREG else { return nil }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &part, part.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", path) }
            if count == 0 { return bytes }
            bytes += part[..<count]
            guard bytes.count <= 1 << 20 else {
                throw SRIOVError(.bootFile, "\(root)\(path) is larger than a configuration file can be (1 MiB)")
            }
        }
    }

    /// What is at a path; a link is not followed.
    func present(_ path: String) throws(SRIOVError) -> Present {
        if let link = try link(path) { return Present(bytes: nil, link: link) }
        return Present(bytes: try read(path), link: nil)
    }

    /// The names in a folder, in order; nil when there is no such folder.
    func entries(_ path: String) throws(SRIOVError) -> [String]? {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw failure("read", path)
        }
        guard let folder = fdopendir(descriptor) else {
            close(descriptor)
            throw failure("read", path)
        }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// What a symbolic link points to; nil when there is none.
    func link(_ path: String) throws(SRIOVError) -> String? {
        try within(path, "read") { folder, name throws(SRIOVError) in
            var target = [CChar](repeating: 0, count: 4096)
            let count = readlinkat(folder, name, &target, target.count)
            guard count >= 0 else {
                if [ENOENT, EINVAL].contains(errno) { return Optional<String>.none }
                throw failure("read", path)
            }
            return String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        } ?? nil
    }

    /// Makes a path's folders; returns those that were not there, outermost first.
    func makeFolders(of path: String, mode: UInt32 = 0o755) throws(SRIOVError) -> [String] {
        var made: [String] = []
        var folder = ""
        for part in split(path).folder.split(separator: "/") {
            folder += "/\(part)"
            let isMade = try within(folder, "make") { parent, name throws(SRIOVError) in
                if mkdirat(parent, name, mode) == 0 {
                    // The mode that is meant, whatever the umask.
                    guard fchmodat(parent, name, mode, 0) == 0, fsync(parent) == 0 else {
                        throw failure("make", folder)
                    }
                    return true
                }
                guard errno == EEXIST else { throw failure("make", folder) }
                return false
            }
            if isMade ?? false { made.append(folder) }
        }
        return made
    }

    /// Replaces a file as a whole: after a crash it is the old one or the new one.
    func replace(_ path: String, _ bytes: [UInt8], mode: UInt32, owner: UInt32 = 0, group: UInt32 = 0)
        throws(SRIOVError)
    {
        try change(path) { folder, name, new throws(SRIOVError) in
            let descriptor = openat(folder, new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw failure("write", path) }
            defer { close(descriptor) }
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw failure("write", path) }
                rest = rest.dropFirst(count)
            }
            // Who is not root writes what is his.
            if geteuid() == 0, fchown(descriptor, owner, group) != 0 { throw failure("write", path) }
            // An access list says what the mode is, and the mode is what is wanted in the end.
            guard keepAttributes(of: name, in: folder, descriptor), fchmod(descriptor, mode) == 0,
                fsync(descriptor) == 0
            else { throw failure("write", path) }
        }
    }

    /// Gives a new file what the one in its place has beyond owner and mode: an SELinux label, an access control list.
    /// False, with errno, when one cannot be given.
    private func keepAttributes(of name: String, in folder: Int32, _ descriptor: Int32) -> Bool {
        let old = openat(folder, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC)
        guard old >= 0 else { return true }
        defer { close(old) }
        // 64 KiB is the kernel's limit for the list, and for a value (xattr(7)).
        var names = [CChar](repeating: 0, count: 1 << 16)
        var value = [UInt8](repeating: 0, count: 1 << 16)
        let length = flistxattr(old, &names, names.count)
        for bytes in names.prefix(max(0, length)).split(separator: 0) {
            let name = String(decoding: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            // What is measured of the old content is none of the new one's.
            if ["security.ima", "security.evm"].contains(name) { continue }
            let count = fgetxattr(old, name, &value, value.count)
            if count < 0 {
                guard errno == ENODATA || errno == ENOTSUP else { return false }
                continue
            }
            // A label of another system's policy cannot be read or given here.
            if value.prefix(count).firstRange(of: Array(":unlabeled_t:".utf8)) != nil { continue }
            if fsetxattr(descriptor, name, value, count, 0) == 0 || errno == ENOTSUP { continue }
            guard name.hasPrefix("security."), [EPERM, EACCES, EINVAL].contains(errno) else { return false }
        }
        return true
    }

    /// Makes a symbolic link in the place of whatever is there.
    func replace(_ path: String, withLinkTo target: String) throws(SRIOVError) {
        try change(path) { folder, _, new throws(SRIOVError) in
            guard symlinkat(target, folder, new) == 0 else { throw failure("make the link", path) }
        }
    }

    private func change(_ path: String, _ make: (Int32, String, String) throws(SRIOVError) -> Void) throws(SRIOVError) {
        let isDone: Void? = try within(path, "write") { folder, name throws(SRIOVError) in
            // A name that no reader of the folder takes for its own; one that is left over is from a run that was killed.
            let new = ".\(name).sluice-new"
            unlinkat(folder, new, 0)
            do throws(SRIOVError) {
                try make(folder, name, new)
                guard renameat(folder, new, folder, name) == 0, fsync(folder) == 0 else { throw failure("write", path) }
            } catch {
                unlinkat(folder, new, 0)
                throw error
            }
        }
        guard isDone != nil else {
            errno = ENOENT
            throw failure("write", path)
        }
    }

    /// Removes a file or link, if it is there.
    func remove(_ path: String) throws(SRIOVError) {
        _ = try within(path, "remove") { folder, name throws(SRIOVError) in
            unlinkat(folder, ".\(name).sluice-new", 0)
            guard unlinkat(folder, name, 0) == 0 || errno == ENOENT else { throw failure("remove", path) }
            guard fsync(folder) == 0 else { throw failure("remove", path) }
        }
    }

    /// Removes a folder if it is empty; false when it is not.
    func removeFolder(_ path: String) throws(SRIOVError) -> Bool {
        try within(path, "remove") { folder, name throws(SRIOVError) in
            if unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return true }
            guard [ENOTEMPTY, EEXIST, EBUSY, ENOTDIR].contains(errno) else { throw failure("remove", path) }
            return false
        } ?? true
    }

    /// Takes a folder for a body's time, from everybody else who asks for it so.
    func locking<Value>(_ folder: String, _ body: () throws -> Value) throws -> Value {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY)
        guard descriptor >= 0 else { throw failure("lock", folder) }
        defer { close(descriptor) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw SRIOVError(.busy, "another sluice boot works in \(root)\(folder)", remedy: "wait for its end")
        }
        return try body()
    }
}
