/// An error as the Container Network Interface has it: its specification, section "Error".
public struct CNIError: Error, Sendable, Hashable, Codable {
    /// The version of the network's configuration; the runtime's own words are in it.
    public var cniVersion: String
    /// What kind of error it is; 1 to 99 are the specification's.
    public var code: Int
    /// What is wrong, in one sentence.
    public var msg: String
    /// What stands behind it, and what to do about it, a line each.
    public var details: String?

    /// What kinds of errors there are.
    public enum Code: Int, Sendable {
        /// The version of the configuration is not one that is spoken here.
        case incompatibleVersion = 1
        /// A field of the configuration is not supported.
        case unsupportedField = 2
        /// There is no such container: nothing has to be cleaned up.
        case unknownContainer = 3
        /// An environment variable is missing or wrong.
        case invalidEnvironment = 4
        /// Something could not be read or written.
        case inputOutput = 5
        /// The configuration cannot be decoded.
        case decodingFailed = 6
        /// The configuration contradicts itself.
        case invalidConfiguration = 7
        /// Something is in the way that passes: the runtime is to try again.
        case tryAgainLater = 11
        /// No interface can be added at the moment (STATUS).
        case notAvailable = 50
        /// The function could not be prepared, moved or cleaned.
        case failed = 100
        /// The container's interface is not as it was added (CHECK).
        case differs = 101
    }

    /// Makes an error of its parts. The version is filled in by whoever knows it.
    public init(_ code: Code, _ message: String, remedy: String? = nil) {
        cniVersion = ContainerNetwork.latestVersion
        self.code = code.rawValue
        msg = message
        details = remedy.map { "→ \($0)" }
    }

    /// The same, for a configuration of a version.
    func of(_ version: String) -> CNIError {
        var error = self
        error.cniVersion = version
        return error
    }
}
