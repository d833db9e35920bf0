import Glibc
import HostFile
import Netlink
import PCI
import SRIOV
import Testing

@Suite struct RootTests {
    /// Makes a folder that looks like a host: attributes as files, links as links.
    private func makeRoot(_ files: [String: String], links: [String: String]) -> String {
        let root = "/tmp/sluice-root-\(UInt64.random(in: 0 ... .max))"
        func makeParents(_ path: String) {
            var folder = root
            mkdir(folder, 0o700)
            for part in path.split(separator: "/").dropLast() {
                folder += "/\(part)"
                mkdir(folder, 0o700)
            }
        }
        for (path, text) in files {
            makeParents(path)
            Files.write(Array(text.utf8), to: root + path)
        }
        for (path, target) in links {
            makeParents(path)
            symlink(target, root + path)
        }
        return root
    }

    @Test("A NIC whose netdev hangs below a virtio device is its PCI function's, and is not offered when it is in use")
    func nestedNetdev() throws {
        let device = "/sys/devices/pci0000:00/0000:00:03.0"
        let root = makeRoot(
            [
                device + "/vendor": "0x1af4\n", device + "/device": "0x1000\n", device + "/class": "0x020000\n",
                device + "/virtio2/net/eth0/ifindex": "2\n", device + "/virtio2/net/eth0/flags": "0x1003\n",
                device + "/virtio2/net/eth0/operstate": "up\n", "/netlink/routes/default": "2\n",
            ],
            links: [
                "/sys/bus/pci/devices/0000:00:03.0": "../../../devices/pci0000:00/0000:00:03.0",
                "/sys/class/net/eth0": "../../devices/pci0000:00/0000:00:03.0/virtio2/net/eth0",
                device + "/virtio2/net/eth0/device": "../../../virtio2",
                device + "/driver": "../../../bus/pci/drivers/virtio-pci",
            ])
        defer { Files.removeTree(root) }
        let kernel = RecordedKernel(files: LiveFileTree(root: root))
        let host = try HostReader(kernel: kernel).read()
        let card = try #require(host.functions.first)
        #expect(card.name == "eth0" && card.link?.index == 2)
        #expect(card.holders.map(\.kind) == [.defaultRoute])
        let declared = try HostFile.parse(
            "passthrough: [{ match: { address: 0000:00:03.0 }, driver: vfio-pci }]", file: "f")
        let plan = Planner(host: host, files: kernel.files).plan(to: declared)
        #expect(plan.stepCount == 0 && plan.devices[0].refusals.map(\.error.code) == [.held])
    }

    @Test(
        "A VFIO node is seen to be open however it is named: in a chroot, after its removal",
        arguments: ["/dev/vfio/32", "/srv/jail/dev/vfio/32", "/dev/vfio/32 (deleted)"])
    func openNode(_ path: String) throws {
        let device = "/sys/devices/pci0000:00/0000:04:10.0"
        let root = makeRoot(
            [
                device + "/vendor": "0x8086\n", device + "/device": "0x10ca\n", device + "/class": "0x020000\n",
                "/proc/77/comm": "vmm\n",
            ],
            links: [
                "/sys/bus/pci/devices/0000:04:10.0": "../../../devices/pci0000:00/0000:04:10.0",
                device + "/driver": "../../../bus/pci/drivers/vfio-pci",
                device + "/iommu_group": "../../../kernel/iommu_groups/32", "/proc/77/fd/5": path,
            ])
        defer { Files.removeTree(root) }
        let host = try HostReader(kernel: RecordedKernel(files: LiveFileTree(root: root))).read()
        #expect(
            host.functions.first?.holders == [Holder(.process(pid: 77, command: "vmm"), through: "/dev/vfio/32")])
    }

    @Test("A host is read below another root, with its netdev and its holders' files")
    func root() throws {
        let device = "/sys/devices/pci0000:00/0000:04:00.0"
        let root = makeRoot(
            [
                device + "/vendor": "0x8086\n", device + "/device": "0x10c9\n", device + "/class": "0x020000\n",
                device + "/numa_node": "1\n", device + "/sriov_totalvfs": "7\n", device + "/sriov_numvfs": "0\n",
                device + "/sriov_offset": "128\n", device + "/sriov_stride": "2\n",
                device + "/net/eno49/ifindex": "3\n", device + "/net/eno49/flags": "0x1003\n",
                device + "/net/eno49/address": "5c:b9:01:89:c2:84\n", device + "/net/eno49/operstate": "up\n",
                "/sys/devices/system/node/node1/cpulist": "6-11\n",
            ],
            links: [
                "/sys/bus/pci/devices/0000:04:00.0": "../../../devices/pci0000:00/0000:04:00.0",
                "/sys/class/net/eno49": "../../devices/pci0000:00/0000:04:00.0/net/eno49",
                device + "/net/eno49/device": "../../../0000:04:00.0",
                device + "/driver": "../../../bus/pci/drivers/igb",
                device + "/iommu_group": "../../../kernel/iommu_groups/7",
            ])
        defer { Files.removeTree(root) }
        let host = try HostReader(kernel: RecordedKernel(files: LiveFileTree(root: root + "/"))).read()
        let port = try #require(host.physicalFunctions.first)
        #expect(port.name == "eno49" && port.pci.driver == "igb" && port.pci.numaNode == 1 && port.pci.iommuGroup == 7)
        #expect(port.pci.sriov?.totalVFs == 7 && port.link?.isUp == true)
        #expect(host.nodes.map(\.cpus.description) == ["6-11"])
        // A recorded host is looked at, never written to.
        let kernel = RecordedKernel(files: LiveFileTree(root: root))
        let request = WriteRequest(path: device + "/sriov_numvfs", value: "3", operation: "enable VFs")
        #expect(kernel.write([request], deadline: .seconds(1)).first??.code == .recorded)
        #expect(try LiveFileTree(root: root).text(device + "/sriov_numvfs") == "0")
    }
}
