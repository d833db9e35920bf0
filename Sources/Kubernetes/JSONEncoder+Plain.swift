internal import FoundationEssentials

extension JSONEncoder {
    /// Writes the same value always alike, and paths as they are.
    static var plain: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }
}
