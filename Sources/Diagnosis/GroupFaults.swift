internal import PCI
internal import SRIOV

extension FaultKind {
    /// What keeps a function that is bound to VFIO from being opened.
    static let groupKinds = [groupNotViable, reservedRegion]

    static let groupNotViable = FaultKind(
        "iommu.groupNotViable", "a function shares its IOMMU group with a device of the host",
        found: "the group of a function that is bound to VFIO, and the drivers in it",
        cause: "all functions of a group go to one virtual machine: QEMU says \"group N is not viable\"",
        [
            "sluice show FUNCTION lists the group",
            "bind the others too: passthrough with driver: vfio-pci in the host file, when the host can do without them",
            "put the card into another slot, or enable ACS in the firmware",
        ],
        messages: [
            KnownMessage("is not viable"),
            KnownMessage("Please ensure all devices within the iommu_group are bound to their vfio bus driver"),
        ])

    static let reservedRegion = FaultKind(
        "iommu.reservedRegion", "the firmware keeps memory of a device",
        found: "reserved_regions of the group of a function that is bound to VFIO has a line \"direct\"",
        cause: "the kernel refuses to pass it through (\"ineligible … due to platform RMRR requirement\")",
        [
            "HPE: advisory c04781229, conrep switches the region off for the slot",
            "take a VF of it instead, or another slot",
        ],
        messages: [
            KnownMessage(
                "failed to set iommu for container", "Operation not permitted",
                cause: "a reserved region (RMRR; HPE's servers have them), or no interrupt remapping",
                remedies: [
                    "dmesg says which: \"ineligible for IOMMU domain attach\" or \"No interrupt remapping support\"",
                    "HPE: advisory c04781229, conrep switches the region off for the slot",
                ]),
            KnownMessage("ineligible for IOMMU domain attach due to platform RMRR", isCause: true),
            KnownMessage("Firmware has requested this device have a 1:1 IOMMU mapping", isCause: true),
            KnownMessage(
                "Failed to set group container", "Invalid argument",
                cause: "a reserved region (RMRR; HPE's servers have them): dmesg has \"1:1 IOMMU mapping\""),
        ])
}

extension Diagnosis {
    /// What keeps a function that is bound to VFIO from being opened.
    static func groupFaults(_ host: Host, _ facts: HostFacts) -> [Fault] {
        let bound = host.functions.filter { $0.pci.isBoundToVFIO }
        let groups = Dictionary(facts.groups.map { ($0.number, $0) }, uniquingKeysWith: { first, _ in first })
        let ofHost = host.functionsOfHostByGroup
        return bound.compactMap { function in
            function.pci.iommuGroup.flatMap { group in notViable(function, group, ofHost[group] ?? []) }
        }
            + bound.compactMap { function in
                function.pci.iommuGroup.flatMap { groups[$0] }.flatMap { reserved($0, function) }
            }
    }

    /// Another function of the group is used by the host.
    private static func notViable(_ function: Function, _ group: Int, _ others: [Function]) -> Fault? {
        guard let other = others.first else { return nil }
        return Fault(
            .groupNotViable, "\(function.name) shares IOMMU group \(group) with a device of the host",
            subject: "\(function.pci.address)",
            evidence: others.map {
                "\($0.name) (\($0.pci.address)) of group \(group) is bound to \($0.pci.driver ?? "")"
            },
            remedies: [
                "bind it too: passthrough of \(other.pci.address) with driver: vfio-pci in the host file, when the host can do without it",
                "put the card into another slot, or enable ACS in the firmware",
            ])
    }

    /// Memory that the firmware keeps for the device. What is `direct-relaxable` (USB, graphics) is no obstacle
    /// (iommu_get_group_resv_regions and device_is_rmrr_locked in drivers/iommu).
    private static func reserved(_ group: IOMMUGroup, _ function: Function) -> Fault? {
        let regions = group.reservedRegions.filter { $0.kind == "direct" }
        guard !regions.isEmpty else { return nil }
        return Fault(
            .reservedRegion, "the firmware keeps memory of \(function.name)", subject: "\(function.pci.address)",
            evidence: regions.map { region in
                "/sys/kernel/iommu_groups/\(group.number)/reserved_regions: "
                    + "0x\(String(region.start, radix: 16))–0x\(String(region.end, radix: 16)) direct"
            })
    }
}
