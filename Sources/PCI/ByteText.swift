internal import CLinux

extension StringProtocol {
    /// Whether a text occurs, byte for byte. `contains` compares characters, and takes many times as long.
    package func hasBytes(of text: String) -> Bool {
        var (whole, part) = (String(self), text)
        return whole.withUTF8 { whole in
            part.withUTF8 { part in
                memmem(whole.baseAddress, whole.count, part.baseAddress, part.count) != nil
            }
        }
    }

    /// The lines, empty ones too.
    package var byteLines: [Substring] {
        Substring(self).utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { Substring($0) }
    }
}
