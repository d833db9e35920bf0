internal import Glibc
internal import Leasing
internal import PCI
internal import SRIOV

/// What sriov-cni has written down of a container that it gave a VF to, before this plugin took its place: its DEL comes
/// here.
struct FormerState: Sendable {
    /// sriov-cni's folder (config.DefaultCNIDir).
    private static let folder = "/var/lib/cni/sriov"

    /// The VF.
    let address: PCIAddress
    private let path: String

    /// The record of a container's interface; nil where there is none, or one that is not understood.
    init?(container: String, interface: String, files: any FileTree) {
        struct Record: Decodable { var deviceID: String? }
        // Both were checked to have no slash.
        path = "\(Self.folder)/\(container)-\(interface)"
        guard let bytes = (try? files.contents(path, limit: 1 << 20)) ?? nil,
            let record = try? CNIJSON.decode(Record.self, String(decoding: bytes, as: UTF8.self)),
            let address = record.deviceID.flatMap({ PCIAddress($0) })
        else { return nil }
        self.address = address
    }

    /// Removes the record, and what keeps sriov-cni from giving the VF away.
    ///
    /// Throws code 5 when the record stays: the next DEL would take the VF back from whoever has it then.
    func remove() throws(CNIError) {
        for path in ["\(Self.folder)/pci/\(address)", path] where unlink(path) != 0 && errno != ENOENT {
            let reason = String(cString: strerror(errno))
            throw CNIError(.inputOutput, "\(path) cannot be removed: \(reason)")
        }
    }
}

extension ContainerNetwork {
    /// Leases a VF that sriov-cni has given away, so that it is released like those of this plugin; nil when somebody else
    /// has it by now, or it went with its card.
    func adopt(_ former: FormerState, _ call: CNICall, _ attachment: String) async throws -> Lease? {
        let others = manager.leases.filter { $0.address == former.address }
        // One that the kubelet has allocated is this pod's, unless it says otherwise.
        let isOurs = others.allSatisfy { lease in
            lease.consumer.kind == .allocation && (lease.pod == nil || call.pod == nil || lease.pod == call.pod)
        }
        guard isOurs else { return nil }
        if let lost = others.first(where: { $0.state == .lost }) {
            _ = try await release(lost.id, takingDriver: false)
            return nil
        }
        guard try kernel.files.entries(PCIReader.path(former.address)) != nil else { return nil }
        guard manager.pools.member(at: former.address) != nil else {
            throw CNIError(
                .failed, "\(former.address), which sriov-cni has given away, is not a VF that the host file declares",
                remedy: "declare its port in the host file; then DEL cleans it")
        }
        if let namespace = PodNamespace(call.netns) { try await takeBack(former.address, namespace) }
        var request = LeaseRequest(
            function: former.address, consumer: Consumer(.person, "sriov-cni/\(call.containerID.prefix(100))"))
        request.attachment = attachment
        request.takesFrom = .allocation
        request.pod = call.pod
        return try await manager.acquire(request, actor: "cni").leases.first
    }
}
