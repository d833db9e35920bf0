internal import Netlink
internal import PCI
internal import SystemPackage

/// Walks the steps of one device.
struct DeviceApplier: Sendable {
    let kernel: any HostKernel
    let device: DevicePlan
    let journal: Journal
    let state: StateDirectory
    let serials: KnownSerials
    let deadlines: Applier.Deadlines
    let isStopped: @Sendable () -> Bool
    let onEvent: @Sendable (ApplyEvent) -> Void

    private var reader: PCIReader { PCIReader(files: kernel.files) }

    func run() -> DeviceReport {
        let clock = ContinuousClock()
        let start = clock.now
        var report = DeviceReport(
            name: device.name, address: device.address, stepsDone: 0, steps: device.steps.count, errors: [],
            verified: 0,
            duration: .zero)
        guard let address = device.address else { return report }
        var isComplete = true
        // VFs that are not as declared by now are not handed to a driver.
        var failed: Set<Int> = []
        let claim: DeviceClaim
        do {
            claim = try DeviceClaim.take(address, in: state)
            kernel.writer.keepOpen(claim.descriptor, as: "\(address)")
        } catch {
            report.errors = [error]
            onEvent(.deviceEnded(report))
            return report
        }
        for (index, step) in device.steps.enumerated() {
            if isStopped() {
                isComplete = false
                break
            }
            let (number, count) = (index + 1, device.steps.count)
            onEvent(.stepBegins(device: device.name, number: number, of: count, title: step.title))
            var errors: [SRIOVError] = []
            do {
                try journal.stepBegins(number, of: address)
                errors = try perform(step.action, address, &failed)
                try journal.stepEnded(number, of: address, succeeded: errors.isEmpty)
            } catch {
                // A step that fails as a whole is the end of the device's work: the next ones build on it.
                errors.append(describe(error, step))
                isComplete = false
                try? journal.stepEnded(number, of: address, succeeded: false)
            }
            onEvent(.stepEnded(device: device.name, number: number, of: count, title: step.title, errors: errors))
            report.errors += errors
            guard isComplete else { break }
            report.stepsDone += 1
        }
        if isComplete { verify(address, &report) }
        // While a write hangs the claim stays: the next apply is told.
        if report.errors.contains(where: { $0.code == .hung }) {
            kernel.writer.letGoWhenReturned(of: "\(address)")
        } else {
            claim.release()
            kernel.writer.letGo(of: "\(address)")
        }
        report.duration = clock.now - start
        onEvent(.deviceEnded(report))
        return report
    }

    private func describe(_ error: any Error, _ step: Step) -> SRIOVError {
        switch error {
        case let error as SRIOVError: error
        case let error as PCIError:
            SRIOVError(
                error.code == .hung ? .hung : .stepFailed, "\(device.name): \(error)",
                remedy: remedy(for: error, step), errno: error.errno)
        case let error as NetlinkError:
            SRIOVError(.stepFailed, "\(device.name): \(error)", errno: error.errno)
        default: SRIOVError(.stepFailed, "\(device.name): \(step.title): \(error)")
        }
    }

    /// What the kernel's errnos on sriov_numvfs mean (drivers/pci/iov.c) and what helps.
    private func remedy(for error: PCIError, _ step: Step) -> String? {
        if error.code == .hung {
            return "release what holds its VFs; the write goes on in the background and ends by itself then"
        }
        guard case .setVirtualFunctions(let count) = step.action else { return nil }
        switch error.errno?.rawValue {
        case 2: return "its driver cannot enable VFs: bind the port to its own driver"
        case 12:
            return "the firmware has left no room: enable SR-IOV and Above 4G decoding there, or boot with pci=realloc"
        case 16: return "VFs are enabled already; somebody else changed them meanwhile: plan again"
        case 34: return "the device can have fewer than \(count) VFs now: plan again"
        default: return nil
        }
    }

    // MARK: Steps

