import HostFile
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

/// A fake host and what is declared for it.
final class Bench {
    let kernel = FakeKernel.lab()
    let state = StateDirectory(path: "/tmp/sluice-test-\(UInt64.random(in: 0 ... .max))")

    deinit { Files.removeTree(state.path) }

    func plan(_ text: String, _ options: Planner.Options = .init()) throws -> Plan {
        let declared = try HostFile.parse(text, file: "host.yaml")
        let host = try HostReader(kernel: kernel).read()
        return Planner(host: host, files: kernel, options: options).plan(to: declared)
    }

    @discardableResult
    func apply(_ text: String, _ options: Planner.Options = .init()) throws -> [DeviceReport] {
        let plan = try plan(text, options)
        return try Applier(kernel: kernel, state: state).apply(plan, file: "host.yaml", time: 0, interrupted: nil) {
            _ in
        }
    }

    func function(_ name: String) throws -> Function {
        try #require(try HostReader(kernel: kernel).read().functions.first { $0.name == name })
    }

    static func port(_ netdev: String = "ens12", _ count: Int, _ rest: String = "") -> String {
        "physicalFunctions:\n  - match: { netdev: \(netdev) }\n    virtualFunctions: \(count)\n\(rest)"
    }
}

@Suite struct PlannerTests {
    private let bench = Bench()

    private func titles(_ plan: Plan) -> [String] { plan.devices.flatMap { $0.steps.map(\.title) } }

