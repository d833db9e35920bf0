import Netlink
import SRIOV
import Testing

@testable import PCI

/// Two real servers recorded with umockdev, which are not part of the project.
enum Recordings {
    static let folder = #filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined() + "/shared/data/hosts"
    static let areThere = Files.exists(folder + "/hpe-haswell-82599.umockdev")
    static let reason: Comment = "the recorded servers are not beside the checkout (shared/data/hosts)"

    static func host(_ name: String) throws -> Host {
        let bytes = try #require(try LiveFileTree().contents("\(folder)/\(name).umockdev", limit: 1 << 26))
        return try HostReader(kernel: RecordedKernel(files: RecordedTree(bytes))).read()
    }
}

@Suite("Recorded servers", .enabled(if: Recordings.areThere, Recordings.reason))
struct RecordedServerTests {
    @Test("The HPE server: 208 functions, two nodes, an 82599 with two ports and no VFs")
    func hpe() throws {
        let host = try Recordings.host("hpe-haswell-82599")
        #expect(host.functions.count == 208)
        #expect(host.nodes.map(\.cpus.description) == ["0-5,12-17", "6-11,18-23"])
        #expect(!host.hasIOMMU)
        #expect(host.physicalFunctions.map(\.name) == ["eno49", "eno50"])
        let port = try #require(host.functions.first { $0.name == "eno49" })
        #expect(port.pci.address.description == "0000:04:00.0" && port.pci.driver == "ixgbe" && port.pci.numaNode == 0)
        #expect(
            port.pci.sriov
                == SRIOVCapability(
                    totalVFs: 63, enabledVFs: 0, offset: 128, stride: 2, vfDevice: 0x10ed, autoprobe: true,
                    virtualFunctions: []))
        #expect(port.pci.label == "Embedded FlexibleLOM 1 Port 1" && port.pci.acpiIndex == 49)
        #expect(port.link?.permanentAddress?.mac == MACAddress("5c:b9:01:89:c2:84") && port.speedMbps == 10000)
        #expect(port.pci.subsystem == PCIModel(vendor: 0x103c, device: 0x17d0))
    }

    @Test("The NVIDIA server: 16 VFs at offset 4 and stride 1, 106 groups, an NVMe drive with its serial number")
    func nvidia() throws {
        let host = try Recordings.host("nvidia-a2-16vf")
        #expect(host.functions.count == 226 && host.hasIOMMU)
        let gpu = try #require(host.physicalFunctions.first { $0.pci.classCode.isAccelerator })
        let vfs = host.virtualFunctions(of: gpu.pci.address)
        #expect(vfs.map(\.index) == Array(0..<16))
        for (index, vf) in vfs.enumerated() {
            #expect(vf.pci.address == gpu.pci.address.virtualFunction(index, offset: 4, stride: 1))
        }
        #expect(Set(vfs.compactMap(\.pci.iommuGroup)).count == 16)
        #expect(Set(host.functions.compactMap(\.pci.iommuGroup)).count == 106)
        #expect(host.functions.contains { $0.pci.serial == "S6S2NS0TA17548X" })
        let uplink = try #require(host.functions.first { $0.name == "eno50" })
        #expect(uplink.holders.map(\.description) == ["bond mgmt-bo (eno50)"])
    }

    @Test(
        "Devices are found by address, name, MAC and serial number",
        arguments: [
            "0000:04:00.0", "04:00.0", "eno49", "5c:b9:01:89:c2:84",
        ])
    func selector(text: String) throws {
        let host = try Recordings.host("hpe-haswell-82599")
        guard case .function(let function) = try DeviceSelector(host: host).device(text) else {
            throw SelectorFailure()
        }
        #expect(function.name == "eno49")
        #expect(throws: SRIOVError.self) { try DeviceSelector(host: host).device("eno51") }
    }

    private struct SelectorFailure: Error {}
}

@Suite struct RecordedTreeTests {
    private func tree(_ text: String) throws -> RecordedTree { try RecordedTree(Array(text.utf8)) }

