extension BootRenderer {
    func addModules(to set: inout BootSet) {
        if passesThrough || isWished(.modules) {
            let names = vfioDrivers.union(["vfio-pci"]).sorted()
            set.files.append(
                .text(
                    "/etc/modules-load.d/sluice.conf", .modules, "drivers for passing through are there from the start",
                    names.joined(separator: "\n") + "\n"))
        }
        if hasEarlyDrives {
            // A drive is given to vfio-pci as soon as its serial number is known; waiting for a module then would take
            // long enough for its partitions to be found and used.
            set.files.append(
                .text(
                    "/etc/modprobe.d/sluice.conf", .devices, "vfio-pci is there before drives are found",
                    "softdep nvme pre: vfio-pci\n"))
        }
        if isWished(.unsafeInterrupts) {
            set.files.append(
                .text(
                    "/etc/modprobe.d/sluice-unsafe-interrupts.conf", .unsafeInterrupts,
                    "this platform cannot remap interrupts, and every guest is trusted",
                    "options vfio_iommu_type1 allow_unsafe_interrupts=1\n"))
        }
    }
}
