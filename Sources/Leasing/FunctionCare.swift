internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

/// What is done to a function's hardware for a lease: it is looked at, prepared for its consumer, and cleaned.
struct FunctionCare: Sendable {
    let kernel: any HostKernel
    /// The serial numbers of drives that lose the driver which knows them.
    let serials: KnownSerials
    let restingAddresses = RestingAddresses()
    var deadlines = Applier.Deadlines()

    /// A function as it is now.
    struct Observation: Sendable {
        var settings: VirtualFunctionSettings?
        var driver: String?
        var holders: [Holder]
    }

    private var reader: PCIReader { PCIReader(files: kernel.files) }
    private var settingsWriter: SettingsWriter { SettingsWriter(kernel: kernel, carrierDeadline: deadlines.carrier) }

    /// Looks at a function; nil when it is not there, or when another is in its place.
    func observe(_ member: Pool.Member) throws(LeasingError) -> Observation? {
        try describingErrors(member) {
            guard let function = try current(member) else { return nil }
            let holders = try HostReader(kernel: kernel).holders(of: function)
            return Observation(settings: try settings(member), driver: function.driver, holders: holders)
        }
    }

    /// Gives a function the settings and the driver of a lease, and reads them back.
    ///
    /// Throws `lease.notPrepared` when the driver refuses something, or the function is not what was set.
    func prepare(
        _ member: Pool.Member, settings: VirtualFunctionSettings, driver: DeclaredDriver?
    ) throws(LeasingError) {
        try describingErrors(member) {
            // The last look before it is changed: the lease was being recorded meanwhile.
            guard let function = try current(member) else {
                throw LeasingError(.unprepared, "\(member.function.name) is not there any more", remedy: "ask again")
            }
            if let holder = try HostReader(kernel: kernel).holders(of: function).first {
                throw LeasingError(
                    .unprepared, "\(member.function.name) has come into use: \(holder)", remedy: "ask again")
            }
            var isReloaded = false
            let wanted = settings.filled(from: member.policy)
            if let (link, index) = place(member) {
                let reports = try kernel.link(index: link, .virtualFunctions).virtualFunctions
                let observed = reports.first { $0.index == index }?.settings
                var baseline = observed?.unassigned ?? VirtualFunctionSettings()
                if let mac = observed?.mac, restingAddresses[member.identity] == mac { baseline.mac = mac }
                let change = VirtualFunctionChange(index: index, settings: wanted.filled(from: baseline))
                let differences = SettingsWriter.differing([change], from: reports)
                // A driver that runs in the host takes an administrative MAC only when it is bound anew.
                isReloaded = try differences.contains { $0.settings.mac != nil } && !isVDPAAlone(function)
                if !differences.isEmpty { try set(change, link, member, .unprepared) }
            } else if !wanted.isEmpty {
                throw noPlace(member, .unprepared)
            }
            let current =
                isReloaded && !function.isBoundToVFIO ? function.driver.map { DeclaredDriver.kernel($0) } : nil
            if let driver = driver ?? member.driver ?? current {
                try rememberSerial(of: function)
                try bind(member, to: driver, isReload: isReloaded, .unprepared)
            }
            if wanted.mac == nil, isReloaded { noteRestingAddress(member) }
        }
    }

    /// Sets a function as its lease says, whoever uses it, and reads it back; what is so already is not touched.
    func set(_ member: Pool.Member, settings: VirtualFunctionSettings) throws(LeasingError) {
        try describingErrors(member) {
            guard let (link, index) = place(member) else { return }
            let change = VirtualFunctionChange(index: index, settings: settings.filled(from: member.policy))
            guard try !settingsWriter.differing([change], of: link).isEmpty else { return }
            try set(change, link, member, .unprepared)
        }
    }

    /// Whether a function is set as its lease says. Throws `lease.notPrepared` with what is not.
    func verify(_ member: Pool.Member, settings: VirtualFunctionSettings) throws(LeasingError) {
        try describingErrors(member) {
            guard let (link, index) = place(member) else { return }
            let change = VirtualFunctionChange(index: index, settings: settings.filled(from: member.policy))
            try verify(change, link, member, .unprepared)
        }
    }