    /// Does one step. What fails for single VFs is returned, what fails as a whole is thrown.
    private func perform(
        _ action: Step.Action, _ address: PCIAddress, _ failed: inout Set<Int>
    ) throws -> [SRIOVError] {
        try checkHolders(action, address)
        switch action {
        case .bringUp:
            try quieten(try link())
            try kernel.setUp(true, link: try link())
        case .quieten:
            try quieten(try link())
        case .setMTU(let mtu):
            try kernel.setMTU(mtu, link: try link())
        case .setEswitchMode(let mode):
            try kernel.setEswitchMode(mode, of: address)
        case .setAutoprobe(let isOn):
            try write(
                "\(PCIReader.path(address))/sriov_drivers_autoprobe", isOn ? "1" : "0",
                "set sriov_drivers_autoprobe of \(device.name)", deadlines.bind)
        case .setVirtualFunctions(let count):
            return try setVirtualFunctions(count, address, &failed)
        case .configure(let changes):
            return try configure(changes.filter { !failed.contains(Int($0.index)) }, &failed)
        case .bind(let bindings):
            let ready = bindings.filter { binding in binding.index.map { !failed.contains($0) } ?? true }
            return try bind(ready, address)
        }
        return []
    }

    /// Looks again who uses what is about to be taken: since the plan was made a VM may have started.
    private func checkHolders(_ action: Step.Action, _ address: PCIAddress) throws {
        let functions: [PCIFunction]
        switch action {
        case .bringUp, .quieten, .setAutoprobe: return
        case .setVirtualFunctions, .setEswitchMode, .setMTU: functions = try virtualFunctions(of: address, at: nil)
        case .configure(let changes):
            functions = try virtualFunctions(of: address, at: Set(changes.map { Int($0.index) }))
        case .bind(let bindings):
            let indexes = bindings.compactMap(\.index)
            functions =
                indexes.isEmpty
                ? [try reader.function(address)].compactMap(\.self)
                : try virtualFunctions(of: address, at: Set(indexes))
        }
        // What no driver has nobody can use; new VFs need no look at all the processes of a host.
        let usable = functions.filter { $0.driver != nil }
        guard !usable.isEmpty else { return }
        let holders = try HolderScanner(kernel: kernel).holders(of: usable, links: try kernel.links(.linksOnly))
        for function in usable {
            let exclusive = BlockDevices(files: kernel.files).exclusiveHolders(of: function, kernel)
            let taken = ((holders[function.address] ?? []) + exclusive).filter {
                !($0.isEvictable && device.evicted.contains($0.identifier))
            }
            guard let holder = taken.first else { continue }
            throw SRIOVError(
                .held, "\(device.name): \(function.address) has come into use since the plan was made: \(holder)",
                remedy: holder.remedy)
        }
    }

    /// The VFs of the device with some indexes, or all.
    private func virtualFunctions(of address: PCIAddress, at indexes: Set<Int>?) throws -> [PCIFunction] {
        try (reader.function(address)?.sriov?.virtualFunctions ?? []).enumerated().compactMap { index, vf in
            guard let vf, indexes?.contains(index) ?? true else { return nil }
            return try reader.function(vf)
        }
    }

    private func link() throws(SRIOVError) -> Int32 {
        guard let link = device.link else { throw SRIOVError(.noNetdev, "\(device.name) has no netdev") }
        return link
    }

    private func write(_ path: String, _ value: String, _ operation: String, _ deadline: Duration) throws(PCIError) {
        try kernel.writer.write(WriteRequest(path: path, value: value, operation: operation), deadline: deadline)
    }

    private func quieten(_ index: Int32) throws {
        // Without this the port would make itself a link-local address and take routes from the network's routers.
        // A kernel without IPv6 has neither.
        do throws(NetlinkError) {
            try kernel.disableIPv6AddressGeneration(link: index)
        } catch {
            let isWithoutIPv6 = error.isUnsupported || error.errno?.rawValue == 97  // EAFNOSUPPORT
            if !isWithoutIPv6 { throw error }
        }
        let folder = "/proc/sys/net/ipv6/conf/\(device.name)"
        for name in ["accept_ra", "autoconf"] where try kernel.files.text("\(folder)/\(name)") != nil {
            try write("\(folder)/\(name)", "0", "turn off \(name) of \(device.name)", deadlines.bind)
        }
    }

