public import SRIOV

/// A mistake in the host file.
public struct HostFileError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Where it is.
    public var position: SourcePosition
    /// What is wrong, and what is meant or allowed.
    public var message: String

    /// Makes an error.
    public init(_ position: SourcePosition, _ message: String) {
        self.position = position
        self.message = message
    }

    /// `FILE:LINE:COLUMN: MESSAGE`, as compilers write it.
    public var description: String { "\(position): \(message)" }
}

/// All mistakes of a host file, in the order of the text.
public struct HostFileErrors: Error, Sendable, CustomStringConvertible {
    /// The stable code for machines.
    public static let code = "hostfile.invalid"
    /// The mistakes; never empty.
    public var errors: [HostFileError]

    /// One mistake a line.
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}
