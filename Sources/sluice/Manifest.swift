internal import Yams

/// A part of a Kubernetes manifest: YAML whose members keep their order.
indirect enum Manifest: Sendable {
    case text(String)
    case number(Int)
    case flag(Bool)
    case list([Manifest])
    case members([(String, Manifest)])

    /// The whole of it as a document.
    ///
    /// Throws what Yams throws.
    func document() throws -> String { try Yams.serialize(node: node, width: 110, sortKeys: false) }

    private var node: Node {
        switch self {
        case .text(let text):
            // What YAML would take for a number or a flag is quoted.
            let isPlain = (try? Yams.load(yaml: text) as? String) == text
            return Node(text, Tag(.str), isPlain ? .any : text.contains("\n") ? .literal : .doubleQuoted)
        case .number(let number): return Node("\(number)", Tag(.int))
        case .flag(let flag): return Node("\(flag)", Tag(.bool))
        case .list(let list): return Node(list.map(\.node), Tag(.seq))
        case .members(let members): return Node(members.map { (Node($0.0), $0.1.node) }, Tag(.map))
        }
    }
}

extension Manifest: ExpressibleByStringInterpolation, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    init(stringLiteral value: String) { self = .text(value) }
    init(integerLiteral value: Int) { self = .number(value) }
    init(booleanLiteral value: Bool) { self = .flag(value) }
    init(arrayLiteral elements: Manifest...) { self = .list(elements) }
    init(dictionaryLiteral elements: (String, Manifest)...) { self = .members(elements) }
}