    private func setVirtualFunctions(
        _ count: Int, _ address: PCIAddress, _ failed: inout Set<Int>
    ) throws -> [SRIOVError] {
        let path = PCIReader.path(address)
        let operation = count == 0 ? "disable the VFs of \(device.name)" : "enable \(count) VFs of \(device.name)"
        // With autoprobe on, a driver that is there binds while the VFs are made; one that udev has yet to load would come
        // later than the comparison at the end. Which driver it is is the kernel's choice, so a module that is missing
        // is not an error here.
        let drivers = count > 0 ? Set(device.bindings.compactMap(\.target.driverName)).sorted() : []
        for name in drivers where try kernel.files.entries("/sys/bus/pci/drivers/\(name)") == nil {
            try? kernel.loadModule(name)
        }
        // Read now: the kernel takes a VF's links away before it waits for its user.
        let existing = try virtualFunctions(of: address, at: nil)
        do throws(PCIError) {
            try write("\(path)/sriov_numvfs", "\(count)", operation, deadlines.virtualFunctions)
        } catch {
            throw error.code == .hung ? hung(error, existing) : error
        }
        // A driver may enable fewer than it was asked for, and reports success.
        let enabled: Int = try kernel.files.number("\(path)/sriov_numvfs") ?? 0
        guard enabled != count else { return [] }
        let error = SRIOVError(
            .fewerVFs, "\(device.name): \(count) VFs were asked for, its driver enabled \(enabled)",
            remedy: "declare \(enabled), or raise the limit in the card's firmware")
        guard (1..<max(count, 1)).contains(enabled) else { throw error }
        // Those that are there are set and bound.
        failed.formUnion(enabled..<count)
        return [error]
    }

    /// Adds who has the VFs open: while one is open, vfio-pci does not let go of it. Nothing of the device itself is
    /// read, because that may wait for the lock which the write holds.
    private func hung(_ error: PCIError, _ functions: [PCIFunction]) -> PCIError {
        var error = error
        let holders = (try? HolderScanner(kernel: kernel).holders(of: functions, links: [])) ?? [:]
        let users = holders.sorted { $0.key < $1.key }.flatMap { address, holders in
            holders.map { "\(address) is held by \($0)" }
        }
        if !users.isEmpty {
            error.detail = [error.detail, users.joined(separator: ", ")].compactMap(\.self).joined(separator: "; ")
        }
        return error
    }

    private func configure(_ changes: [VirtualFunctionChange], _ failed: inout Set<Int>) throws -> [SRIOVError] {
        let refusals = try settings.write(changes, of: try link())
        failed.formUnion(refusals.map { Int($0.change.index) })
        // Compared before a driver or a VM gets the VF: a VLAN that was not taken would let it into another network.
        let differing = try settings.differing(changes.filter { !failed.contains(Int($0.index)) }, of: try link())
        failed.formUnion(differing.map { Int($0.index) })
        return differing.map(unverified)
            + refusals.map { refused in
                SRIOVError(
                    .settingRefused, "\(device.name) vf \(refused.change.index): \(refused.error)",
                    remedy: refused.error.isUnsupported
                        ? "its driver cannot set \(refused.change.names.joined(separator: ", ")): leave it out of the host file"
                        : nil,
                    errno: refused.error.errno)
            }
    }

    private func unverified(_ change: VirtualFunctionChange) -> SRIOVError {
        SRIOVError(
            .unverified,
            "\(device.name) vf \(change.index): \(change.names.joined(separator: ", ")) is not what was set",
            remedy: "the driver accepted it and did not keep it; sluice show \(device.name) tells what it has")
    }

    private var settings: SettingsWriter { SettingsWriter(kernel: kernel, carrierDeadline: deadlines.carrier) }

    private func bind(_ bindings: [DevicePlan.Binding], _ address: PCIAddress) throws -> [SRIOVError] {
        let virtualFunctions = try reader.function(address)?.sriov?.virtualFunctions ?? []
        var requests: [DriverBinding.Request] = []
        var errors: [SRIOVError] = []
        for binding in bindings {
            var target: PCIAddress? = address
            if let index = binding.index {
                target = virtualFunctions.indices.contains(index) ? virtualFunctions[index] : nil
            }
            guard let target else {
                errors.append(SRIOVError(.deviceNotFound, "\(device.name) has no vf \(binding.index ?? 0)"))
                continue
            }
            requests.append(.init(address: target, target: binding.target, isReload: binding.isReload))
        }
        if bindings.contains(where: { $0.index == nil }) { try rememberSerial(of: address, requests) }
        for name in Set(requests.compactMap(\.target.driverName)).sorted()
        where try kernel.files.entries("/sys/bus/pci/drivers/\(name)") == nil {
            try kernel.loadModule(name)
        }
        let outcomes = DriverBinding(files: kernel.files, writer: kernel.writer, deadline: deadlines.bind).bind(
            requests)
        return errors
            + outcomes.compactMap { outcome in
                outcome.error.map { error in
                    guard error.code == .hung else {
                        return SRIOVError(.stepFailed, "\(device.name): \(error)", errno: error.errno)
                    }
                    let function = (try? reader.function(outcome.address)) ?? nil
                    let report = hung(error, [function].compactMap(\.self))
                    return SRIOVError(
                        .hung, "\(device.name): \(report)", remedy: "release what holds it", errno: error.errno)
                }
            }
    }

