/// A subfunction (SF) of a PCI function: queues of their own without a PCI function of their own, on the auxiliary bus
/// (Documentation/networking/devlink/devlink-port.rst).
public struct Subfunction: Sendable, Hashable {
    /// `mlx5_core.sf.4`: the module, the kind and a number.
    public var name: String
    /// The function that it is of.
    public var parent: PCIAddress
    /// What its administrator has named it by; nil where its driver does not tell.
    public var number: Int?

    /// Where sysfs has it.
    public var path: String { "\(Self.folder)/\(name)" }
    private static let folder = "/sys/bus/auxiliary/devices"

    /// The subfunctions of a host, by name.
    ///
    /// Throws `PCIError` when sysfs cannot be read.
    public static func all(_ files: any FileTree) throws(PCIError) -> [Subfunction] {
        var subfunctions: [Subfunction] = []
        // A host without an auxiliary bus has no such folder. Other kinds on it are parts of functions: mlx5_core.eth.0.
        for name in try files.entries(folder)?.sorted() ?? [] where kind(of: name) == "sf" {
            // ../../../devices/pci0000:40/0000:40:00.0/0000:41:00.0/mlx5_core.sf.4
            guard let parent = try files.link("\(folder)/\(name)")?.split(separator: "/").dropLast().last,
                let address = PCIAddress(parent)
            else { continue }
            let number = try files.number("\(folder)/\(name)/sfnum", as: Int.self)
            subfunctions.append(Subfunction(name: name, parent: address, number: number))
        }
        return subfunctions
    }

    /// Of `mlx5_core.sf.4` the `sf`.
    private static func kind(of name: String) -> Substring? {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 3 && Int(parts[2]) != nil ? parts[1] : nil
    }
}
