internal import Glibc
internal import NIOCore

/// Who is at the other end of a connection.
enum Peer: Sendable {
    /// A process of this host, by its user.
    case user(UInt32)
    /// A client with a certificate that the configured authorities have signed.
    case certificate

    /// What the ledger calls it.
    var name: String {
        switch self {
        case .user(let uid): "uid \(uid)"
        case .certificate: "certificate"
        }
    }

    /// A person's name for leases that are for nobody else.
    var person: String {
        switch self {
        case .user(let uid): Self.name(of: uid) ?? "uid-\(uid)"
        case .certificate: "remote"
        }
    }

    private static func name(of uid: UInt32) -> String? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 4096)
        guard getpwuid_r(uid, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return String(cString: entry.pw_name)
    }

    /// The process at the other end of a Unix socket; nil when the kernel does not tell.
    static func onUnixSocket(_ channel: any Channel) async -> Peer? {
        guard let provider = channel as? any SocketOptionProvider else { return nil }
        let level = NIOBSDSocket.OptionLevel(rawValue: SOL_SOCKET)
        let name = NIOBSDSocket.Option(rawValue: SO_PEERCRED)
        let credentials: Credentials? = try? await provider.unsafeGetSocketOption(level: level, name: name).get()
        return credentials.map { .user($0.uid) }
    }

    /// struct ucred.
    private struct Credentials: Sendable {
        var pid: Int32 = 0
        var uid: UInt32 = 0
        var gid: UInt32 = 0
    }
}
