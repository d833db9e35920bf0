internal import SRIOV

extension BootRenderer {
    /// Who may open VFIO's nodes, and how much memory may be locked.
    func addAccess(to set: inout BootSet) {
        let isNeeded = isForLibvirt || isWished(.apparmor)
        if isNeeded, let place = system.vfioRule {
            set.note(.apparmor, "\(place) lets QEMU open VFIO's nodes already")
        } else if system.hasAppArmor, isNeeded {
            // virt-aa-helper adds the node of what a machine starts with; not that of what is plugged in by a network, in
            // every release (LP 1840552). The rules are read when a machine starts.
            set.files.append(
                BootFile(
                    "/etc/apparmor.d/local/abstractions/libvirt-qemu", .apparmor,
                    "QEMU may open VFIO's nodes, also of what is plugged in later", .block("/dev/vfio/[0-9]* rw,\n")))
        }
        if isWished(.vfioGroup) || system.hasStaticOwnership && isForLibvirt {
            set.files.append(
                .text(
                    "/etc/udev/rules.d/60-sluice-vfio.rules", .vfioGroup, "the group kvm may open VFIO's nodes",
                    "SUBSYSTEM==\"vfio\", OWNER=\"root\", GROUP=\"kvm\", MODE=\"0660\"\n"))
        }
        if isWished(.memlock) {
            let why = "what is passed through locks all memory of its machine"
            for unit in system.libvirtUnits where unit != "virtnetworkd.service" {
                set.files.append(
                    .text(
                        "/etc/systemd/system/\(unit).d/51-sluice-memlock.conf", .memlock, why,
                        "[Service]\nLimitMEMLOCK=infinity\n"))
            }
            set.files.append(
                .text(
                    "/etc/security/limits.d/50-sluice.conf", .memlock, why,
                    "@kvm hard memlock unlimited\n@kvm soft memlock unlimited\n"))
        }
    }
}
