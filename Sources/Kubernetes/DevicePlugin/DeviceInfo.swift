internal import FoundationEssentials
internal import Glibc
internal import Leasing
internal import PCI
internal import SRIOV

/// What others on the node are told of an allocated function (device-info-spec 1.1.0): multus hands it on to the pod's
/// network-status, and KubeVirt reads it there.
struct DeviceInfo: Codable {
    var type = "pci"
    var version = "1.1.0"
    /// Of a function whose vDPA device is given, `vdpa` takes its place.
    var pci: PCI?
    var vdpa: VDPA?

    struct PCI: Codable {
        var pciAddress: String
        var pfPciAddress: String?
        var rdmaDevice: String?
        enum CodingKeys: String, CodingKey {
            case pciAddress = "pci-address"
            case pfPciAddress = "pf-pci-address"
            case rdmaDevice = "rdma-device"
        }
    }

    struct VDPA: Codable {
        var parentDevice: String
        var driver: String
        var path: String?
        var pciAddress: String
        var pfPciAddress: String?
        enum CodingKeys: String, CodingKey {
            case parentDevice = "parent-device"
            case driver, path
            case pciAddress = "pci-address"
            case pfPciAddress = "pf-pci-address"
        }
    }

    init(_ member: Pool.Member, _ nodes: DeviceNodes) {
        let port = member.port.map { "\($0.pci.address)" }
        if let device = nodes.vdpa, let use = device.use {
            type = "vdpa"
            vdpa = VDPA(
                parentDevice: device.name, driver: use.rawValue, path: device.node, pciAddress: member.id,
                pfPciAddress: port)
        } else {
            pci = PCI(pciAddress: member.id, pfPciAddress: port, rdmaDevice: nodes.rdmaDevice)
        }
    }

    /// Writes it to a file; whoever reads that sees the whole of it. Throws when it cannot be written.
    func write(to path: String) throws {
        try NodeFiles.replace(path, with: try JSONEncoder.plain.encode(self))
    }
}

/// The files that hold it.
struct DeviceInfoFiles: Sendable {
    /// Where device plugins put them.
    let folder = "/var/run/k8s.cni.cncf.io/devinfo/dp"
    /// Where runtimes have those of interfaces put.
    private static let interfaces = "/var/run/k8s.cni.cncf.io/devinfo/cni"

    /// Removes what runtimes have had written of a function whose interface they have forgotten.
    static func removeInterfaces(of address: PCIAddress, files: any FileTree) {
        for name in ((try? files.entries(interfaces)) ?? nil) ?? [] {
            let path = "\(interfaces)/\(name)"
            guard let bytes = (try? files.contents(path, limit: 1 << 16)) ?? nil,
                let info = try? JSONDecoder().decode(DeviceInfo.self, from: Data(bytes)),
                info.pci?.pciAddress ?? info.vdpa?.pciAddress == "\(address)"
            else { continue }
            unlink(path)
        }
    }

    func path(_ resource: ResourceName, _ device: String) -> String {
        "\(folder)/\(resource.prefix)-\(resource.name)-\(device)-device.json"
    }

    /// Writes a device's file; whoever reads it sees the whole of it.
    ///
    /// Throws `LeasingError` when that cannot be done: the pod would be told nothing of its device.
    func write(_ info: DeviceInfo, _ resource: ResourceName, _ device: String) throws(LeasingError) {
        let path = path(resource, device)
        do {
            try info.write(to: path)
        } catch {
            throw LeasingError(
                .unprepared, "\(path) cannot be written: \(error)",
                remedy: "the agent needs to write to \(folder): ReadWritePaths= in its unit")
        }
    }

    /// Leaves the files of allocated devices, also of those that were allocated by somebody else before, and no others of
    /// these resources.
    func keep(
        of resources: [NodeResource], allocated: Set<FunctionIdentity>, mayRemove: Bool, files: any FileTree
    ) {
        let present = Set(((try? files.entries(folder)) ?? nil) ?? [])
        for resource in resources {
            for member in resource.members {
                let path = path(resource.name, member.id)
                let isPresent = present.contains(String(path.split(separator: "/").last ?? ""))
                switch (allocated.contains(member.identity), isPresent) {
                case (false, true): if mayRemove { unlink(path) }
                case (true, false):
                    guard
                        let nodes = try? resource.nodes(of: member.id, files: files)
                    else { continue }
                    try? write(DeviceInfo(member, nodes), resource.name, member.id)
                default: break
                }
            }
        }
    }
}

/// Small files for other programs of the node: readable by all, and replaced as a whole.
enum NodeFiles {
    static func replace(_ path: String, with data: Data) throws {
        let folder = path.split(separator: "/").dropLast()
        for count in 1...max(folder.count, 1) where !folder.isEmpty {
            let made = "/" + folder.prefix(count).joined(separator: "/")
            // The program's umask leaves others nothing.
            if mkdir(made, 0o755) == 0 {
                chmod(made, 0o755)
            } else if errno != EEXIST, errno != EROFS {
                throw POSIXError()
            }
        }
        let new = path + ".new"
        let descriptor = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard descriptor >= 0 else { throw POSIXError() }
        defer { close(descriptor) }
        fchmod(descriptor, 0o644)
        let written = data.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard written == data.count, rename(new, path) == 0 else {
            let error = POSIXError()
            unlink(new)
            throw error
        }
    }

    struct POSIXError: Error, CustomStringConvertible {
        let description = String(cString: strerror(errno))
    }
}
