import HostFile
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

@Suite struct RegressionTests {
    private let bench = Bench()

    @Test("A change of the eswitch makes the VFs anew, with their settings and drivers")
    func eswitch() throws {
        try bench.apply(Bench.port("ens12", 2, "    driver: vfio-pci\n    defaults: { vlan: { id: 5 } }\n"))
        let declared = try HostFile.parse(
            Bench.port(
                "ens12", 2, "    driver: vfio-pci\n    defaults: { vlan: { id: 5 } }\n    eswitchMode: switchdev\n"),
            file: "f")
        let host = try HostReader(kernel: bench.kernel).read()
        let planner = Planner(host: host, files: bench.kernel)
        let address = try #require(PCIAddress("0000:81:00.0"))
        let plan = planner.plan(to: declared, eswitchModes: [address: .legacy])
        #expect(
            plan.devices[0].steps.map(\.title) == [
                "sriov_numvfs 2 → 0", "eswitch mode switchdev", "sriov_numvfs 0 → 2", "settings of 2 VFs",
                "bind 2 VFs to vfio-pci",
            ])
        // A driver without a switch is told before any VF is removed.
        let refused = planner.plan(to: declared)
        #expect(refused.devices[0].refusals.map(\.error.code) == [.noEswitch] && refused.devices[0].steps.isEmpty)
    }

    @Test("With a MAC declared, VFs of the kernel's driver are bound after they have it")
    func macBeforeDriver() throws {
        let text = Bench.port(
            "ens12", 2, "    driver: kernel\n    ranges: [{ virtualFunctions: 0, mac: 52:54:00:00:00:01 }]\n")
        let titles = try bench.plan(text).devices[0].steps.map(\.title)
        #expect(titles.contains("sriov_drivers_autoprobe 1 → 0") && titles.last == "bind 2 VFs to igbvf")
        try bench.apply(text)
        let changed = text.replacing("00:01", with: "00:02")
        #expect(try bench.plan(changed).devices[0].steps.map(\.title) == ["mac of vf 0", "bind 1 VF to igbvf anew"])
    }

    @Test("A port whose VFs could not be made again is still owed their settings")
    func failedResize() throws {
        let address = try #require(PCIAddress("0000:81:00.0"))
        let port = FakeKernel.Port(address: address, netdev: "ens12", mac: MACAddress(rawValue: 1), grantsAtMost: 3)
        let kernel = FakeKernel(ports: [port])
        let state = bench.state
        func apply(_ text: String, _ options: Planner.Options = .init()) throws -> [DeviceReport] {
            let interrupted = try Journal.interrupted(in: state)
            var options = options
            options.interrupted = interrupted?.owed ?? [:]
            let host = try HostReader(kernel: kernel).read()
            let plan = Planner(host: host, files: kernel, options: options)
                .plan(to: try HostFile.parse(text, file: "f"))
            return try Applier(kernel: kernel, state: state).apply(plan, file: "f", time: 0, interrupted: interrupted) {
                _ in
            }
        }
        _ = try apply(Bench.port("ens12", 3))
        var settings = VirtualFunctionSettings()
        settings.vlans = [VLAN(id: 77)]
        try kernel.set([VirtualFunctionChange(index: 1, settings: settings)], of: 2)
        kernel.grant(atMost: 0, of: "ens12")
        #expect(try apply(Bench.port("ens12", 5)).first?.errors.map(\.code) == [.fewerVFs])
        kernel.grant(atMost: 3, of: "ens12")
        #expect(
            try Journal.interrupted(in: state)?.owed[address]?.settings.contains { $0.settings.vlans == [VLAN(id: 77)] }
                == true)
        #expect(try apply(Bench.port("ens12", 3)).first?.errors.isEmpty == true)
        let vf = try HostReader(kernel: kernel).read().functions.first { $0.name == "ens12 vf 1" }
        #expect(vf?.settings?.vlans == [VLAN(id: 77)])
        #expect(try Journal.interrupted(in: state) == nil)
    }

    @Test("A driver that enables fewer VFs than asked: those that are there are set and bound, the rest is told")
    func fewerVFs() throws {
        let port = FakeKernel.Port(
            address: try #require(PCIAddress("0000:81:00.0")), netdev: "ens12", mac: MACAddress(rawValue: 1),
            grantsAtMost: 3)
        let kernel = FakeKernel(ports: [port])
        let text = Bench.port("ens12", 5, "    driver: vfio-pci\n    defaults: { vlan: { id: 42 } }\n")
        let plan = Planner(host: try HostReader(kernel: kernel).read(), files: kernel)
            .plan(to: try HostFile.parse(text, file: "f"))
        let report = try Applier(kernel: kernel, state: bench.state)
            .apply(plan, file: "f", time: 0, interrupted: nil) { _ in }.first
        #expect(report?.errors.first?.code == .fewerVFs && report?.verified == 3)
        let vfs = try HostReader(kernel: kernel).read().functions.filter { $0.pci.physicalFunction != nil }
        #expect(vfs.count == 3)
        #expect(vfs.allSatisfy { $0.settings?.vlans == [VLAN(id: 42)] && $0.pci.driver == "vfio-pci" })
    }

    @Test("A VF whose setting is refused is not handed to a driver, and the others are")
    func refusedIsNotBound() throws {
        let text = Bench.port(
            "ens12", 2, "    driver: vfio-pci\n    ranges: [{ virtualFunctions: 1, linkState: disable }]\n")
        let plan = try bench.plan(text)
        let report = try Applier(kernel: bench.kernel, state: bench.state)
            .apply(plan, file: "f", time: 0, interrupted: nil) { _ in }.first
        #expect(report?.errors.contains { $0.code == .settingRefused } == true && report?.verified == 1)
        #expect(try bench.function("ens12 vf 0").pci.driver == "vfio-pci")
        #expect(try bench.function("ens12 vf 1").pci.driver == nil)
    }

    @Test("The MTU of a port with a VF in use is not changed: drivers reset the port for it")
    func heldMTU() throws {
        try bench.apply(Bench.port("ens12", 2, "    driver: vfio-pci\n"))
        bench.kernel.hold(try bench.function("ens12 vf 1").pci.address, by: 4711)
        let plan = try bench.plan(Bench.port("ens12", 2, "    driver: vfio-pci\n    mtu: 9000\n"))
        #expect(plan.stepCount == 0 && plan.devices[0].refusals.map(\.error.code) == [.held])
        #expect(plan.devices[0].refusals[0].error.message.hasPrefix("MTU 1500 → 9000 is refused"))
    }

    @Test("A card that took another's address is owed nothing of it")
    func otherCard() throws {
        let address = try bench.function("ens12").pci.address
        var before = DevicePlan.Before()
        before.permanentMAC = MACAddress("52:54:00:00:00:99")
        var settings = VirtualFunctionSettings()
        settings.trust = true
        before.settings = [VirtualFunctionChange(index: 0, settings: settings)]
        var options = Planner.Options()
        options.interrupted = [address: before]
        let declared = try HostFile.parse(Bench.port("ens12", 2), file: "f")
        func settingsPlanned() throws -> [VirtualFunctionChange] {
            Planner(host: try HostReader(kernel: bench.kernel).read(), files: bench.kernel, options: options)
                .plan(to: declared).devices[0].settings
        }
        #expect(try settingsPlanned().isEmpty)
        options.interrupted[address]?.permanentMAC = nil
        #expect(try settingsPlanned().count == 1)
    }

    @Test("A holder that comes between plan and apply is respected")
    func lateHolder() throws {
        try bench.apply(Bench.port("ens12", 2, "    driver: vfio-pci\n"))
        let plan = try bench.plan(Bench.port("ens12", 0))
        #expect(!plan.hasRefusals)
        bench.kernel.hold(try bench.function("ens12 vf 1").pci.address, by: 4711)
        let writes = bench.kernel.writes.count
        let reports = try Applier(kernel: bench.kernel, state: bench.state)
            .apply(plan, file: "f", time: 0, interrupted: nil) { _ in }
        #expect(reports.first?.errors.map(\.code) == [.held])
        #expect(bench.kernel.writes.count == writes)
    }
}
