internal import PCI
internal import SRIOV

extension Diagnosis {
    /// Drives of the host that the command line gives to vfio-pci at the next boot.
    static func storageFaults(_ host: Host, _ facts: KernelFacts) -> [Fault] {
        let models = facts.modelsForVFIO
        return host.functions.compactMap { function in
            let model = "\(function.pci.model)"
            guard function.pci.classCode.isStorage, models.contains(model) else { return nil }
            let uses = function.holders.filter { holder in
                switch holder.kind {
                case .mount, .volume: true
                default: false
                }
            }
            guard !uses.isEmpty else { return nil }
            return Fault(
                "storage.takenAtBoot", "\(function.name) is the host's, and the next boot may give it to vfio-pci",
                severity: .warning, subject: "\(function.pci.address)",
                evidence: ["/proc/cmdline: vfio-pci.ids has \(model)"] + uses.map { "it is used by \($0.description)" },
                cause: "vfio-pci.ids takes all devices of a model, and which driver comes first is chance",
                remedies: [
                    "take \(model) out of vfio-pci.ids",
                    "name the drives that are for guests by serial number: passthrough in the host file",
                ])
        }
    }
}
