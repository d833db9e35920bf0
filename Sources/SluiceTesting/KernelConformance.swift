public import Netlink
public import PCI
public import SRIOV
internal import SystemPackage

/// What is expected of a kernel: run it against a back end of your own, as Sluice's tests run it against the fake
/// kernel and against Linux in the lab.
///
/// ```swift
/// try KernelConformance(kernel: kernel, port: address).run()
/// ```
/// Each rule begins and ends with a port without VFs, and throws `ConformanceFailure` when it does not hold.
public struct KernelConformance: Sendable {
    private let kernel: any HostKernel
    private let port: PCIAddress
    private let traits: Traits

    /// What differs between drivers.
    public struct Traits: Sendable {
        /// The driver of the port.
        public var driver = "igb"
        /// The driver of its VFs.
        public var vfDriver = "igbvf"
        /// A setting that the driver refuses with EOPNOTSUPP.
        public var unsupported = VirtualFunctionSettings.LinkState.disable
        /// Opens a VF through VFIO and returns what releases it again; nil where that cannot be done.
        public var hold: (@Sendable (PCIAddress) throws -> @Sendable () -> Void)?

        /// An igb's.
        public init() {}
    }

    /// A rule that does not hold.
    public struct ConformanceFailure: Error, CustomStringConvertible {
        /// The rule and what was found instead.
        public var description: String
    }

    /// Rules for a port that has no VFs and no holders.
    public init(kernel: any HostKernel, port: PCIAddress, traits: Traits = Traits()) {
        self.kernel = kernel
        self.port = port
        self.traits = traits
    }

    /// A rule.
    public struct Rule: Sendable, CustomStringConvertible {
        /// What it states.
        public var description: String
        let check: @Sendable (KernelConformance) throws -> Void
    }

    /// All rules.
    public static let rules: [Rule] = [
        Rule(description: "More VFs than the device has are refused with ERANGE") { try $0.rangeIsChecked() },
        Rule(description: "A number that is none is refused with EINVAL") { try $0.numberIsChecked() },
        Rule(description: "The same number again succeeds and changes nothing") { try $0.equalIsNothing() },
        Rule(description: "From one number to another is refused with EBUSY") { try $0.resizeIsBusy() },
        Rule(description: "Without a driver the number is refused with ENOENT") { try $0.needsDriver() },
        Rule(description: "VFs are linked both ways, at the addresses that offset and stride give") {
            try $0.linksAreTrue()
        },
        Rule(description: "With autoprobe on VFs get the kernel's driver, with it off none") {
            try $0.autoprobeRules()
        },
        Rule(description: "With autoprobe off a VF matches only the driver that its override names") {
            try $0.overrideRules()
        },
        Rule(description: "Settings are read back as they were set") { try $0.settingsAreKept() },
        Rule(description: "A setting that the driver lacks is refused with EOPNOTSUPP, and the others are set") {
            try $0.unsupportedIsTold()
        },
        Rule(description: "A VF that does not exist cannot be set") { try $0.missingVFIsRefused() },
        Rule(description: "A link that does not exist is refused with ENODEV") { try $0.missingLinkIsRefused() },
        Rule(description: "A VF's reset leaves its settings and its driver as they are") {
            try $0.resetKeepsSettings()
        },
        Rule(description: "A held VF blocks the removal of all until it is released") { try $0.holdBlocks() },
    ]

    /// Checks all rules.
    public func run() throws {
        for rule in Self.rules { try check(rule) }
    }

    /// Checks one rule, and leaves the port without VFs.
    public func check(_ rule: Rule) throws {
        try setCount(0)
        try setAutoprobe(true)
        try rule.check(self)
        try setCount(0)
        try setAutoprobe(true)
    }

    // MARK: Rules

    private func rangeIsChecked() throws {
        try expect(errno: 34) { try setCount(try capability().totalVFs + 1) }
        try expect(try capability().enabledVFs == 0, "VFs were enabled")
    }

    private func numberIsChecked() throws {
        try expect(errno: 22) { try write("\(PCIReader.path(port))/sriov_numvfs", "many") }
        try expect(errno: 22) { try write("\(PCIReader.path(port))/sriov_numvfs", "-1") }
    }

