import PCI

/// Files of sysfs that are made up.
struct Files: FileTree {
    var links: [String: String] = [:]
    var texts: [String: String] = [:]
    var folders: [String: [String]] = [:]

    func bytes(_ path: String) throws(PCIError) -> [UInt8]? { texts[path].map { Array($0.utf8) } }
    func contents(_ path: String, limit: Int) throws(PCIError) -> [UInt8]? { try bytes(path) }
    func link(_ path: String) throws(PCIError) -> String? { links[path] }
    func entries(_ path: String) throws(PCIError) -> [String]? { folders[path] }
}