    @Test("Attributes, links, hexadecimal attributes and escapes")
    func parts() throws {
        let tree = try tree(
            """
            P: /devices/pci0000:00/0000:00:02.0
            E: SUBSYSTEM=pci
            A: vendor=0x8086\\n
            A: odd=a\\\\n\\nb
            A: power/control=on\\n
            H: config=8680C910
            L: driver=../../../bus/pci/drivers/igb
            L: iommu_group=../../../kernel/iommu_groups/7

            """)
        let path = "/sys/bus/pci/devices/0000:00:02.0"
        #expect(try tree.text(path + "/vendor") == "0x8086")
        #expect(try tree.bytes(path + "/odd") == Array("a\\n\nb".utf8))
        #expect(try tree.bytes(path + "/config") == [0x86, 0x80, 0xc9, 0x10])
        #expect(try tree.linkName(path + "/driver") == "igb")
        #expect(try tree.entries(path)?.sorted() == ["config", "driver", "iommu_group", "odd", "power", "vendor"])
        #expect(try tree.entries("/sys/kernel/iommu_groups") == ["7"])
        #expect(try tree.entries("/sys/kernel/iommu_groups/7/devices") == ["0000:00:02.0"])
        #expect(
            try tree.text(path + "/missing") == nil && tree.link("/sys/nothing") == nil
                && tree.entries("/nothing") == nil)
        #expect(try tree.text("/sys/devices/pci0000:00/0000:00:02.0/power/control") == "on")
    }

    @Test(
        "What is no recording is told with its line",
        arguments: [
            ("hello\n", "line 1"), ("P: /devices/a\nX: b\n", "line 2"), ("A: a=b\n", "line 1"),
            ("P: relative\n", "line 1"),
            ("P: /a\n\nA: b=c\n", "line 3"),
        ])
    func malformed(text: String, place: String) {
        do {
            _ = try tree(text)
            Issue.record("it was accepted")
        } catch let error as SRIOVError {
            #expect(error.code == .badRecording && error.message.contains(place), "\(error)")
        } catch {
            Issue.record("\(error)")
        }
    }

    @Test("A host whose attributes are nonsense is read without a trap")
    func nonsense() throws {
        let tree = try tree(
            """
            P: /devices/pci0000:00/0000:00:02.0
            A: vendor=0xffffffffffff\\n
            A: device=0xffffffff\\n
            A: class=0xffffffff\\n

            P: /devices/pci0000:00/0000:00:03.0
            A: vendor=0xffffffff\\n
            A: device=0xffffffff\\n
            A: class=0xffffffff\\n
            A: numa_node=99999999999999999999\\n
            A: sriov_totalvfs=-5\\n
            A: sriov_numvfs=many\\n
            L: virtfn70000=../0000:00:03.1
            L: virtfn1=../elsewhere
            L: physfn=../0000:00:03.0
            L: iommu_group=group

            P: /devices/pci0000:00/0000:00:03.0/net/a
            A: ifindex=-1\\n
            A: flags=zz\\n
            A: address=::\\n

            """)
        let host = try HostReader(kernel: RecordedKernel(files: tree)).read()
        #expect(host.functions.count == 1)
        #expect(host.functions[0].pci.sriov?.totalVFs == 0)
    }
}

@Suite("A snapshot of the lab")
struct SnapshotFixtureTests {
    private func host() throws -> Host {
        let path = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined() + "/Fixtures/lab.snapshot"
        let bytes = try #require(try LiveFileTree().contents(path, limit: 1 << 26))
        return try HostReader(kernel: RecordedKernel(files: RecordedTree(bytes))).read()
    }

    @Test("shows four igb ports with seven VFs each, their settings, drivers, nodes and groups")
    func ports() throws {
        let host = try host()
        #expect(host.hasIOMMU && host.nodes.count == 2)
        let ports = host.physicalFunctions.filter { $0.pci.driver == "igb" }
        #expect(
            ports.map(\.name) == ["ens10", "ens11", "ens12", "ens13"] && ports.map(\.pci.numaNode) == [0, 0, 1, 1])
        for port in ports { #expect(host.virtualFunctions(of: port.pci.address).count == 7) }
        let vf = try #require(host.functions.first { $0.name == "ens10 vf 5" })
        #expect(
            vf.settings?.vlans == [VLAN(id: 100, qos: 3)] && vf.settings?.maxTxRateMbps == 500
                && vf.pci.driver == "igbvf")
        let trusted = try #require(host.functions.first { $0.name == "ens13 vf 0" })
        #expect(trusted.settings?.trust == true && trusted.settings?.mac == MACAddress("52:54:00:5c:00:01"))
        #expect(host.functions.contains { $0.pci.serial == "PM9A1-0001" })
    }
}
