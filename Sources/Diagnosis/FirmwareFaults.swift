internal import SRIOV

extension Diagnosis {
    /// What the firmware and the kernel's command line decide.
    static func firmwareFaults(_ host: Host) -> [Fault] {
        guard !host.hasIOMMU, host.functions.contains(where: \.isAssignable) else { return [] }
        return [
            Fault(
                "host.noIOMMU", "the kernel uses no IOMMU", severity: .error,
                evidence: ["/sys/kernel/iommu_groups is empty"],
                cause: "without it no device can be passed through to a virtual machine",
                remedies: [
                    "enable VT-d or AMD-Vi in the firmware",
                    "boot with intel_iommu=on iommu=pt (Intel; AMD needs nothing on the command line)",
                ])
        ]
    }
}
