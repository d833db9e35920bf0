internal import Netlink
internal import PCI
internal import SRIOV

extension Diagnosis {
    /// What is wrong with ports that have VFs.
    static func physicalFunctionFaults(_ host: Host) -> [Fault] {
        host.physicalFunctions.compactMap { port in
            guard let link = port.link, !link.isUp, let sriov = port.pci.sriov, sriov.enabledVFs > 0 else { return nil }
            return Fault(
                "pf.down", "\(port.name) is down", severity: .error, subject: "\(port.pci.address)",
                evidence: [
                    "/sys/class/net/\(link.name)/flags: IFF_UP is clear", "\(sriov.enabledVFs) VFs are enabled",
                ],
                // virNetDevSetNetConfig in libvirt's src/util/virnetdev.c.
                cause: "libvirt refuses its VFs (\"the PF is not online\"), and their guests have no link",
                remedies: ["declare the port in the host file: sluice apply brings it up, without addresses"])
        }
    }
}
