import Diagnosis
import PCI
import SRIOV
import SluiceTesting
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
            ("access.vfioNode", "vfio 0000:04:10.0: failed to open /dev/vfio/94: Operation not permitted"),
            ("pf.notFound", "eth0: Failed to rename network interface 3 from 'eth0' to 'eno49': File exists"),
            ("vf.held", "vfio 0000:04:10.0: failed to open /dev/vfio/94: Device or resource busy"),
            ("vf.driver", "vfio 0000:04:10.0: failed to open /dev/vfio/94: No such file or directory"),
            ("vf.driver", "Unmanaged PCI device 0000:04:10.0 must be manually detached from the host"),
            ("host.noIOMMU", "unsupported configuration: host doesn't support passthrough of host PCI devices"),
            (
                "host.noIOMMU",
                "internal error: Invalid device 0000:41:10.0 iommu_group file /sys/bus/pci/devices/0000:41:10.0/iommu_group is not a symlink"
            ),
            ("iommu.groupNotViable", "vfio 0000:04:10.0: group 94 is not viable"),
            ("vf.portProfile", "internal error: sending of PortProfileRequest failed."),
            (
                "vf.portProfile",
                "unsupported configuration: virtualport type 802.1Qbg is currently not supported on interfaces of type hostdev"
            ),
            ("domain.alias", "unsupported configuration: non unique alias detected: ua-x"),
            (
                "vf.driver",
                "Failed to add driver 'vfio-pci' to driver_override interface of PCI device '0000:41:10.2': No space left on device"
            ),
            ("vf.driver", "Failed to unbind PCI device '0000:41:10.2' from igbvf: Permission denied"),
            ("vf.driver", "Failed to trigger a probe for PCI device '0000:41:10.2': Permission denied"),
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
            ("vf.vlanTrunk", "unsupported configuration: vlan trunking is not supported by SR-IOV network devices"),
            ("vf.driver", "internal error: Failed to load PCI driver module vfio_pci: administratively prohibited"),
            (
                "domain.cachingMode",
                "qemu-system-x86_64: -device vfio-pci: Device assignment is not allowed without enabling caching-mode=on for Intel IOMMU."
            ),
            ("pf.vfsInTheWay", "igb 0000:04:00.0: 7 VFs already enabled. Disable before enabling 4 VFs"),
            ("pf.noMemorySpace", "ixgbe 0000:04:00.0: not enough MMIO resources for SR-IOV"),
            ("pf.driver", "vfio-pci 0000:04:00.0: Driver does not support SRIOV configuration via sysfs"),
            ("pf.driver", "vfio-pci 0000:04:00.0: Driver does not support SR-IOV configuration via sysfs"),
            ("pf.fewerVFs", "mlx5_core 0000:04:00.0: 16 VFs requested; only 8 enabled"),
            (
                "iommu.reservedRegion",
                "vfio-pci 0000:04:00.0: Firmware has requested this device have a 1:1 IOMMU mapping: Device is ineligible for IOMMU domain attach due to platform RMRR requirement.  Contact your platform vendor."
            ),
            (
                "host.noInterruptRemapping",
                "vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param \"allow_unsafe_interrupts\" to enable VFIO IOMMU support on this platform"
            ),
            ("vf.held", "vfio-pci 0000:04:10.0: Relaying device request to user (#10)"),
            (
                "access.vfioNode",
                "audit: type=1400 audit(1700000000.000:66): apparmor=\"DENIED\" operation=\"open\" profile=\"libvirt-1b2c\" name=\"/dev/vfio/94\" pid=4711 comm=\"qemu-system-x86\""
            ),
            (
                "access.selinux",
                "avc:  denied  { read write } for  pid=4711 comm=\"qemu-kvm\" name=\"94\" dev=\"devtmpfs\" scontext=system_u:system_r:svirt_t:s0 tcontext=system_u:object_r:vfio_device_t:s0 tclass=chr_file"
            ),
            (
                "domain.memoryLocked",
                "vfio_pin_pages_remote: RLIMIT_MEMLOCK (65536) exceeded"
            ),
            ("host.lockedDown", "Lockdown: modprobe: unsigned module loading is restricted; see man kernel_lockdown.7"),
            ("host.lockedDown", "modprobe: ERROR: could not insert 'ixgbe': Key was rejected by service"),
            ("host.noVirtualization", "Could not access KVM kernel module: No such file or directory"),
            ("pf.noMemorySpace", "bash: /sys/class/net/eno49/device/sriov_numvfs: write error: Cannot allocate memory"),
            ("pf.driver", "bash: /sys/bus/pci/devices/0000:04:00.0/sriov_numvfs: No such file or directory"),
            ("pf.fewerVFs", "tee: /sys/class/net/eno49/device/sriov_numvfs: Numerical result out of range"),
            ("pf.vfsInTheWay", "tee: /sys/class/net/eno49/device/sriov_numvfs: Device or resource busy"),
            (
                "pool.exhausted",
                "Insufficient compute resources: Claim pci failed."
            ),
            ("pool.exhausted", "PCI device request [InstancePCIRequest(count=1)] failed"),
            (
                "pool.exhausted",
                "nova.exception.NoValidHost: No valid host was found. There are not enough hosts available."
            ),
            (
                "openstack.portBinding",
                "nova.exception.PortBindingFailed: Binding failed for port 1b2c3d4e-0000-4000-8000-000000000001, please check neutron logs for more information."
            ),
            (
                "vf.held",
                "vfio-pci 0000:04:10.0: No device request channel registered, blocked until released by user"
            ),
            ("vf.slowMemory", "vfio-pci: Failed to mmap 0000:0a:00.0 BAR 1. Performance may be slow"),
            (
                "vf.settingRefused",
                "Cannot set interface MAC to 52:54:00:00:00:01 for ifname eno49 vf 3: Operation not permitted"
            ),
        ])
    func known(id: String, text: String) throws {
        let fault = try #require(KnownMessage.fault(in: text))
        #expect(fault.id == id && !fault.remedies.isEmpty && fault.evidence == ["the message: \(text)"])
    }

    @Test(
        "It is known in whatever a terminal or a log puts around it",
        arguments: [
            "error: Failed to start domain 'z-k8s-n-2'\nerror: internal error: network 'eno49-sr-iov' requires exclusive\n  access to interfaces, but none are available\n",
            "Nov 27 06:10:11 host libvirtd[1234]: internal error: network 'a' requires exclusive access to interfaces, but none are available",
            "2026-11-27 06:10:11.123+0000: 1234: error : networkAllocatePort:4321 : internal error: network 'a' requires exclusive access to interfaces, but none are available",
            "libvirt.libvirtError: internal error: network 'a' requires exclusive access to interfaces, but none are available\n\n  File \"nova/virt/libvirt/guest.py\"",
            "INTERNAL ERROR: NETWORK 'A' REQUIRES EXCLUSIVE ACCESS TO INTERFACES, BUT NONE ARE AVAILABLE",
        ])
    func surroundings(text: String) { #expect(KnownMessage.fault(in: text)?.id == "pool.exhausted") }

    @Test(
        "What a message names is looked up on the host: nodes, addresses, ports, and what the kernel has said of them")
    func evidence() throws {
        let kernel = FakeKernel.lab()
        let host = try HostReader(kernel: kernel).read()
        let port = try #require(host.physicalFunctions.first)
        let group = try #require(port.pci.iommuGroup)
        var facts = HostFacts()
        facts.log = ["apparmor=\"DENIED\" operation=\"open\" name=\"/dev/vfio/\(group)\" comm=\"qemu\""]
        let fault = try #require(
            KnownMessage.fault(
                in: "vfio \(port.pci.address): failed to open /dev/vfio/\(group): Permission denied", on: host, facts))
        #expect(
            fault.evidence.contains { $0.contains("/dev/vfio/\(group) is IOMMU group \(group)") }, "\(fault.evidence)")
        #expect(fault.evidence.contains { $0.hasPrefix("\(port.pci.address) is \(port.name), driver") })
        #expect(fault.evidence.contains("kernel log: \(facts.log[0])"))
        let unknown = try #require(
            KnownMessage.fault(in: "failed to open /dev/vfio/9999: Permission denied", on: host, facts))
        #expect(unknown.evidence.contains { $0.contains("there is no IOMMU group 9999") })
        let down = try #require(
            KnownMessage.fault(in: "VF 3 of PF '\(port.name)' because the PF is not online", on: host, facts))
        #expect(down.evidence.contains { $0.hasPrefix("\(port.name) (\(port.pci.address)) is ") }, "\(down.evidence)")
    }

    @Test("Anything else is not", arguments: ["", "error: Permission denied", "network 'default' is active"])
    func unknown(text: String) { #expect(KnownMessage.fault(in: text) == nil) }
}