    private func equalIsNothing() throws {
        try setCount(2)
        // Their drivers and the names of their netdevs may still be on their way.
        let before = try functions().map(\.address)
        try setCount(2)
        try expect(try functions().map(\.address) == before, "the VFs changed")
    }

    private func resizeIsBusy() throws {
        try setCount(2)
        try expect(errno: 16) { try setCount(1) }
        try expect(errno: 16) { try setCount(3) }
        try expect(try capability().enabledVFs == 2, "the number changed")
    }

    private func needsDriver() throws {
        try write("/sys/bus/pci/drivers/\(traits.driver)/unbind", "\(port)")
        defer { _ = try? write("/sys/bus/pci/drivers_probe", "\(port)") }
        try expect(errno: 2) { try setCount(1) }
    }

    private func linksAreTrue() throws {
        try setCount(3)
        let capability = try capability()
        try expect(capability.virtualFunctions.count == 3, "\(capability.virtualFunctions.count) links")
        for (index, address) in capability.virtualFunctions.enumerated() {
            let expected = port.virtualFunction(index, offset: capability.offset, stride: capability.stride)
            try expect(address == expected && address != nil, "vf \(index) is at \(String(describing: address))")
            let function = try address.flatMap { try PCIReader(files: kernel.files).function($0) }
            try expect(function?.physicalFunction == port, "vf \(index) does not link back")
        }
        try setCount(0)
        try expect(try self.capability().virtualFunctions.isEmpty, "links are left")
    }

    private func autoprobeRules() throws {
        try setCount(2)
        try expect(try functions().allSatisfy { $0.driver == traits.vfDriver }, "no driver with autoprobe on")
        try setCount(0)
        try setAutoprobe(false)
        try setCount(2)
        try expect(try functions().allSatisfy { $0.driver == nil }, "a driver with autoprobe off")
    }

    private func overrideRules() throws {
        try kernel.loadModule("vfio-pci")
        try setAutoprobe(false)
        try setCount(2)
        let addresses = try functions().map(\.address)
        try write("/sys/bus/pci/drivers_probe", "\(addresses[0])")
        try expect(try functions()[0].driver == nil, "a driver took a VF without an override")
        let binding = DriverBinding(files: kernel.files, writer: kernel.writer)
        let outcomes = binding.bind([
            .init(address: addresses[0], target: .driver("vfio-pci")),
            .init(address: addresses[1], target: .kernel(traits.vfDriver)),
        ])
        try expect(outcomes.allSatisfy { $0.error == nil }, "\(outcomes)")
        try expect(try functions().map(\.driver) == ["vfio-pci", traits.vfDriver], "other drivers are bound")
        // What cannot be bound keeps the driver it had.
        let failed = binding.bind([.init(address: addresses[0], target: .driver("no-such-driver"))])
        try expect(failed[0].error?.code == .unverified, "binding to a missing driver succeeded")
        try expect(try functions()[0].driver == "vfio-pci", "the former driver was not restored")
    }

    private func settingsAreKept() throws {
        try setCount(2)
        var settings = VirtualFunctionSettings()
        settings.mac = MACAddress(rawValue: 0x5254_005c_0001)
        settings.vlans = [VLAN(id: 100, qos: 3)]
        settings.maxTxRateMbps = 500
        settings.spoofCheck = false
        settings.trust = true
        let index = try link().index
        // Rates need a carrier that tells the driver the port's speed.
        try kernel.setUp(true, link: index)
        try kernel.waitForCarrier(link: index, deadline: .seconds(10))
        try kernel.set([VirtualFunctionChange(index: 1, settings: settings)], of: index)
        let observed = try link().virtualFunctions
        try expect(settings.differing(from: observed[1].settings).isEmpty, "\(observed[1].settings)")
        try expect(observed[0].settings.trust == false, "another VF was changed")
        settings.vlans = []
        settings.trust = false
        try kernel.set([VirtualFunctionChange(index: 1, settings: settings)], of: index)
        try expect(try link().virtualFunctions[1].settings.vlans == [], "the VLAN is still there")
    }

