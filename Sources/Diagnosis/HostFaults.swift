internal import SRIOV

extension FaultKind {
    /// What the firmware, the processor and the kernel decide.
    static let hostKinds = [noIOMMU, unsafeInterrupts, noInterruptRemapping, noVirtualization, noVFIO, lockedDown]

    static let noIOMMU = FaultKind(
        "host.noIOMMU", "the kernel uses no IOMMU",
        found:
            "/sys/kernel/iommu_groups is empty; the command line and the firmware's tables (DMAR, IVRS, IORT) say which "
            + "of the two it is",
        cause: "without it no device can be passed through to a virtual machine",
        [
            "enable VT-d or AMD-Vi (also: SVM, IOMMU) in the firmware",
            "boot with intel_iommu=on iommu=pt (Intel; AMD needs nothing on the command line): sluice boot install --only kernel",
        ],
        messages: [
            KnownMessage(
                "host doesn't support passthrough of host PCI devices",
                cause: "without an IOMMU, or without the vfio modules, nothing can be passed through",
                remedies: [
                    "enable VT-d or AMD-Vi in the firmware", "boot with intel_iommu=on iommu=pt", "modprobe vfio-pci",
                ]),
            KnownMessage(
                "iommu_group", "is not a symlink",
                cause: "the function is in no IOMMU group, so it cannot be passed through"),
        ])

    static let unsafeInterrupts = FaultKind(
        "host.unsafeInterrupts", "guests may send interrupts as they like", severity: .warning,
        found: "allow_unsafe_interrupts of vfio_iommu_type1 is Y",
        cause: "interrupts are not remapped, so a guest with a device can send any interrupt of the host",
        [
            "enable VT-d with interrupt remapping in the firmware (x2APIC)",
            "then take allow_unsafe_interrupts=1 out of /etc/modprobe.d and off the kernel's command line",
        ])

    static let noInterruptRemapping = FaultKind(
        "host.noInterruptRemapping", "interrupts cannot be remapped",
        found: "the kernel's log has \"No interrupt remapping support\"",
        cause: "without it a guest could send any interrupt of the host, so VFIO refuses",
        [
            "enable VT-d with interrupt remapping in the firmware (x2APIC)",
            "only where every guest is trusted: sluice boot install --only unsafe-interrupts, and a reboot",
        ],
        messages: [KnownMessage("No interrupt remapping support", isCause: true)])

    static let noVirtualization = FaultKind(
        "host.noVirtualization", "the processor's virtualization is off", severity: .warning,
        found: "the flags in /proc/cpuinfo have neither vmx nor svm",
        cause: "QEMU emulates the processor, many times slower, and most tools refuse to start a virtual machine",
        ["enable VT-x or SVM in the firmware", "in a virtual machine: nested virtualization of its host"],
        messages: [
            KnownMessage("Could not access KVM kernel module"),
            KnownMessage("invalid argument: could not find capabilities for domaintype=kvm"),
        ])

    static let noVFIO = FaultKind(
        "host.noVFIO", "the kernel has no vfio-pci",
        found: "neither /sys/module/vfio_pci nor modules.dep of the running kernel has it",
        cause: "it is the driver through which devices are passed through",
        [
            "install the kernel's whole set of modules (RHEL: kernel-modules, Ubuntu: linux-modules-extra)",
            "after an update of the kernel: reboot, its old modules are gone",
        ],
        messages: [
            KnownMessage(
                "/dev/vfio/vfio", "No such file or directory", title: "VFIO is not loaded",
                cause: "the module vfio is not loaded, or the program runs in a container without /dev/vfio",
                remedies: ["modprobe vfio-pci", "in a container: pass /dev/vfio/vfio in"])
        ])

    static let lockedDown = FaultKind(
        "host.lockedDown", "the kernel's lockdown forbids what is needed", severity: .warning,
        found: "/sys/kernel/security/lockdown, and a line \"Lockdown: … is restricted\" of the kernel's log",
        cause:
            "with Secure Boot the kernel loads no unsigned modules and lets nobody write to devices past their drivers",
        [
            "sign the driver's module with a key that the firmware knows (mokutil --import)",
            "or take the driver that the distribution signs", "or switch Secure Boot off",
        ],
        messages: [
            KnownMessage("Lockdown:", "is restricted; see man kernel_lockdown", isCause: true),
            KnownMessage("Loading of module with unavailable key is rejected"),
            KnownMessage("Key was rejected by service"),
        ])
}

