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
