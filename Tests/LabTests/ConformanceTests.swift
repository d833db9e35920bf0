import PCI
import SRIOV
import SluiceTesting
import Testing

extension LabSuite {
    @Suite(
        "Linux keeps the rules of the conformance suite", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct ConformanceTests {
        @Test("igb and vfio-pci", arguments: KernelConformance.rules)
        func rule(_ rule: KernelConformance.Rule) throws {
            var traits = KernelConformance.Traits()
            traits.hold = { address in
                let device = try VFIODevice(address)
                return { device.close() }
            }
            let conformance = try KernelConformance(
                kernel: Lab.kernel(), port: Lab.address("0000:82:00.0"), traits: traits)
            try conformance.check(rule)
        }
    }
}
