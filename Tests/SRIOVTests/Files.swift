import Glibc
import PCI

/// Writes files that tests make.
enum Files {
    static func write(_ bytes: [UInt8], to path: String) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
    }

    static func removeTree(_ path: String) {
        let isLink = ((try? LiveFileTree().link(path)) ?? nil) != nil
        if !isLink, let names = (try? LiveFileTree().entries(path)) ?? nil {
            for name in names { removeTree("\(path)/\(name)") }
            rmdir(path)
        } else {
            unlink(path)
        }
    }

    static func exists(_ path: String) -> Bool { access(path, R_OK) == 0 }
}
