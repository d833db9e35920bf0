internal import SRIOV

extension BootRenderer {
    /// The agent at boot, and libvirt after whoever makes the VFs.
    func addServices(to set: inout BootSet) {
        if options.startsAgent {
            addAgent(to: &set)
        } else if system.isAgentEnabled {
            set.note(.functions, "somebody else has enabled the agent, which makes VFs too: systemctl disable sluiced")
        }
        guard isForLibvirt || isWished(.libvirt) else { return }
        let makers = options.startsAgent ? "sluiced.service" : "systemd-udev-settle.service"
        for unit in system.libvirtUnits {
            set.files.append(
                .text(
                    "/etc/systemd/system/\(unit).d/50-sluice.conf", .libvirt,
                    "libvirt's networks and machines start when the VFs are there",
                    "[Unit]\nWants=\(makers)\nAfter=\(makers)\n"))
        }
    }

    private func addAgent(to set: inout BootSet) {
        guard let unit = system.agentUnit else {
            set.note(.agent, "sluiced.service is not installed there: install Sluice, then sluice boot install")
            return
        }
        let why = "the agent makes the VFs at boot and keeps them"
        let folder = unit.split(separator: "/").dropLast().joined(separator: "/")
        // What systemctl enable does, also in an image whose systemd does not run.
        for (target, name) in [("multi-user", "sluiced.service"), ("sockets", "sluiced.socket")] {
            set.files.append(
                BootFile("/etc/systemd/system/\(target).target.wants/\(name)", .agent, why, .link("/\(folder)/\(name)"))
            )
        }
    }
}
