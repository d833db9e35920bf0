import Glibc
import PCI
import SRIOV
import Testing

extension LabSuite {
    @Suite("A kernel without IOMMU", .enabled(if: Lab.isVariant("no-iommu"), "runs in the lab's no-iommu variant"))
    struct NoIOMMUTests {
        @Test("is said in one sentence by plan and topology, and VFs are made all the same")
        func sentence() throws {
            let plan = try Lab.sluice("plan", "-f", ApplyTests.example)
            #expect(plan.status == 2 && plan.output.contains("the kernel uses no IOMMU"), "\(plan)")
            #expect(plan.output.contains("intel_iommu=on"))
            #expect(plan.output.components(of: "no IOMMU") == 1)
            let topology = try Lab.sluice("topology")
            #expect(topology.output.components(of: "The kernel uses no IOMMU") == 1, "\(topology.output)")
            let file = try Lab.file(
                "port.yaml",
                "physicalFunctions:\n  - match: { netdev: ens12 }\n    virtualFunctions: 2\n    driver: kernel\n")
            let applied = try Lab.sluice("apply", "-f", file, "--yes")
            #expect(applied.status == 0 && !applied.error.contains("IOMMU"), "\(applied)")
        }
    }

    @Suite(
        "libvirt on a kernel without IOMMU",
        .enabled(if: Lab.isVariant("no-iommu"), "runs in the lab's no-iommu variant"))
    struct NoIOMMULibvirtTests {
        init() throws { try Lab.reset() }

        @Test("libvirt complains of a symbolic link; Sluice refuses the start before, with cause and remedy")
        func refused() throws {
            for hooks in [false, true] {
                try Lab.reset()
                let libvirt = try LibvirtFixture(hooks: hooks)
                try libvirt.sluice("network", "sync")
                try libvirt.define("guest")
                try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant")
                let refused = try libvirt.tryVirsh("start", "guest")
                #expect(refused.status != 0)
                if hooks {
                    #expect(
                        refused.error.contains("[host.noIOMMU]") && refused.error.contains("intel_iommu=on"),
                        "\(refused)")
                } else {
                    #expect(refused.error.contains("iommu_group is not a symlink"), "\(refused)")
                    #expect(try Lab.sluice("doctor", "--message", refused.error).output.contains("[host.noIOMMU]"))
                }
            }
        }
    }

    @Suite("VFIO with IOMMUFD", .enabled(if: Lab.isVariant("iommufd"), "runs in the lab's iommufd variant"))
    struct IOMMUFDTests {
        @Test("A VF that a process has open through its character device keeps its port from being resized")
        func characterDevice() throws {
            let apply = try ApplyTests()
            try apply.makeVFs(driver: "vfio-pci")
            var descriptors: [Int32] = []
            try apply.expectRefusal(
                driver: "vfio-pci", holder: "pid \(getpid())",
                hold: { vf in
                    let folder = "\(PCIReader.path(vf.pci.address))/vfio-dev"
                    let name = try #require(try LiveFileTree().entries(folder)?.first)
                    descriptors = [open("/dev/iommu", O_RDWR | O_CLOEXEC), open("/dev/vfio/devices/\(name)", O_RDWR)]
                    try #require(descriptors.allSatisfy { $0 >= 0 })
                    // As a VMM does (struct vfio_device_bind_iommufd): from now on the device is its.
                    var binding: [UInt32] = [16, 0, UInt32(descriptors[0]), 0]
                    try #require(ioctl(descriptors[1], 0x3b76, &binding) == 0, "VFIO_DEVICE_BIND_IOMMUFD: \(errno)")
                    let reader = HostReader(kernel: try Lab.kernel())
                    let holders = try reader.holders(of: vf.pci).map(\.description)
                    #expect(holders.count == 1 && holders[0].contains("/dev/vfio/devices/\(name)"), "\(holders)")
                },
                release: { for descriptor in descriptors { close(descriptor) } })
            #expect(try Lab.sluice("apply", "-f", Lab.file("none.yaml", apply.port(0)), "--yes").status == 0)
        }
    }

    @Suite("A machine with one port", .enabled(if: Lab.isVariant("one-port"), "runs in the lab's one-port variant"))
    struct OnePortTests {
        @Test("has one; the missing ones of a host file are refused, the present one is planned")
        func list() throws {
            #expect(try Lab.host().physicalFunctions.filter { $0.pci.classCode.isNetwork }.map(\.name) == ["ens10"])
            let plan = try Lab.sluice("plan", "-f", ApplyTests.example)
            #expect(plan.status == 3 && plan.output.contains("device.notFound"), "\(plan)")
            #expect(plan.output.contains("sriov_numvfs 0 → 7"))
        }
    }
}

extension String {
    /// How often a text occurs.
    fileprivate func components(of text: String) -> Int { ranges(of: text).count }
}
