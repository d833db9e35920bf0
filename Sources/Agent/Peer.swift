internal import Glibc
internal import NIOCore
internal import NIOSSL

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
        case .user(let uid):
            getpwuid(uid).map { String(cString: $0.pointee.pw_name) } ?? "uid-\(uid)"
        case .certificate: "remote"
        }
    }

    /// The peer of a channel; nil when the kernel does not tell.
    static func of(_ channel: any Channel) async -> Peer? {
        // TLS asked for the certificate, and has let nobody in without.
        if channel.remoteAddress?.port != nil { return .certificate }
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