    @Test("From nothing: port up, autoprobe off, VFs, settings, drivers, in this order")
    func order() throws {
        let plan = try bench.plan(
            Bench.port("ens12", 7, "    driver: vfio-pci\n    mtu: 9000\n    defaults: { vlan: { id: 5 } }\n"))
        #expect(
            titles(plan) == [
                "bring the port up, without addresses", "MTU 1500 → 9000", "sriov_drivers_autoprobe 1 → 0",
                "sriov_numvfs 0 → 7",
                "settings of 7 VFs", "bind 7 VFs to vfio-pci",
            ])
        #expect(plan.modules == ["vfio-pci"] && plan.warnings.isEmpty)
    }

    @Test("What was applied needs nothing more, and a second apply writes nothing")
    func idempotent() throws {
        let text = Bench.port(
            "ens12", 7, "    driver: vfio-pci\n    defaults: { vlan: { id: 5 }, trust: on, linkState: auto }\n")
        let reports = try bench.apply(text)
        #expect(reports.allSatisfy { $0.errors.isEmpty && $0.verified == 7 }, "\(reports)")
        let (writes, messages) = (bench.kernel.writes.count, bench.kernel.messages)
        #expect(try bench.plan(text).isEmpty)
        try bench.apply(text)
        #expect(bench.kernel.writes.count == writes && bench.kernel.messages == messages)
    }

    @Test("A changed VLAN is one step, one VF, one message")
    func oneVLAN() throws {
        try bench.apply(Bench.port("ens12", 7, "    driver: vfio-pci\n    defaults: { vlan: { id: 5 } }\n"))
        let (writes, messages) = (bench.kernel.writes.count, bench.kernel.messages)
        let text = Bench.port(
            "ens12", 7,
            "    driver: vfio-pci\n    defaults: { vlan: { id: 5 } }\n    ranges: [{ virtualFunctions: 3, vlan: { id: 6 } }]\n"
        )
        #expect(try titles(bench.plan(text)) == ["vlan of vf 3"])
        try bench.apply(text)
        #expect(bench.kernel.writes.count == writes && bench.kernel.messages == messages + 1)
        #expect(try bench.function("ens12 vf 3").settings?.vlans == [VLAN(id: 6)])
    }

    @Test("A held VF refuses every other number of VFs, and nothing else of its port changes", arguments: [0, 2, 4])
    func held(count: Int) throws {
        try bench.apply(Bench.port("ens12", 3, "    driver: vfio-pci\n"))
        bench.kernel.hold(try bench.function("ens12 vf 1").pci.address, by: 4711)
        let writes = bench.kernel.writes.count
        let plan = try bench.plan(Bench.port("ens12", count, "    driver: vfio-pci\n    mtu: 9000\n"))
        #expect(plan.hasRefusals && plan.devices[0].steps.isEmpty)
        let refusal = try #require(plan.devices[0].refusals.first)
        #expect(refusal.error.code == .held && refusal.holders.map(\.function) == ["ens12 vf 1"])
        #expect(refusal.holders.first?.holder.kind == .process(pid: 4711, command: "holder"))
        try bench.apply(Bench.port("ens12", count, "    driver: vfio-pci\n    mtu: 9000\n"))
        #expect(bench.kernel.writes.count == writes)
        var options = Planner.Options()
        options.evicted = ["pid:4711"]
        #expect(try !bench.plan(Bench.port("ens12", count, "    driver: vfio-pci\n"), options).hasRefusals)
        options.evicted = ["pid:4712"]
        #expect(try bench.plan(Bench.port("ens12", count, "    driver: vfio-pci\n"), options).hasRefusals)
    }

    @Test("A held VF keeps its settings and its driver; the others change")
    func heldSettings() throws {
        try bench.apply(Bench.port("ens12", 3, "    driver: vfio-pci\n"))
        bench.kernel.hold(try bench.function("ens12 vf 1").pci.address, by: 4711)
        let text = Bench.port("ens12", 3, "    driver: vfio-pci\n    defaults: { vlan: { id: 9 } }\n")
        let plan = try bench.plan(text)
        #expect(plan.devices[0].refusals.count == 1 && titles(plan) == ["settings of 2 VFs"])
        let reports = try bench.apply(text)
        #expect(reports.allSatisfy { $0.errors.isEmpty })
        #expect(try bench.function("ens12 vf 0").settings?.vlans == [VLAN(id: 9)])
        #expect(try bench.function("ens12 vf 1").settings?.vlans == [])
        let kernelDriver = try bench.plan(Bench.port("ens12", 3, "    driver: kernel\n"))
        #expect(kernelDriver.devices[0].refusals.count == 1)
        #expect(titles(kernelDriver) == ["bind 2 VFs to igbvf"])
    }

    @Test("A resize keeps the settings that nobody declared")
    func kept() throws {
        try bench.apply(Bench.port("ens12", 3))
        var settings = VirtualFunctionSettings()
        settings.mac = MACAddress(rawValue: 0x5254_0000_0001)
        let index = try #require(try bench.function("ens12").link?.index)
        try bench.kernel.set([VirtualFunctionChange(index: 2, settings: settings)], of: index)
        try bench.apply(Bench.port("ens12", 5))
        #expect(try bench.function("ens12 vf 2").settings?.mac == settings.mac)
    }

    @Test("A port in a bridge, or with the default route, is not reinitialised")
    func protected() throws {
        bench.kernel.enslave("ens12", to: "br0")
        #expect(try bench.plan(Bench.port("ens12", 3)).devices[0].refusals.first?.error.code == .protected)
        bench.kernel.setDefaultRoute("ens13")
        #expect(try bench.plan(Bench.port("ens13", 3)).devices[0].refusals.first?.error.code == .protected)
        #expect(try !bench.plan(Bench.port("ens11", 3)).hasRefusals)
    }

    @Test(
        "More VFs than the device has, and an unknown device, are refused",
        arguments: [
            (Bench.port("ens12", 8), SRIOVError.Code.tooManyVFs), (Bench.port("ens99", 1), .deviceNotFound),
            (
                "physicalFunctions:\n  - match: { netdev: ens12, permanentMAC: 02:5c:00:00:00:03 }\n    virtualFunctions: 1\n",
                .identityMismatch
            ),
            ("physicalFunctions:\n  - match: { vendor: 8086 }\n    virtualFunctions: 1\n", .deviceAmbiguous),
            (
                "physicalFunctions:\n  - match: { netdev: ens12 }\n    virtualFunctions: 1\n  - match: { permanentMAC: 02:5c:00:00:00:02 }\n    virtualFunctions: 1\n",
                .deviceClaimedTwice
            ),
        ])
    func impossible(text: String, code: SRIOVError.Code) throws {
        let plan = try bench.plan(text)
        #expect(plan.devices.last?.refusals.first?.error.code == code)
        #expect(plan.devices.last?.steps.isEmpty == true)
    }

    @Test("A driver that enables fewer VFs than asked is told")
    func fewer() throws {
        let address = try #require(PCIAddress("0000:01:00.0"))
        let kernel = FakeKernel(ports: [
            .init(address: address, netdev: "p0", mac: MACAddress(rawValue: 1), grantsAtMost: 2)
        ])
        let host = try HostReader(kernel: kernel).read()
        let plan = Planner(host: host, files: kernel).plan(to: try HostFile.parse(Bench.port("p0", 4), file: "f"))
        let reports = try Applier(kernel: kernel, state: bench.state).apply(plan, file: "f", time: 0, interrupted: nil)
        { _ in }
        #expect(reports.first?.errors.first?.code == .fewerVFs)
    }

    @Test("A refused setting is reported for its VF, and the rest is set")
    func refusedSetting() throws {
        let text = Bench.port(
            "ens12", 2, "    defaults: { vlan: { id: 7 } }\n    ranges: [{ virtualFunctions: 1, linkState: disable }]\n"
        )
        let reports = try bench.apply(text)
        #expect(reports.first?.errors.map(\.code) == [.settingRefused])
        #expect(try bench.function("ens12 vf 0").settings?.vlans == [VLAN(id: 7)])
        #expect(try bench.function("ens12 vf 1").settings?.vlans == [VLAN(id: 7)])
    }

    @Test("A host without IOMMU is warned of once")
    func noIOMMU() throws {
        let address = try #require(PCIAddress("0000:01:00.0"))
        let kernel = FakeKernel(
            ports: [.init(address: address, netdev: "p0", mac: MACAddress(rawValue: 1))], hasIOMMU: false)
        let host = try HostReader(kernel: kernel).read()
        let planner = Planner(host: host, files: kernel)
        let vfio = planner.plan(to: try HostFile.parse(Bench.port("p0", 4, "    driver: vfio-pci\n"), file: "f"))
        #expect(vfio.warnings.map(\.code) == [.noIOMMU])
        #expect(
            planner.plan(to: try HostFile.parse(Bench.port("p0", 4, "    driver: kernel\n"), file: "f")).warnings
                .isEmpty)
    }

    @Test(
        "Rates are changed together or not at all",
        arguments: [
            (nil as UInt32?, 500 as UInt32?, nil as UInt32?, 500 as UInt32?), (100, nil, 100, 300),
            (100, 500, 100, 500), (20, 300, nil, nil),
        ])
    func rates(minimum: UInt32?, maximum: UInt32?, sentMinimum: UInt32?, sentMaximum: UInt32?) {
        var observed = VirtualFunctionSettings()
        (observed.minTxRateMbps, observed.maxTxRateMbps) = (20, 300)
        var wanted = VirtualFunctionSettings()
        (wanted.minTxRateMbps, wanted.maxTxRateMbps) = (minimum, maximum)
        let change = wanted.differing(from: observed)
        #expect(change.minTxRateMbps == sentMinimum && change.maxTxRateMbps == sentMaximum)
    }
}

