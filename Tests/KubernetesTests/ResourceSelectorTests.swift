import KubeletAPI
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

@testable import Kubernetes
@testable import Leasing

@Suite("What a list of resources selects functions by that the lab's have not")
struct ResourceSelectorTests {
    /// A VF of the lab's first port.
    private func member() throws -> Pool.Member {
        let text = "physicalFunctions: [{ match: { netdev: ens10 }, virtualFunctions: 1, driver: kernel }]\n"
        let pools = try PoolSet.lab(text, virtualFunctions: 1)
        return try #require(pools.others.first)
    }

    private func selects(
        _ member: Pool.Member, _ selectors: String, _ kind: String = "netDevice", files: any FileTree = Files(),
        _ firmware: FirmwareFacts? = nil
    ) throws -> Bool {
        let list = try ResourceList(
            #"{"resourceList":[{"resourceName":"r","deviceType":"\#(kind)","selectors":\#(selectors)}]}"#,
            prefix: "intel.com")
        #expect(list.findings.isEmpty, "\(list.findings)")
        let node = NodeFacts(
            of: try HostReader(kernel: FakeKernel.lab()).read(), for: list, files: files, firmware: firmware)
        return try #require(list.resources.first).selector(of: member, on: node) != nil
    }

    @Test("The firmware's number of a device")
    func acpiIndex() throws {
        var member = try member()
        #expect(try !selects(member, #"{"acpiIndexes":["101"]}"#))
        member.function.pci.acpiIndex = 101
        #expect(try selects(member, #"{"acpiIndexes":["7","101"]}"#))
        #expect(try !selects(member, #"{"acpiIndexes":["10"]}"#))
    }

    @Test("A port by its alternative names")
    func alternativeName() throws {
        var member = try member()
        member.port?.link?.alternativeNames = ["enp65s0f0", "uplink"]
        #expect(try selects(member, #"{"pfNames":["uplink"]}"#) && selects(member, #"{"pfNames":["enp65s0f0#0"]}"#))
        #expect(try !selects(member, #"{"pfNames":["uplink#1"]}"#))
    }

    @Test(
        "InfiniBand, by the port's address where the function has no netdev; partition keys by the first port's first")
    func infiniband() async throws {
        var member = try member()
        let path = PCIReader.path(member.function.pci.address)
        member.function.link = nil
        member.port?.link?.address = HardwareAddress(bytes: Array(repeating: 1, count: 20))
        #expect(try selects(member, #"{"linkTypes":["infiniband"]}"#))
        #expect(try !selects(member, #"{"linkTypes":["ether"]}"#))
        let files = Files(
            texts: ["\(path)/infiniband/mlx5_2/ports/1/pkeys/0": "0x8001\n"],
            folders: ["\(path)/infiniband": ["mlx5_2"]])
        let firmware = FirmwareFacts(kernel: FakeKernel.lab(), files: files)
        #expect(try !selects(member, #"{"pKeys":["0x8001"]}"#, files: files, firmware))
        #expect(await firmware.read([.partitionKey], of: [member]))
        #expect(await !firmware.read([.partitionKey], of: [member]))
        #expect(try selects(member, #"{"isRdma":true,"pKeys":["0xffff","0x8001"]}"#, files: files, firmware))
        #expect(try !selects(member, #"{"pKeys":["0xffff"]}"#, files: files, firmware))
        #expect(try !selects(member, #"{"pKeys":["0x8001"]}"#))
    }

    @Test("Accelerators are those of class 0x12 alone, and no network's; CDI has a class of its own for each kind")
    func accelerators() throws {
        var member = try member()
        #expect(try !selects(member, #"{"vendors":["8086"]}"#, "accelerator"))
        member.function.pci.classCode = PCIClass(rawValue: 0x12_0000)
        #expect(try selects(member, #"{"vendors":["8086"]}"#, "accelerator") && !selects(member, "{}"))
        let list = try ResourceList(
            #"{"resourceList":[{"resourceName":"qat","deviceType":"accelerator"}]}"#, prefix: "intel.com")
        let entry = try #require(list.resources.first)
        let resource = NodeResource(entry, [(member, entry.selectors.first)])
        let path = PCIReader.path(member.function.pci.address)
        let files = Files(
            links: ["\(path)/driver": "../../bus/pci/drivers/uio_pci_generic"], folders: ["\(path)/uio": ["uio4"]])
        let specification = try CDISpecification(of: resource, files: files)
        #expect(specification.qualifiedName(member.id) == "intel.com/accelerator-pci=\(member.id)")
        #expect(CDISpecification.path(of: resource) == "/var/run/cdi/sriov-dp-accelerator-pci-intel.com_qat.json")
        #expect(specification.devices.first?.containerEdits.deviceNodes.map(\.hostPath) == ["/dev/uio4"])
        // A VF of a UIO driver is told of by its node.
        let told = ContainerDevices(
            resource: resource, devices: [(member.id, try resource.nodes(of: member.id, files: files))]
        ).response
        #expect(told.devices.map(\.hostPath) == ["/dev/uio4"])
        #expect(
            told.envs["PCIDEVICE_INTEL_COM_QAT_INFO"]
                == #"{"\#(member.id)":{"generic":{"deviceID":"\#(member.id)"},"uio":{"mount":"/dev/uio4"}}}"#)
    }
}