extension Diagnosis {
    /// What the firmware and the kernel's command line decide.
    static func hostFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        guard host.functions.contains(where: \.isAssignable) else { return [] }
        return [
            noIOMMU(host, facts), unsafeInterrupts(facts), noInterruptRemapping(facts), noVirtualization(facts),
            noVFIO(facts), lockedDown(facts),
        ].compactMap(\.self)
    }

    private static func noIOMMU(_ host: Host, _ facts: HostFacts) -> Fault? {
        guard !host.hasIOMMU else { return nil }
        var evidence = ["/sys/kernel/iommu_groups is empty"]
        let options = facts.commandLine?.filter { $0.contains("iommu") }
        if let options {
            let text = options.isEmpty ? "says nothing of an IOMMU" : "says \(options.joined(separator: " "))"
            evidence.append("/proc/cmdline \(text)")
        }
        if let line = facts.log.last(where: { $0.contains("DMAR") || $0.contains("AMD-Vi") }) {
            evidence.append("kernel log: \(line)")
        }
        guard let tables = facts.iommuTables else {
            return Fault(
                .noIOMMU, evidence: evidence, remedies: [FaultKind.noIOMMU.remedies[0], kernelRemedy(options, nil)])
        }
        if let table = tables.first {
            evidence.append("the firmware has it: /sys/firmware/acpi/tables/\(table)")
            return Fault(.noIOMMU, evidence: evidence, remedies: [kernelRemedy(options, table)])
        }
        evidence.append("the firmware tells of none: no DMAR, IVRS or IORT in /sys/firmware/acpi/tables")
        return Fault(
            .noIOMMU, evidence: evidence, remedies: [FaultKind.noIOMMU.remedies[0], kernelRemedy(options, nil)])
    }

    /// What to do about the kernel, by the firmware's table.
    private static func kernelRemedy(_ options: [String]?, _ table: String?) -> String {
        // An option that forbids it is taken away, not added to.
        if let off = options?.first(where: { $0.hasSuffix("=off") }) {
            return "take \(off) off the kernel's command line"
        }
        switch table {
        case "IVRS": return "the kernel uses it without an option: dmesg | grep AMD-Vi says why it does not"
        case "IORT": return "the kernel uses it without an option: dmesg | grep -i smmu says why it does not"
        case "DMAR" where options?.contains("intel_iommu=on") ?? false:
            return "the kernel was told to use it and does not: dmesg | grep DMAR says why"
        default: return FaultKind.noIOMMU.remedies[1]
        }
    }

    private static func unsafeInterrupts(_ facts: HostFacts) -> Fault? {
        guard facts.allowsUnsafeInterrupts else { return nil }
        return Fault(.unsafeInterrupts, evidence: ["\(HostFacts.unsafeInterrupts) is Y"])
    }

    private static func noInterruptRemapping(_ facts: HostFacts) -> Fault? {
        guard !facts.allowsUnsafeInterrupts,
            let line = facts.log.last(where: { $0.contains("No interrupt remapping support") })
        else { return nil }
        return Fault(.noInterruptRemapping, evidence: ["kernel log: \(line)"])
    }

    private static func noVirtualization(_ facts: HostFacts) -> Fault? {
        guard let flags = facts.processorFlags, flags.isDisjoint(with: ["vmx", "svm"]) else { return nil }
        let place = flags.contains("hypervisor") ? " (this is a virtual machine)" : ""
        return Fault(.noVirtualization, evidence: ["/proc/cpuinfo: the flags have neither vmx nor svm\(place)"])
    }

    private static func noVFIO(_ facts: HostFacts) -> Fault? {
        guard facts.hasVFIO == false else { return nil }
        return Fault(
            .noVFIO,
            evidence: ["/sys/module/vfio_pci is not there, and modules.dep of the running kernel lacks vfio-pci"])
    }

    private static func lockedDown(_ facts: HostFacts) -> Fault? {
        guard let lockdown = facts.lockdown, lockdown != "none" else { return nil }
        let denied = facts.log.filter { $0.contains("Lockdown:") && $0.contains("is restricted") }
        // A kernel that is locked down and has denied nobody anything is in order.
        guard let last = denied.last(where: { $0.contains("module") || $0.contains("PCI") }) else { return nil }
        return Fault(.lockedDown, evidence: ["/sys/kernel/security/lockdown is \(lockdown)", "kernel log: \(last)"])
    }
}
