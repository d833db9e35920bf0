public import PCI
internal import SRIOV

/// The files of a host's image: as its own root would have them, whatever its links say, and regular files only.
public struct ImageFiles: FileTree {
    private let files: RootedFiles

    /// The image that is mounted at a folder; this host without one.
    public init(root: String = "") { files = RootedFiles(root: root) }

    private func translated<Value>(_ path: String, _ body: () throws(SRIOVError) -> Value) throws(PCIError) -> Value {
        do throws(SRIOVError) {
            return try body()
        } catch {
            throw PCIError(.read, "read", path: files.root + path, errno: error.errno)
        }
    }

    /// See `FileTree`.
    public func bytes(_ path: String) throws(PCIError) -> [UInt8]? {
        try translated(path) { () throws(SRIOVError) in try files.read(path) }
    }

    /// See `FileTree`.
    public func contents(_ path: String, limit: Int) throws(PCIError) -> [UInt8]? {
        try bytes(path).map { Array($0.prefix(limit)) }
    }

    /// See `FileTree`.
    public func entries(_ path: String) throws(PCIError) -> [String]? {
        try translated(path) { () throws(SRIOVError) in try files.entries(path) }
    }

    /// See `FileTree`.
    public func link(_ path: String) throws(PCIError) -> String? {
        try translated(path) { () throws(SRIOVError) in try files.link(path) }
    }
}