    /// Resets a function that nobody uses, gives it back the settings and the driver of a free one, and reads them back.
    ///
    /// Throws `vf.quarantined` when it cannot be reset, or is not clean afterwards.
    func scrub(_ member: Pool.Member, driverBefore: String?, hadSettings: Bool) throws(LeasingError) {
        try describingErrors(member, .unclean) {
            guard let function = try current(member) else {
                throw LeasingError(.unclean, "\(member.function.name) is not there any more")
            }
            // The last look before it is taken: since the end of the lease was recorded the program may have been stopped
            // for long, and somebody may have begun to use the function.
            let holders = try HostReader(kernel: kernel).holders(of: function)
            guard holders.isEmpty else {
                let users = holders.map(\.description).joined(separator: ", ")
                throw LeasingError(
                    .unclean, "\(member.function.name) cannot be cleaned: it is used by \(users)",
                    remedy: "\(holders.first?.remedy ?? "free it"), then sluice lease repair")
            }
            guard place(member) != nil || !hadSettings && member.policy.isEmpty else {
                throw noPlace(member, .unclean)
            }
            // A tenant of the vDPA device has not touched the function, and the kernel has reset that device when it was closed
            // (drivers/vhost/vdpa.c).
            if try !isVDPAAlone(function) { try reset(function, of: member) }
            try restoreSettings(member)
            let driver =
                member.driver
                ?? (driverBefore ?? function.driver).map { PCIFunction.isVFIODriver($0) ? .vfio($0) : .kernel($0) }
            if let driver { try bind(member, to: driver, isReload: false, .unclean) }
            noteRestingAddress(member)
        }
    }

    private func reset(_ function: PCIFunction, of member: Pool.Member) throws {
        let path = PCIReader.path(function.address)
        // A driver of the kernel would be confused by a reset under it.
        try takeDriver(of: function)
        guard try kernel.files.entries(path)?.contains("reset") ?? false else {
            throw LeasingError(
                .unclean,
                "\(member.function.name) (\(function.address)) cannot be reset: it has no function-level reset",
                remedy: "only making its VFs anew or a power cycle clears it")
        }
        try write("\(path)/reset", "1", "reset \(function.address)")
    }

    /// Whether a function is used through its vDPA device and nothing else. That goes with its driver, and nobody would make it
    /// again; who has had a netdev or an RDMA device of the function may have left something behind all the same.
    private func isVDPAAlone(_ function: PCIFunction) throws -> Bool {
        guard try VDPADevice.all(kernel.files)[function.address] != nil else { return false }
        let path = PCIReader.path(function.address)
        // The folder stays while its netdev is in another namespace.
        return try kernel.files.entries("\(path)/net") == nil && kernel.files.entries("\(path)/infiniband") == nil
    }

    /// Takes a function's driver away, and with it its netdev, wherever that is. One that is with VFIO stays there, and one
    /// that is used through its vDPA device alone.
    func takeDriver(_ member: Pool.Member) throws(LeasingError) {
        try describingErrors(member, .unclean) {
            if let function = try current(member), try !isVDPAAlone(function) { try takeDriver(of: function) }
        }
    }

    private func takeDriver(of function: PCIFunction) throws {
        guard let driver = function.driver, !function.isBoundToVFIO else { return }
        try rememberSerial(of: function)
        try write("/sys/bus/pci/drivers/\(driver)/unbind", "\(function.address)", "unbind \(function.address)")
    }

    /// Only now that its driver is bound: some make up an address when nobody has set one.
    private func noteRestingAddress(_ member: Pool.Member) {
        // One that cannot be read is set anew the next time.
        let now = (try? settings(member)) ?? nil
        restingAddresses[member.identity] = member.policy.mac == nil ? now?.mac : nil
    }

    /// A drive is known by its serial number, and only its own driver tells it.
    private func rememberSerial(of function: PCIFunction) throws {
        guard let driver = function.driver, function.classCode.isStorage, !function.isBoundToVFIO,
            let serial = function.serial
        else { return }
        try serials.remember(serial, of: function, driver: driver)
    }

    private func restoreSettings(_ member: Pool.Member) throws {
        guard let (link, index) = place(member) else { return }
        let settings = member.policy.filled(from: try baseline(member))
        try set(VirtualFunctionChange(index: index, settings: settings), link, member, .unclean)
    }

    /// Sets a VF and reads it back.
    private func set(
        _ change: VirtualFunctionChange, _ link: Int32, _ member: Pool.Member, _ code: LeasingError.Code
    ) throws {
        var change = change
        var refusals = try settingsWriter.write([change], of: link)
        // Many drivers refuse the zero address, which is what a new VF has. A tenant's must not stay: a locally
        // administered one that nobody has takes its place.
        if let refused = refusals.first(where: { $0.change.settings.mac?.isZero ?? false }) {
            refusals.removeAll { $0 == refused }
            change.settings.mac = MACAddress(
                rawValue: UInt64.random(in: 0...0xffff_ffff) | 0x0200_0000_0000)
            refusals += try settingsWriter.write([change], of: link)
        }
        try check(refusals, member, code)
        try verify(change, link, member, code)
    }

    private func noPlace(_ member: Pool.Member, _ code: LeasingError.Code) -> LeasingError {
        let port = member.port?.name ?? member.function.name
        return LeasingError(
            code, "\(member.function.name) has settings, and \(port) has no netdev here that could change them",
            remedy: "bring the netdev of \(port) back into the host's network namespace, or leave the settings out")
    }

    // MARK: Parts

