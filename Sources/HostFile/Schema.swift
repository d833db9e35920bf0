/// The form of a part of the host file: what the checker accepts and the JSON Schema describes.
indirect enum Schema: Sendable {
    /// A mapping with these keys and no others.
    case mapping([Field])
    /// A mapping from names to parts of one form.
    case named(pattern: String, Schema)
    case list(Schema)
    case integer(ClosedRange<Int>)
    /// `on` or `off`; `true`, `false`, `yes`, `no` mean the same.
    case onOff
    case choice([String])
    /// Text of a form: how it is called, an example, a regular expression for editors, and the check itself.
    case text(Form)

    struct Field: Sendable {
        var key: String
        var schema: Schema
        var summary: String
        var isRequired = false
    }

    struct Form: Sendable {
        var name: String
        var example: String
        var pattern: String
        var isValid: @Sendable (String) -> Bool
    }
}
