internal import PCI

/// The nodes below /dev through which a container uses a function.
struct DeviceNodes: Sendable {
    /// VFIO's container, and the function's group; the second is named as in the container.
    var vfio: (container: String, group: String)? { group.map { ("/dev/vfio/vfio", "/dev/vfio/\($0)") } }
    /// The IOMMU group.
    private var group: Int?
    /// Whether there is no IOMMU: the group's node has another name on the host then (drivers/vfio/group.c).
    private var lacksIOMMU = false
    /// `/dev/uioN`.
    var uio: String?
    /// Of the function's RDMA device: uverbs, umad, issm, rdma_cm, by what the _INFO variable calls them.
    var rdma: [String: String] = [:]
    /// `mlx5_0`.
    var rdmaDevice: String?

    /// `/dev/vhost-net`, where the host has it.
    var vhostNet: String?
    /// `/dev/net/tun`, where the host has it.
    var tun: String?

    /// The group's node on the host.
    var vfioOnHost: String? { group.map { lacksIOMMU ? "/dev/vfio/noiommu-\($0)" : "/dev/vfio/\($0)" } }

    /// The nodes of a function as it is bound now.
    ///
    /// Throws `PCIError` when sysfs cannot be read.
    init(
        of address: PCIAddress, isRDMA: Bool = false, needsVhostNet: Bool = false, files: any FileTree
    ) throws(PCIError) {
        if needsVhostNet {
            vhostNet = try files.entries("/dev")?.contains("vhost-net") ?? false ? "/dev/vhost-net" : nil
            tun = try files.entries("/dev/net")?.contains("tun") ?? false ? "/dev/net/tun" : nil
        }
        let path = PCIReader.path(address)
        let driver = try files.linkName("\(path)/driver")
        if let driver, PCIFunction.isVFIODriver(driver) {
            group = try files.linkName("\(path)/iommu_group").flatMap { Int($0) }
            if let group {
                lacksIOMMU = try files.text("/sys/kernel/iommu_groups/\(group)/name") == "vfio-noiommu"
            }
        }
        if let driver, PCIFunction.isUIODriver(driver) {
            uio = try files.entries("\(path)/uio")?.first.map { "/dev/\($0)" }
        }
        guard isRDMA, let name = try files.entries("\(path)/infiniband")?.first else { return }
        rdmaDevice = name
        // One that is not there would keep the container from starting.
        if try files.entries("/dev/infiniband")?.contains("rdma_cm") ?? false {
            rdma["rdma_cm"] = "/dev/infiniband/rdma_cm"
        }
        if let verbs = try files.entries("\(path)/infiniband_verbs")?.first(where: { $0.hasPrefix("uverbs") }) {
            rdma["uverbs"] = "/dev/infiniband/\(verbs)"
        }
        for node in try files.entries("\(path)/infiniband_mad") ?? [] {
            for kind in ["umad", "issm"] where node.hasPrefix(kind) { rdma[kind] = "/dev/infiniband/\(node)" }
        }
    }
}
