internal import PCI
internal import SRIOV

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
    /// The function's vDPA device, whose node is for programs.
    var vdpa: VDPADevice?
    /// `/dev/vhost-net`, where the host has it.
    var vhostNet: String?
    /// `/dev/net/tun`, where the host has it.
    var tun: String?

    /// The group's node on the host.
    var vfioOnHost: String? { group.map { lacksIOMMU ? "/dev/vfio/noiommu-\($0)" : "/dev/vfio/\($0)" } }

    /// None.
    init() {}

    /// What a container is to get beside the nodes of a device's driver.
    struct Needs: Sendable, Hashable {
        var rdma = false
        var vdpa = false
        /// `/dev/vhost-net` and `/dev/net/tun`.
        var vhostNet = false

        init(rdma: Bool = false, vdpa: Bool = false, vhostNet: Bool = false) {
            (self.rdma, self.vdpa, self.vhostNet) = (rdma, vdpa, vhostNet)
        }

        init(_ nodes: Set<DeclaredPool.DeviceNode>) {
            self.init(
                rdma: nodes.contains(.rdma), vdpa: nodes.contains(.vdpa), vhostNet: nodes.contains(.vhostNet))
        }

        init(_ selector: ResourceSelector) {
            self.init(rdma: selector.isRDMA, vdpa: selector.vdpaType != nil, vhostNet: selector.needsVhostNet)
        }
    }

    /// The nodes of a function as it is bound now.
    ///
    /// Throws `PCIError` when sysfs cannot be read.
    init(of address: PCIAddress, _ needs: Needs, files: any FileTree) throws(PCIError) {
        let path = PCIReader.path(address)
        try self.init(below: path, needs, files: files)
        if needs.vdpa { vdpa = try VDPADevice.all(files)[address]?.first }
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
    }

    /// The nodes that any device may have, by its folder in sysfs.
    ///
    /// Throws `PCIError` when sysfs cannot be read.
    init(below path: String, _ needs: Needs, files: any FileTree) throws(PCIError) {
        if needs.vhostNet {
            vhostNet = try files.entries("/dev")?.contains("vhost-net") ?? false ? "/dev/vhost-net" : nil
            tun = try files.entries("/dev/net")?.contains("tun") ?? false ? "/dev/net/tun" : nil
        }
        guard needs.rdma, let name = try files.entries("\(path)/infiniband")?.first else { return }
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
