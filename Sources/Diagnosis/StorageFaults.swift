internal import PCI
internal import SRIOV

extension FaultKind {
    /// What is wrong with drives.
    static let storageKinds = [takenAtBoot]

    static let takenAtBoot = FaultKind(
        "storage.takenAtBoot", "a drive of the host may be given to vfio-pci at the next boot", severity: .warning,
        found: "vfio-pci.ids of the command line and of /etc/modprobe.d, mounts and volumes",
        cause: "vfio-pci.ids takes all devices of a model, and which driver comes first is chance",
        [
            "take the model out of vfio-pci.ids",
            "name the drives that are for guests by serial number: passthrough in the host file",
        ])
}

extension Diagnosis {
    /// Drives of the host that the command line or modprobe gives to vfio-pci at the next boot.
    static func storageFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        let models = Dictionary(facts.modelsForVFIO, uniquingKeysWith: { first, _ in first })
        return host.functions.compactMap { function in
            let model = "\(function.pci.model)"
            guard function.pci.classCode.isStorage, let place = models[model] else { return nil }
            let uses = function.holders.filter { holder in
                switch holder.kind {
                case .mount, .volume: true
                default: false
                }
            }
            guard !uses.isEmpty else { return nil }
            return Fault(
                .takenAtBoot, "\(function.name) is the host's, and the next boot may give it to vfio-pci",
                subject: "\(function.pci.address)",
                evidence: ["\(place): vfio-pci.ids has \(model)"] + uses.map { "it is used by \($0.description)" },
                remedies: ["take \(model) out of vfio-pci.ids", FaultKind.takenAtBoot.remedies[1]])
        }
    }
}
