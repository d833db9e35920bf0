internal import Diagnosis
internal import Glibc
internal import Leasing
internal import Libvirt
internal import PCI
internal import SRIOV

/// Whether QEMU will be able to open what it is given.
enum NodeAccess {
    /// Throws `access.vfioNode` when a domain's QEMU will not be allowed to open the VFIO node of one of its functions. QEMU
    /// would end with "Permission denied".
    static func check(_ domain: DomainDescription, on host: Host) throws(LeasingError) {
        for address in domain.functions { try check(address, in: domain, on: host, isAttached: false) }
    }

    /// Throws `access.vfioNode` when a running domain's QEMU will not be allowed to open the VFIO node of a function that it
    /// is about to get.
    static func checkBeforeAttach(
        _ address: PCIAddress, in domain: DomainDescription, on host: Host
    ) throws(LeasingError) { try check(address, in: domain, on: host, isAttached: true) }

    private static func check(
        _ address: PCIAddress, in domain: DomainDescription, on host: Host, isAttached: Bool
    ) throws(LeasingError) {
        guard let function = host[address], let group = function.pci.iommuGroup else { return }
        try checkOwner("/dev/vfio/\(group)", of: function, domain)
        try checkAppArmor("/dev/vfio/\(group)", of: function, domain, isAttached: isAttached)
    }

    /// QEMU runs as a user who may not open the node, and libvirt has been told not to hand nodes over
    /// (`dynamic_ownership = 0` in qemu.conf).
    private static func checkOwner(
        _ path: String, of function: Function, _ domain: DomainDescription
    ) throws(LeasingError) {
        // The running domain's document has the user; whether libvirt hands nodes over is in its configuration, or said for
        // this domain.
        let label = domain.element.elements("seclabel").first { $0["model"] == "dac" }
        guard let label, let (uid, gid) = owner(label), uid != 0, label["relabel"] == "no" || isOwnershipStatic else {
            return
        }
        var status = stat()
        guard stat(path, &status) == 0 else { return }
        let isOpen =
            status.st_uid == uid && status.st_mode & 0o600 == 0o600
            || groups(uid, gid).contains(status.st_gid) && status.st_mode & 0o060 == 0o060
            || status.st_mode & 0o006 == 0o006
        guard !isOpen else { return }
        throw LeasingError(
            LeasingError.Code(rawValue: "access.vfioNode"),
            "QEMU of \(domain.name) runs as user \(uid), who may not open \(path) (\(function.name), "
                + "owner \(status.st_uid), mode \(String(status.st_mode & 0o777, radix: 8))), and libvirt does not hand it over",
            remedy: "set dynamic_ownership = 1 in /etc/libvirt/qemu.conf and restart libvirtd; "
                + FaultKind.vfioGroupRemedy)
    }

    /// An administrator's rule forbids the node, or the profile that libvirt has written for the domain lacks it: a function
    /// that comes of a network is found only after that (LP#1775777; still so in libvirt 11.3).
    private static func checkAppArmor(
        _ path: String, of function: Function, _ domain: DomainDescription, isAttached: Bool
    ) throws(LeasingError) {
        // A profile of another name is an administrator's.
        let isConfined = domain.element.elements("seclabel").contains { label in
            label["model"] == "apparmor" && label.first("label")?.text == "libvirt-\(domain.uuid)"
        }
        guard isConfined, let profile = AppArmorProfile(ofDomain: domain.uuid) else { return }
        // To what is attached to a running domain libvirt adds the rule itself.
        guard profile.denies(path) || !isAttached && !profile.allows(path) else { return }
        throw LeasingError(
            LeasingError.Code(rawValue: "access.vfioNode"),
            "AppArmor will not let QEMU of \(domain.name) open \(path) (\(function.name)): "
                + (profile.denies(path) ? "a rule forbids it" : "libvirt's profile of the domain has no rule for it"),
            remedy: profile.denies(path)
                ? "take the deny rule for /dev/vfio away: grep -r 'deny.*/dev/vfio' /etc/apparmor.d"
                : FaultKind.appArmorRemedy)
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
        // A thousand lines of comments: looked at as bytes.
        let values = (text ?? "").utf8.split(separator: UInt8(ascii: "\n")).compactMap { line -> Bool? in
            let line = line.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            guard line.starts(with: "dynamic_ownership".utf8) else { return nil }
            let parts = Substring(line).split(separator: "=", maxSplits: 1).map { $0.filter { !$0.isWhitespace } }
            guard parts.count == 2, parts[0] == "dynamic_ownership" else { return nil }
            return parts[1].hasPrefix("0")
        }
        return values.last ?? false
    }

    /// `+64055:+64055`
    private static func owner(_ label: XMLElement) -> (uid: UInt32, gid: UInt32)? {
        let parts = (label.first("label")?.text ?? "").split(separator: ":").map { $0.drop { $0 == "+" } }
        guard parts.count == 2, let uid = UInt32(parts[0]), let gid = UInt32(parts[1]) else { return nil }
        return (uid, gid)
    }
}