    private func resetKeepsSettings() throws {
        try kernel.loadModule("vfio-pci")
        try setAutoprobe(false)
        try setCount(1)
        let address = try functions()[0].address
        let binding = DriverBinding(files: kernel.files, writer: kernel.writer)
        let outcome = binding.bind([.init(address: address, target: .driver("vfio-pci"))])
        try expect(outcome[0].error == nil, "\(outcome)")
        var settings = VirtualFunctionSettings()
        settings.vlans = [VLAN(id: 77)]
        try kernel.set([VirtualFunctionChange(index: 0, settings: settings)], of: try link().index)
        try expect(errno: 22) { try write("\(PCIReader.path(address))/reset", "2") }
        try write("\(PCIReader.path(address))/reset", "1")
        try expect(try link().virtualFunctions[0].settings.vlans == [VLAN(id: 77)], "the VLAN is gone")
        try expect(try functions()[0].driver == "vfio-pci", "the driver is gone")
    }

    private func unsupportedIsTold() throws {
        try setCount(1)
        var settings = VirtualFunctionSettings()
        settings.linkState = traits.unsupported
        settings.trust = true
        let change = VirtualFunctionChange(index: 0, settings: settings)
        let index = try link().index
        do {
            try kernel.set([change], of: index)
            throw failure("the setting was accepted")
        } catch let error as NetlinkError {
            try expect(error.isUnsupported, "\(error)")
        }
        let refused = kernel.setEach([change], of: index)
        try expect(refused.count == 1 && refused[0].error.isUnsupported, "\(refused)")
        try expect(try link().virtualFunctions[0].settings.trust == true, "the other setting is missing")
    }

    private func missingVFIsRefused() throws {
        try setCount(1)
        var settings = VirtualFunctionSettings()
        settings.vlans = [VLAN(id: 5)]
        let refused = kernel.setEach([VirtualFunctionChange(index: 5, settings: settings)], of: try link().index)
        try expect(refused.count == 1, "it was accepted")
    }

    private func missingLinkIsRefused() throws {
        do throws(NetlinkError) {
            try kernel.setUp(true, link: 9999)
        } catch {
            guard error.errno?.rawValue == 19 else { throw failure("\(error)") }
            return
        }
        throw failure("it was accepted")
    }

    private func holdBlocks() throws {
        guard let hold = traits.hold else { return }
        try kernel.loadModule("vfio-pci")
        try setAutoprobe(false)
        try setCount(2)
        let address = try functions()[0].address
        let binding = DriverBinding(files: kernel.files, writer: kernel.writer)
        let outcome = binding.bind([.init(address: address, target: .driver("vfio-pci"))])
        try expect(outcome[0].error == nil, "\(outcome)")
        let release = try hold(address)
        do throws(PCIError) {
            try write("\(PCIReader.path(port))/sriov_numvfs", "0", deadline: .seconds(2))
            release()
        } catch {
            release()
            guard error.code == .hung else { throw failure("\(error)") }
            return
        }
        throw failure("the VFs were removed under their holder")
    }

    // MARK: Tools

    private func expect(_ condition: Bool, _ message: @autoclosure () -> String) throws {
        if !condition { throw failure(message()) }
    }

    private func failure(_ message: String) -> ConformanceFailure { ConformanceFailure(description: message) }

    private func expect(errno: Int32, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as PCIError {
            try expect(error.errno?.rawValue == errno, "\(error)")
            return
        }
        throw failure("it was accepted; errno \(errno) was expected")
    }

    private func write(_ path: String, _ value: String, deadline: Duration = .seconds(60)) throws(PCIError) {
        try kernel.writer.write(
            WriteRequest(path: path, value: value, operation: "write \(value) to \(path)"), deadline: deadline)
    }

    private func setCount(_ count: Int) throws { try write("\(PCIReader.path(port))/sriov_numvfs", "\(count)") }

    private func setAutoprobe(_ isOn: Bool) throws {
        try write("\(PCIReader.path(port))/sriov_drivers_autoprobe", isOn ? "1" : "0")
    }

    private func capability() throws -> SRIOVCapability {
        guard let capability = try PCIReader(files: kernel.files).function(port)?.sriov else {
            throw failure("\(port) has no SR-IOV capability")
        }
        return capability
    }

    private func functions() throws -> [PCIFunction] {
        let reader = PCIReader(files: kernel.files)
        return try capability().virtualFunctions.compactMap { try $0.flatMap { try reader.function($0) } }
    }

    private func link() throws -> Link {
        let links = try kernel.links(.virtualFunctions)
        guard let link = links.first(where: { $0.device?.name == "\(port)" }) else {
            throw failure("\(port) has no link")
        }
        return link
    }
}
