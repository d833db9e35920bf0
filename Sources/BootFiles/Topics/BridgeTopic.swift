internal import SRIOV

extension BootRenderer {
    /// Virtual machines on one bridge reach each other whatever the host's packet filter says. Kubernetes needs the
    /// opposite.
    func addBridge(to set: inout BootSet) {
        guard isForLibvirt || isWished(.bridge) else { return }
        guard !declared.pools.contains(where: { $0.purpose == "kubernetes" }) else {
            set.note(.bridge, "a pool is for Kubernetes, whose services need bridged frames in the packet filter")
            return
        }
        set.files += Self.bridgeFiles
    }

    /// The settings, and a rule for them: they are there only as long as the module is, which sets them to 1 when it comes.
    package static let bridgeFiles: [BootFile] = {
        let why = "frames between virtual machines bypass the host's packet filter"
        let names = ["arptables", "ip6tables", "iptables"].map { "net.bridge.bridge-nf-call-\($0) = 0\n" }
        return [
            .text("/etc/sysctl.d/90-sluice-bridge.conf", .bridge, why, names.joined()),
            .text(
                "/etc/udev/rules.d/90-sluice-bridge.rules", .bridge, why,
                "ACTION==\"add\", SUBSYSTEM==\"module\", KERNEL==\"br_netfilter\", "
                    + "RUN+=\"/usr/lib/systemd/systemd-sysctl --prefix=/net/bridge\"\n"),
        ]
    }()
}
