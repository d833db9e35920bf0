/// An element of an XML document, as a value. Whatever a document has besides what is looked at stays in it.
public struct XMLElement: Sendable, Hashable {
    /// The name with its prefix, as written: `interface`, `qemu:commandline`.
    public var name: String
    /// The attributes in the order of the document, declarations of namespaces among them.
    public var attributes: [Attribute]
    /// What is inside.
    public var children: [Node]

    /// A name and a value.
    public struct Attribute: Sendable, Hashable {
        /// The name with its prefix.
        public var name: String
        /// The value.
        public var value: String

        /// Makes an attribute.
        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// A part of an element's content.
    public indirect enum Node: Sendable, Hashable {
        /// An element.
        case element(XMLElement)
        /// Text.
        case text(String)
        /// Text that was written as CDATA.
        case data(String)
        /// A comment.
        case comment(String)
        /// A processing instruction.
        case instruction(target: String, text: String)
    }

    /// Makes an element of attributes and elements.
    public init(_ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ elements: [XMLElement] = []) {
        self.name = name
        self.attributes = attributes.map { Attribute($0.key, $0.value) }
        children = elements.map(Node.element)
    }

    /// Makes an element with a text.
    public init(_ name: String, text: String) {
        self.name = name
        attributes = []
        children = [.text(text)]
    }

    /// An attribute's value; nil takes it away.
    public subscript(attribute: String) -> String? {
        get { attributes.first { $0.name == attribute }?.value }
        set {
            guard let index = attributes.firstIndex(where: { $0.name == attribute }) else {
                if let newValue { attributes.append(Attribute(attribute, newValue)) }
                return
            }
            if let newValue { attributes[index].value = newValue } else { attributes.remove(at: index) }
        }
    }

    /// The elements inside.
    public var elements: [XMLElement] {
        children.compactMap { if case .element(let element) = $0 { element } else { nil } }
    }

    /// The elements inside that have a name.
    public func elements(_ name: String) -> [XMLElement] { elements.filter { $0.name == name } }

    /// The first element along a path of names.
    public func first(_ path: String...) -> XMLElement? {
        path.reduce(Optional(self)) { element, name in element?.elements.first { $0.name == name } }
    }

    /// The text inside, without blanks around it.
    public var text: String {
        let text = children.map { node in
            switch node {
            case .text(let text), .data(let text): text
            default: ""
            }
        }.joined()
        let start = text.drop(while: \.isWhitespace)
        return String(start.reversed().drop(while: \.isWhitespace).reversed())
    }

    /// Replaces the first element of the same name, or adds the element at the end.
    public mutating func set(_ element: XMLElement) {
        for (index, node) in children.enumerated() {
            guard case .element(let other) = node, other.name == element.name else { continue }
            children[index] = .element(element)
            return
        }
        append(element)
    }

    /// Adds an element at the end, before the blanks that end the last line.
    public mutating func append(_ element: XMLElement) { children.append(.element(element)) }

    /// Takes away the elements that satisfy a condition, with the line break before each.
    public mutating func removeElements(where condition: (XMLElement) -> Bool) {
        var kept: [Node] = []
        for node in children {
            if case .element(let element) = node, condition(element) {
                if case .text(let text)? = kept.last, text.allSatisfy(\.isWhitespace) { kept.removeLast() }
                continue
            }
            kept.append(node)
        }
        children = kept
    }

    /// Changes the first element of a name; an absent one is made.
    public mutating func change(_ name: String, _ body: (inout XMLElement) -> Void) {
        var element = first(name) ?? XMLElement(name)
        body(&element)
        set(element)
    }

    /// Changes the metadata, which is taken away when nothing is left of it.
    public mutating func changeMetadata(_ body: (inout XMLElement) -> Void) {
        change("metadata", body)
        if first("metadata")?.elements.isEmpty ?? false { removeElements { $0.name == "metadata" } }
    }

    /// The VLAN of a network, a port or an interface: `<vlan><tag id='42'/></vlan>`; nil for none.
    public var vlan: UInt16? {
        get { first("vlan", "tag")?["id"].flatMap { UInt16($0) } }
        set {
            removeElements { $0.name == "vlan" }
            guard let newValue else { return }
            append(XMLElement("vlan", [:], [XMLElement("tag", ["id": "\(newValue)"])]))
        }
    }
}
