internal import Glibc
internal import Leasing
internal import Libvirt
internal import PCI
internal import SRIOV

/// Whether QEMU will be able to open what it is given.
enum NodeAccess {
    /// Throws when a domain's QEMU runs as a user who may not open the VFIO node of one of its functions, and libvirt has
    /// been told not to hand the nodes over (`dynamic_ownership = 0` in qemu.conf). QEMU would end with "Permission
    /// denied".
    static func check(_ domain: DomainDescription, on host: Host) throws(LeasingError) {
        // The running domain's document has the user; whether libvirt hands nodes over is in its configuration, or said for
        // this domain.
        let label = domain.element.elements("seclabel").first { $0["model"] == "dac" }
        guard let label, let (uid, gid) = owner(label), uid != 0, label["relabel"] == "no" || isOwnershipStatic else {
            return
        }
        for address in domain.functions {
            guard let group = host[address]?.pci.iommuGroup else { continue }
            let path = "/dev/vfio/\(group)"
            var status = stat()
            guard stat(path, &status) == 0 else { continue }
            let isOpen =
                status.st_uid == uid && status.st_mode & 0o600 == 0o600
                || groups(uid, gid).contains(status.st_gid) && status.st_mode & 0o060 == 0o060
                || status.st_mode & 0o006 == 0o006
            guard !isOpen else { continue }
            throw LeasingError(
                LeasingError.Code(rawValue: "access.vfioNode"),
                "QEMU of \(domain.name) runs as user \(uid), who may not open \(path) (\(host[address]?.name ?? "\(address)"), "
                    + "owner \(status.st_uid), mode \(String(status.st_mode & 0o777, radix: 8))), and libvirt does not hand it over",
                remedy: "set dynamic_ownership = 1 in /etc/libvirt/qemu.conf and restart libvirtd; "
                    + "or a udev rule: SUBSYSTEM==\"vfio\", GROUP=\"kvm\", MODE=\"0660\"")
        }
    }

    /// All groups of a user: QEMU has the supplementary ones too, kvm among them.
    private static func groups(_ uid: UInt32, _ gid: UInt32) -> Set<UInt32> {
        guard let user = getpwuid(uid) else { return [gid] }
        var count: Int32 = 256
        var groups = [gid_t](repeating: gid, count: Int(count))
        guard getgrouplist(user.pointee.pw_name, gid, &groups, &count) >= 0 else { return [gid] }
        return Set(groups.prefix(Int(count)))
    }

    /// Whether qemu.conf says `dynamic_ownership = 0`; the last line counts.
    private static var isOwnershipStatic: Bool {
        let text = (try? LiveFileTree().wholeText("/etc/libvirt/qemu.conf")) ?? nil
        let values = (text ?? "").split(separator: "\n").compactMap { line -> Substring? in
            let parts = line.split(separator: "=", maxSplits: 1).map { $0.filter { !$0.isWhitespace } }
            return parts.count == 2 && parts[0] == "dynamic_ownership" ? parts[1][...] : nil
        }
        return values.last?.hasPrefix("0") ?? false
    }

    /// `+64055:+64055`
    private static func owner(_ label: XMLElement) -> (uid: UInt32, gid: UInt32)? {
        let parts = (label.first("label")?.text ?? "").split(separator: ":").map { $0.drop { $0 == "+" } }
        guard parts.count == 2, let uid = UInt32(parts[0]), let gid = UInt32(parts[1]) else { return nil }
        return (uid, gid)
    }
}
