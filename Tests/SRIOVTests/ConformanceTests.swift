import PCI
import SRIOV
import SluiceTesting
import Testing

@Suite struct ConformanceTests {
    @Test("The fake kernel keeps the rules of the conformance suite", arguments: KernelConformance.rules)
    func rule(_ rule: KernelConformance.Rule) throws {
        let kernel = FakeKernel.lab()
        var traits = KernelConformance.Traits()
        traits.hold = { address in
            kernel.hold(address, by: 4711)
            return { kernel.hold(address, by: nil) }
        }
        let port = try #require(PCIAddress("0000:82:00.0"))
        try KernelConformance(kernel: kernel, port: port, traits: traits).check(rule)
    }
}