@Suite struct JournalTests {
    private let bench = Bench()

    @Test("What is recorded is read back, whatever line it was cut at")
    func roundTrip() throws {
        var settings = VirtualFunctionSettings()
        settings.mac = MACAddress(rawValue: 0x5254_0000_0001)
        settings.vlans = [VLAN(id: 100, qos: 3, protocol: .dot1ad)]
        (settings.trust, settings.spoofCheck, settings.linkState) = (true, false, .disable)
        (settings.minTxRateMbps, settings.maxTxRateMbps) = (10, 100)
        (settings.nodeGUID, settings.rssQuery) = (GUID(rawValue: 5), true)
        try bench.apply(Bench.port("ens12", 3))
        var plan = try bench.plan(Bench.port("ens12", 5, "    driver: vfio-pci\n"))
        plan.devices[0].before.settings = [VirtualFunctionChange(index: 1, settings: settings)]
        _ = try Journal.begin(plan, file: "/etc/my host.yaml", time: 7, interrupted: nil, state: bench.state)
        let interrupted = try #require(try Journal.interrupted(in: bench.state))
        #expect(interrupted.file == "/etc/my host.yaml" && interrupted.time == 7)
        let address = try #require(PCIAddress("0000:81:00.0"))
        #expect(interrupted.owed[address]?.settings == [VirtualFunctionChange(index: 1, settings: settings)])
        #expect(interrupted.owed[address]?.virtualFunctions == 3)
        #expect(interrupted.devices.first?.steps.map(\.title) == plan.devices[0].steps.map(\.title))
        let path = bench.state.path + "/apply.journal"
        let bytes = try #require(try LiveFileTree().contents(path, limit: 1 << 20))
        for length in stride(from: 17, to: bytes.count, by: 7) {
            Files.write(Array(bytes[..<length]), to: path)
            _ = try Journal.interrupted(in: bench.state)
        }
    }

    @Test("An interrupted apply of one port is still owed after an apply of another")
    func leftOver() throws {
        try bench.apply(Bench.port("ens12", 3))
        let index = try #require(try bench.function("ens12").link?.index)
        var settings = VirtualFunctionSettings()
        settings.vlans = [VLAN(id: 77)]
        try bench.kernel.set([VirtualFunctionChange(index: 1, settings: settings)], of: index)
        _ = try Journal.begin(
            bench.plan(Bench.port("ens12", 5)), file: "f", time: 0, interrupted: nil, state: bench.state)
        let interrupted = try Journal.interrupted(in: bench.state)
        let plan = try bench.plan(Bench.port("ens13", 1))
        _ = try Applier(kernel: bench.kernel, state: bench.state).apply(
            plan, file: "f", time: 0, interrupted: interrupted
        ) { _ in }
        let owed = try Journal.interrupted(in: bench.state)?.owed[try #require(PCIAddress("0000:81:00.0"))]
        #expect(owed?.settings.contains { $0.index == 1 && $0.settings.vlans == [VLAN(id: 77)] } == true)
    }

    @Test("Nothing is changed when the record cannot be written")
    func unwritable() throws {
        let plan = try bench.plan(Bench.port("ens12", 3))
        let applier = Applier(kernel: bench.kernel, state: StateDirectory(path: "/proc/no-such-folder"))
        #expect(throws: SRIOVError.self) {
            try applier.apply(plan, file: "f", time: 0, interrupted: nil) { _ in }
        }
        #expect(bench.kernel.writes.isEmpty && bench.kernel.messages == 0)
    }

    @Test("A file that is no journal is told, not overwritten")
    func foreign() throws {
        try bench.apply(Bench.port("ens12", 1))
        Files.write(Array("hello\n".utf8), to: bench.state.path + "/apply.journal")
        #expect(throws: SRIOVError.self) { try Journal.interrupted(in: bench.state) }
    }
}
