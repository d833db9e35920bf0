import Glibc
import Netlink
import PCI
import SRIOV
import Testing

// Devices other than a port with VFs for guests, and what a whole host looks like.
extension LabSuite.ApplyTests {
    @Test("An NVMe drive goes to vfio-pci by its serial number and back, and the identical ones stay")
    func nvme() throws {
        func file(_ driver: String) throws -> String {
            try Lab.file(
                "nvme.yaml",
                "passthrough:\n  - match: { serial: PM9A1-0002, vendor: 1b36 }\n    driver: \(driver)\n")
        }
        func drivers() throws -> [String?] {
            try ["0000:01:00.0", "0000:02:00.0", "0000:03:00.0"].map { try Lab.host()[Lab.address($0)]?.pci.driver }
        }
        #expect(try Lab.sluice("apply", "-f", file("vfio-pci"), "--yes").status == 0)
        #expect(try drivers() == ["nvme", "vfio-pci", "nvme"])
        #expect(try Lab.sluice("plan", "-f", file("vfio-pci")).status == 0)
        #expect(try Lab.sluice("show", "PM9A1-0002", "-o", "name").output == "PM9A1-0002\n")
        #expect(try Lab.sluice("apply", "-f", file("kernel"), "--yes").status == 0)
        #expect(try drivers() == ["nvme", "nvme", "nvme"])
    }

    @Test("A drive with a mounted file system is refused")
    func mountedDrive() throws {
        let host = try Lab.host()
        let drive = try #require(host.functions.first { $0.pci.serial == "PM9A1-0003" })
        let names = try LiveFileTree().entries("/sys/class/block") ?? []
        let disk = try #require(
            try names.first {
                try LiveFileTree().link("/sys/class/block/\($0)")?.contains("\(drive.pci.address)/") ?? false
            })
        try Lab.run(["mke2fs", "-q", "-F", "/dev/\(disk)"])
        try Lab.run(["mkdir", "-p", "/mnt/disk"])
        try Lab.run(["mount", "/dev/\(disk)", "/mnt/disk"])
        defer { _ = try? Lab.run(["umount", "/mnt/disk"]) }
        let file = try Lab.file(
            "nvme.yaml", "passthrough:\n  - match: { serial: PM9A1-0003 }\n    driver: vfio-pci\n")
        let plan = try Lab.sluice("plan", "-f", file)
        #expect(plan.status == 3 && plan.output.contains("mounted at /mnt/disk"), "\(plan)")
        let evicted = try Lab.sluice("plan", "-f", file, "--evict", "/mnt/disk")
        #expect(evicted.status == 64, "\(evicted)")
    }

    @Test("An NVMe controller's VFs are made without network settings")
    func nvmeVFs() throws {
        let file = try Lab.file(
            "nvme.yaml",
            "physicalFunctions:\n  - match: { serial: SRIOV-0001 }\n    virtualFunctions: 4\n    driver: vfio-pci\n"
        )
        let applied = try Lab.sluice("apply", "-f", file, "--yes")
        #expect(applied.status == 0, "\(applied)")
        let host = try Lab.host()
        let vfs = host.functions.filter { $0.pci.physicalFunction == PCIAddress("0000:04:00.0") }
        #expect(vfs.count == 4 && vfs.allSatisfy { $0.pci.driver == "vfio-pci" })
    }

    @Test("A port with VFs makes itself no address and takes none, also when it was up before; its MTU is as declared")
    func quietPort() throws {
        func value(_ name: String) throws -> String? {
            try LiveFileTree().text("/proc/sys/net/ipv6/conf/ens12/\(name)")
        }
        try Lab.run(["ip", "link", "set", "ens12", "up", "addrgenmode", "eui64"])
        try Lab.write("1", to: "/proc/sys/net/ipv6/conf/ens12/accept_ra")
        let file = try Lab.file("quiet.yaml", port(2) + "\n    mtu: 2000\n")
        let plan = try Lab.sluice("plan", "-f", file)
        #expect(plan.output.contains("turn off IPv6 autoconfiguration"), "\(plan)")
        #expect(plan.output.contains("MTU 1500 → 2000"), "\(plan)")
        let applied = try Lab.sluice("apply", "-f", file, "--yes")
        #expect(applied.status == 0, "\(applied)")
        #expect(try value("accept_ra") == "0" && value("autoconf") == "0" && value("addr_gen_mode") == "1")
        #expect(try Lab.host().functions.first { $0.name == "ens12" }?.link?.mtu == 2000)
        #expect(try Lab.sluice("plan", "-f", file).status == 0)
        try Lab.run(["ip", "link", "set", "ens12", "mtu", "1500"])
    }

    @Test("A setting that the driver lacks fails for its VF, and the others are set")
    func unsupportedSetting() throws {
        let text =
            port(2)
            + "\n    defaults: { vlan: { id: 42 } }\n    ranges: [{ virtualFunctions: 1, linkState: disable }]\n"
        let applied = try Lab.sluice("apply", "-f", Lab.file("link.yaml", text), "--yes")
        #expect(applied.status == 1, "\(applied)")
        #expect(
            applied.error.contains("ens12 vf 1: set linkState of VF 1: Operation not supported"), "\(applied.error)"
        )
        #expect(try settings(0)?.vlans == [VLAN(id: 42)] && settings(1)?.vlans == [VLAN(id: 42)])
    }

    @Test("A snapshot shows what the live host shows")
    func snapshot() throws {
        #expect(try Lab.sluice("apply", "-f", Self.example, "--yes").status == 0)
        let path = "/tmp/lab.snapshot"
        unlink(path)
        #expect(try Lab.sluice("snapshot", "-f", path).status == 0)
        let live = try Lab.sluice("list", "-o", "json")
        let recorded = try Lab.sluice("list", "-o", "json", "--snapshot", path)
        #expect(recorded.status == 0 && recorded.output == live.output, "\(recorded) \(live)")
        let plan = try Lab.sluice("plan", "-f", Self.example, "--snapshot", path)
        #expect(plan.status == 0, "\(plan)")
    }
}
