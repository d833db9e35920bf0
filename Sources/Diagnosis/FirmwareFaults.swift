internal import SRIOV

extension Diagnosis {
    /// What the firmware and the kernel's command line decide.
    static func firmwareFaults(_ host: Host, _ facts: KernelFacts) -> [Fault] {
        guard host.functions.contains(where: \.isAssignable) else { return [] }
        return [noIOMMU(host, facts), unsafeInterrupts(facts)].compactMap(\.self)
    }

    private static func noIOMMU(_ host: Host, _ facts: KernelFacts) -> Fault? {
        guard !host.hasIOMMU else { return nil }
        var evidence = ["/sys/kernel/iommu_groups is empty"]
        let options = facts.commandLine?.filter { $0.contains("iommu") }
        if let options {
            let text = options.isEmpty ? "says nothing of an IOMMU" : "says \(options.joined(separator: " "))"
            evidence.append("/proc/cmdline \(text)")
        }
        let firmware = "enable VT-d or AMD-Vi (also: SVM, IOMMU) in the firmware"
        // An option that forbids it is taken away, not added to.
        let off = options?.first { $0.hasSuffix("=off") }
        let kernel =
            off.map { "take \($0) off the kernel's command line" }
            ?? "boot with intel_iommu=on iommu=pt (Intel; AMD needs nothing on the command line)"
        var remedies = [firmware, kernel]
        if let tables = facts.iommuTables {
            if let table = tables.first {
                evidence.append("the firmware has it: /sys/firmware/acpi/tables/\(table)")
                remedies = [kernel]
            } else {
                evidence.append("the firmware tells of none: no DMAR, IVRS or IORT in /sys/firmware/acpi/tables")
            }
        }
        return Fault(
            "host.noIOMMU", "the kernel uses no IOMMU", severity: .error, evidence: evidence,
            cause: "without it no device can be passed through to a virtual machine", remedies: remedies)
    }

    private static func unsafeInterrupts(_ facts: KernelFacts) -> Fault? {
        guard facts.allowsUnsafeInterrupts else { return nil }
        return Fault(
            "host.unsafeInterrupts", "guests may send interrupts as they like", severity: .warning,
            evidence: ["\(KernelFacts.unsafeInterrupts) is Y"],
            cause: "interrupts are not remapped, so a guest with a device can send any interrupt of the host",
            remedies: [
                "enable VT-d with interrupt remapping in the firmware (x2APIC)",
                "then take allow_unsafe_interrupts=1 out of /etc/modprobe.d and off the kernel's command line",
            ])
    }
}