    /// The function at the member's address, if it is still that member: a VF of the same port with the same index.
    private func current(_ member: Pool.Member) throws -> PCIFunction? {
        guard let function = try reader.function(member.function.pci.address),
            function.model == member.function.pci.model, function.physicalFunction == member.port?.pci.address
        else { return nil }
        guard let port = member.port, let index = member.function.index else { return function }
        let now = try kernel.files.linkName(PCIReader.path(port.pci.address) + "/virtfn\(index)")
        return now == "\(function.address)" ? function : nil
    }

    /// The port's netdev and the VF's index below it; nil where nothing administers settings.
    private func place(_ member: Pool.Member) -> (link: Int32, index: UInt32)? {
        guard let link = member.port?.link?.index, let index = member.function.index else { return nil }
        return (link, UInt32(index))
    }

    private func settings(_ member: Pool.Member) throws -> VirtualFunctionSettings? {
        guard let (link, index) = place(member) else { return nil }
        return try kernel.link(index: link, .virtualFunctions).virtualFunctions.first { $0.index == index }?.settings
    }

    /// What a VF has that nobody has set, of the settings that its driver reports.
    private func baseline(_ member: Pool.Member) throws -> VirtualFunctionSettings {
        try settings(member)?.unassigned ?? VirtualFunctionSettings()
    }

    private func bind(
        _ member: Pool.Member, to driver: DeclaredDriver, isReload: Bool, _ code: LeasingError.Code
    ) throws {
        let target = DriverBinding.Target(driver, physicalFunctionDriver: member.port?.pci.driver)
        let address = member.function.pci.address
        let now = try kernel.files.linkName(PCIReader.path(address) + "/driver")
        if target.isMet(by: now), !isReload || now.map(PCIFunction.isVFIODriver) ?? false { return }
        if let name = target.driverName, try kernel.files.entries("/sys/bus/pci/drivers/\(name)") == nil {
            try kernel.loadModule(name)
        }
        let outcomes = DriverBinding(files: kernel.files, writer: kernel.writer, deadline: deadlines.bind)
            .bind([.init(address: address, target: target, isReload: isReload)])
        if let error = outcomes.first?.error { throw LeasingError(code, "\(member.function.name): \(error)") }
    }

    private func write(_ path: String, _ value: String, _ operation: String) throws {
        try kernel.writer.write(
            WriteRequest(path: path, value: value, operation: operation), deadline: deadlines.bind)
    }

    private func check(_ refusals: [RefusedSetting], _ member: Pool.Member, _ code: LeasingError.Code) throws {
        guard let refused = refusals.first else { return }
        let names = refused.change.names.joined(separator: ", ")
        throw LeasingError(
            code, "\(member.function.name): \(refused.error)",
            remedy: refused.error.isUnsupported
                ? "its driver cannot set \(names): leave it out of the request and of the pool's settings" : nil)
    }

    private func verify(
        _ change: VirtualFunctionChange, _ link: Int32, _ member: Pool.Member, _ code: LeasingError.Code
    ) throws {
        let differences = try settingsWriter.differing([change], of: link)
        guard let difference = differences.first else { return }
        throw LeasingError(
            code, "\(member.function.name): \(difference.names.joined(separator: ", ")) is not what was set",
            remedy: "the driver accepted it and did not keep it")
    }

    private func describingErrors<Value>(
        _ member: Pool.Member, _ code: LeasingError.Code = .unprepared, _ body: () throws -> Value
    ) throws(LeasingError) -> Value {
        do {
            return try body()
        } catch let error as LeasingError {
            throw error
        } catch let error as SRIOVError {
            throw LeasingError(code, "\(member.function.name): \(error.message)", remedy: error.remedy)
        } catch {
            throw LeasingError(code, "\(member.function.name): \(error)")
        }
    }
}

/// The MAC addresses that VFs have where nobody has set one. A cleaned VF's is nobody's: whoever gets the VF next and wants none
/// keeps it, because its driver would have to be bound anew for another.
final class RestingAddresses: Sendable {
    private let known = Mutex<[FunctionIdentity: MACAddress]>([:])

    subscript(function: FunctionIdentity) -> MACAddress? {
        get { known.withLock { $0[function] } }
        set { known.withLock { $0[function] = newValue } }
    }
}

extension VirtualFunctionSettings {
    /// Of observed settings what each would be if nobody had set it. What the driver does not report stays nil.
    var unassigned: VirtualFunctionSettings {
        var result = VirtualFunctionSettings()
        if mac != nil { result.mac = MACAddress(rawValue: 0) }
        if vlans != nil { result.vlans = [] }
        if minTxRateMbps != nil { result.minTxRateMbps = 0 }
        if maxTxRateMbps != nil { result.maxTxRateMbps = 0 }
        if spoofCheck != nil { result.spoofCheck = true }
        if trust != nil { result.trust = false }
        if linkState != nil { result.linkState = .auto }
        if rssQuery != nil { result.rssQuery = false }
        if nodeGUID != nil { result.nodeGUID = GUID(rawValue: 0) }
        if portGUID != nil { result.portGUID = GUID(rawValue: 0) }
        return result
    }
}
