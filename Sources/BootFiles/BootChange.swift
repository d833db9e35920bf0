/// What is to be done with one file, or was found out about it.
public struct BootChange: Sendable, Hashable {
    /// What is done.
    public enum Action: String, Sendable, Hashable {
        /// It is not there yet, or our part of it is not.
        case add
        /// It is ours, and is to be otherwise.
        case update
        /// It is ours, and is not wanted any more: what was there before comes back.
        case remove
        /// It is as it is to be.
        case keep
        /// Somebody else has written it, or has changed what was ours: it is left alone unless that is wished.
        case foreign
    }

    /// The file.
    public var path: String
    /// What it is about.
    public var topic: BootTopic
    /// What is done.
    public var action: Action
    /// Why it is somebody else's.
    public var reason: String?
    /// The text that is there; nil when there is none. A link's is `→ TARGET`.
    public var before: String?
    /// The text that is to be there; nil when there is to be none.
    public var after: String?
    /// What is to be of it; nil for what is removed.
    var file: BootFile?
    /// The bytes that are to be there; nil when the file is to be removed. A link has none.
    var bytes: [UInt8]?
}

/// Our part of a file that others write too.
enum SharedFile {
    private static let begin = "# BEGIN Sluice (sluice boot install writes what is between these lines)\n"
    private static let end = "# END Sluice\n"

    /// Whether a text has one block at most, and both of its marks.
    static func isSound(_ text: String) -> Bool {
        let (begins, ends) = (text.ranges(of: begin).count, text.ranges(of: end).count)
        return begins == ends && begins <= 1
    }

    /// The block of a text; nil when it has none.
    static func block(of text: String) -> String? {
        guard let start = text.firstRange(of: begin),
            let stop = text[start.upperBound...].firstRange(of: end)
        else { return nil }
        return String(text[start.upperBound..<stop.lowerBound])
    }

    /// The text with a block in the place of the one that it has, or at its end; without any when it is nil.
    static func text(_ text: String, withBlock block: String?) -> String {
        let part = block.map { begin + $0 + end } ?? ""
        if let start = text.firstRange(of: begin), let stop = text[start.upperBound...].firstRange(of: end) {
            return text[..<start.lowerBound] + part + text[stop.upperBound...]
        }
        return text.isEmpty || text.hasSuffix("\n") || part.isEmpty ? text + part : "\(text)\n\(part)"
    }

    /// The words of a text's first line.
    static func words(of text: String) -> [String] {
        text.prefix { $0 != "\n" }.split(whereSeparator: \.isWhitespace).map(String.init)
    }

    /// The text with words added to its first line, or taken from it.
    static func text(_ text: String, adding: [String] = [], removing: [String] = []) -> String {
        let rest = text.drop { $0 != "\n" }
        let before = words(of: text)
        let words = before.filter { !removing.contains($0) }
        let missing = adding.filter { !words.contains($0) }
        guard !missing.isEmpty || words != before else { return text }
        return (words + missing).joined(separator: " ") + (rest.isEmpty ? "\n" : rest)
    }
}