    /// The driver that knows the serial number is about to go.
    private func rememberSerial(of address: PCIAddress, _ requests: [DriverBinding.Request]) throws {
        guard let function = try reader.function(address), let serial = function.serial,
            case .driver(let driver)? = requests.first(where: { $0.address == address })?.target
        else { return }
        try serials.remember(serial, of: function, driver: driver)
    }

    // MARK: Verification

    /// Reads back what was done to the port itself.
    private func verifyPort(_ link: Link, _ address: PCIAddress, _ report: inout DeviceReport) throws {
        for step in device.steps {
            let isDone: Bool
            switch step.action {
            case .bringUp: isDone = link.isUp
            case .setMTU(let mtu): isDone = link.mtu == mtu
            case .setEswitchMode(let mode): isDone = try kernel.eswitchMode(of: address) == mode
            case .setAutoprobe(let isOn): isDone = try reader.function(address)?.sriov?.autoprobe == isOn
            case .quieten, .setVirtualFunctions, .configure, .bind: continue
            }
            if !isDone {
                report.errors.append(
                    SRIOVError(
                        .unverified, "\(device.name): \(step.title): it was done, and is not so any more",
                        remedy: "something else on this host configures the port; its log may say so"))
            }
        }
    }

    /// Reads everything back and compares it with what was declared.
    private func verify(_ address: PCIAddress, _ report: inout DeviceReport) {
        do {
            // What has been reported need not be reported again.
            let reported = report.errors.contains { [.settingRefused, .unverified].contains($0.code) }
            var failed: Set<Int> = []
            if let index = device.link {
                let link = try kernel.link(index: index, .virtualFunctions)
                for change in SettingsWriter.differing(device.settings, from: link.virtualFunctions) {
                    failed.insert(Int(change.index))
                    if !reported { report.errors.append(unverified(change)) }
                }
                try verifyPort(link, address, &report)
            }
            let function = try reader.function(address)
            let virtualFunctions = function?.sriov?.virtualFunctions ?? []
            let indexes = Set(device.bindings.compactMap(\.index)).union(device.settings.map { Int($0.index) })
            for index in indexes {
                let exists = virtualFunctions.indices.contains(index) && virtualFunctions[index] != nil
                if !exists { failed.insert(index) }
            }
            let bound = device.steps.flatMap { step in
                if case .bind(let bindings) = step.action { bindings } else { [DevicePlan.Binding]() }
            }
            for var binding in device.bindings {
                // A VF that the kernel bound by itself has the driver that the kernel chose.
                if case .kernel = binding.target, !bound.contains(binding) { binding.target = .kernel(nil) }
                let target =
                    binding.index.map { virtualFunctions.indices.contains($0) ? virtualFunctions[$0] : nil } ?? address
                guard let target,
                    try !binding.target.isMet(by: kernel.files.linkName(PCIReader.path(target) + "/driver"))
                else { continue }
                if let index = binding.index { failed.insert(index) }
                // A bind that failed has been reported.
                guard report.errors.isEmpty else { continue }
                report.errors.append(
                    SRIOVError(
                        .unverified,
                        "\(target) is not bound to \(binding.target.driverName ?? "a driver of the kernel")",
                        remedy: "dmesg may say why the driver did not take it"))
            }
            report.verified = indexes.subtracting(failed).count
            if device.bindings.contains(where: { $0.index == nil }), report.errors.isEmpty { report.verified += 1 }
        } catch {
            report.errors.append(SRIOVError(.unverified, "\(device.name): it cannot be read back: \(error)"))
        }
    }
}
