internal import CLibvirt
internal import Glibc

extension XMLElement {
    /// The longest document that is read, bytes: a domain with hundreds of devices has a few hundred kilobytes.
    public static let maximumSize = 4 << 20

    /// Reads a document with libxml2, which libvirt itself reads it with.
    ///
    /// Throws `libvirt.malformed` when it is not XML, is too large, or has references to entities, which libvirt's
    /// documents never have; `libvirt.missing` on a host without libvirt.
    public init(parsing text: String) throws(LibvirtError) {
        let xml = try Library.functions()
        guard text.utf8.count <= Self.maximumSize else {
            throw LibvirtError(.malformed, "the document is larger than \(Self.maximumSize >> 20) MiB")
        }
        var text = text
        // No network, no messages to standard error; entities are not replaced.
        let options = Int32(XML_PARSE_NONET.rawValue | XML_PARSE_NOERROR.rawValue | XML_PARSE_NOWARNING.rawValue)
        let document = text.withUTF8 { bytes in
            bytes.baseAddress.flatMap { start in
                start.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
                    xml.xmlReadMemory($0, Int32(bytes.count), nil, "UTF-8", options)
                }
            }
        }
        guard let document else { throw LibvirtError(.malformed, "it is not a well-formed XML document") }
        defer { xml.xmlFreeDoc(document) }
        guard let root = xml.xmlDocGetRootElement(document) else {
            throw LibvirtError(.malformed, "the document is empty")
        }
        self = try Self.element(root, document, xml)
    }

    private static func element(
        _ node: xmlNodePtr, _ document: xmlDocPtr, _ xml: sluice_libvirt
    ) throws(LibvirtError) -> XMLElement {
        func qualified(_ name: UnsafePointer<xmlChar>?, _ space: xmlNsPtr?) -> String {
            let name = name.map { String(cString: $0) } ?? ""
            return (space?.pointee.prefix).map { String(cString: $0) + ":" + name } ?? name
        }
        var element = XMLElement(qualified(node.pointee.name, node.pointee.ns))
        var space = node.pointee.nsDef
        while let current = space {
            let prefix = current.pointee.prefix.map { ":" + String(cString: $0) } ?? ""
            let address = current.pointee.href.map { String(cString: $0) } ?? ""
            element.attributes.append(Attribute("xmlns" + prefix, address))
            space = current.pointee.next
        }
        var attribute = node.pointee.properties
        while let current = attribute {
            let value = xml.xmlNodeListGetString(document, current.pointee.children, 1)
            element.attributes.append(
                Attribute(
                    qualified(current.pointee.name, current.pointee.ns), value.map { String(cString: $0) } ?? ""))
            free(value)
            attribute = current.pointee.next
        }
        var child = node.pointee.children
        while let current = child {
            let content = current.pointee.content.map { String(cString: $0) } ?? ""
            switch current.pointee.type {
            case XML_ELEMENT_NODE: element.children.append(.element(try Self.element(current, document, xml)))
            case XML_TEXT_NODE: element.children.append(.text(content))
            case XML_CDATA_SECTION_NODE: element.children.append(.data(content))
            case XML_COMMENT_NODE: element.children.append(.comment(content))
            case XML_PI_NODE:
                let target = current.pointee.name.map { String(cString: $0) } ?? ""
                element.children.append(.instruction(target: target, text: content))
            default: throw LibvirtError(.malformed, "<\(element.name)> has a reference to an entity")
            }
            child = current.pointee.next
        }
        return element
    }

    /// Writes the element as a document, with libxml2.
    ///
    /// Throws `libvirt.missing` on a host without libvirt.
    public func document() throws(LibvirtError) -> String {
        let xml = try Library.functions()
        guard let document = xml.xmlNewDoc("1.0"), let buffer = xml.xmlBufferCreate() else {
            throw LibvirtError(.malformed, "there is no memory for the document")
        }
        defer {
            xml.xmlBufferFree(buffer)
            xml.xmlFreeDoc(document)
        }
        let root = node(in: document, xml)
        _ = xml.xmlDocSetRootElement(document, root)
        guard let root, xml.xmlNodeDump(buffer, document, root, 0, 0) >= 0, let content = xml.xmlBufferContent(buffer)
        else { throw LibvirtError(.malformed, "the document cannot be written") }
        return String(cString: content)
    }

    private func node(in document: xmlDocPtr, _ xml: sluice_libvirt) -> xmlNodePtr? {
        // Prefixes are parts of the names here, and declarations of namespaces are attributes.
        guard let node = xml.xmlNewDocNode(document, nil, name, nil) else { return nil }
        for attribute in attributes { _ = xml.xmlNewProp(node, attribute.name, attribute.value) }
        for child in children {
            let part: xmlNodePtr? =
                switch child {
                case .element(let element): element.node(in: document, xml)
                case .text(let text): xml.xmlNewDocText(document, text)
                case .data(let text): xml.xmlNewCDataBlock(document, text, Int32(text.utf8.count))
                case .comment(let text): xml.xmlNewDocComment(document, text)
                case .instruction(let target, let text): xml.xmlNewDocPI(document, target, text)
                }
            if let part { _ = xml.xmlAddChild(node, part) }
        }
        return node
    }
}
