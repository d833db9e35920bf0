/// Something that happened on the host beside leases: a function came or went, something drifted, an apply ended.
public struct Note: Sendable, Hashable {
    /// The number in the ledger, ascending.
    public var number: Int64
    /// When, milliseconds since 1970.
    public var time: Int64
    /// What kind: `function.added`, `function.removed`, `drift`, `apply`, `error`.
    public var kind: String
    /// What it is about: a function's name or address, or a stable error code.
    public var subject: String
    /// What happened, in a sentence.
    public var text: String

    /// Makes a note that has no number yet.
    public init(time: Int64, kind: String, subject: String, text: String) {
        number = 0
        self.time = time
        self.kind = kind
        self.subject = subject
        self.text = text
    }
}
