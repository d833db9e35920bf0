/// A text in another one, byte by byte. What the standard library has for it would double these programs.
package func find(_ part: String, in text: String) -> Range<String.Index>? {
    let (part, bytes) = (Array(part.utf8), text.utf8)
    var start = bytes.startIndex
    while start != bytes.endIndex {
        if bytes[start...].starts(with: part) { return start..<bytes.index(start, offsetBy: part.count) }
        bytes.formIndex(after: &start)
    }
    return nil
}

/// A text as a JSON string.
package func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case _ where scalar.value < 0x20:
            let digits = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
