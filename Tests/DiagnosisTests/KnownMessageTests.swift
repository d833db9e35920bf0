import Diagnosis
import Testing

@Suite("Messages of libvirt and QEMU")
struct KnownMessageTests {
    @Test(
        "Each is known by the text that its source prints",
        arguments: [
            (
                "pf.down",
                "internal error: Unable to configure VF 3 of PF 'eno49' because the PF is not online. Please change host network config to put the PF online."
            ),
            ("domain.noPorts", "internal error: No more available PCI slots"),
            (
                "pool.exhausted",
                "internal error: network 'eno49-sr-iov' requires exclusive access to interfaces, but none are available"
            ),
            (
                "access.vfioNode",
                "internal error: qemu unexpectedly closed the monitor: vfio 0000:04:10.0: failed to open /dev/vfio/94: Permission denied"
            ),
            ("access.vfioNode", "vfio 0000:04:10.0: failed to open /dev/vfio/94: Device or resource busy"),
            ("vf.driver", "vfio 0000:04:10.0: failed to open /dev/vfio/94: No such file or directory"),
            ("vf.driver", "Unmanaged PCI device 0000:04:10.0 must be manually detached from the host"),
            ("host.noIOMMU", "unsupported configuration: host doesn't support passthrough of host PCI devices"),
            (
                "host.noIOMMU",
                "internal error: Invalid device 0000:41:10.0 iommu_group file /sys/bus/pci/devices/0000:41:10.0/iommu_group is not a symlink"
            ),
            ("iommu.groupNotViable", "vfio 0000:04:10.0: group 94 is not viable"),
            (
                "iommu.reservedRegion",
                "vfio 0000:04:00.0: failed to setup container for group 94: failed to set iommu for container: Operation not permitted"
            ),
            (
                "vf.held",
                "Requested operation is not valid: PCI device 0000:04:10.0 is in use by driver QEMU, domain z-k8s-n-1"
            ),
            ("network.inactive", "Requested operation is not valid: network 'eno49-sr-iov' is not active"),
            ("pf.noVFs", "internal error: No usable Vf's present on SRIOV PF eno49"),
            (
                "vf.notVirtual",
                "unsupported configuration: Interface type hostdev is currently supported on SR-IOV Virtual Functions only"
            ),
            ("domain.memoryLocked", "vfio 0000:04:10.0: VFIO_MAP_DMA failed: Cannot allocate memory"),
            (
                "vf.noReset",
                "internal error: Unable to reset PCI device 0000:05:00.0: no FLR, PM reset or bus reset available"
            ),
            (
                "domain.cannotMigrate",
                "Requested operation is not valid: cannot migrate a domain with <hostdev mode='subsystem' type='pci'>"
            ),
            (
                "vf.settingRefused",
                "Cannot set interface MAC to 52:54:00:00:00:01 for ifname eno49 vf 3: Operation not permitted"
            ),
        ])
    func known(id: String, text: String) throws {
        let fault = try #require(KnownMessage.fault(in: text))
        #expect(fault.id == id && !fault.remedies.isEmpty && fault.evidence == ["the message: \(text)"])
    }

    @Test("Anything else is not", arguments: ["", "error: Permission denied", "network 'default' is active"])
    func unknown(text: String) { #expect(KnownMessage.fault(in: text) == nil) }
}
