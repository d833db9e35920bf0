public import Netlink
public import PCI

/// Makes the plan from the observed to the declared state. A pure function over values, but for serial numbers that
/// have to be read from the devices.
public struct Planner {
    private let host: Host
    private let resolver: IdentityResolver
    private let options: Options

    /// What the user allows, and what is known from before.
    public struct Options: Sendable {
        /// Holders that are given up: what `--evict` named.
        public var evicted: Set<String> = []
        /// PFs to which the plan is limited, by netdev or address; all when empty.
        public var only: Set<String> = []
        /// Serial numbers of functions whose driver, which knows them, was taken away.
        public var knownSerials: [PCIAddress: String] = [:]
        /// Whether the host is a recorded one, of which not everything is known.
        public var isRecorded = false
        /// Devices on which a write of an earlier apply has not returned, and that apply's process.
        public var busy: [PCIAddress: String] = [:]
        /// The state of PFs before an apply that was interrupted: its settings are still owed.
        public var interrupted: [PCIAddress: DevicePlan.Before] = [:]

        /// Nothing is evicted, everything is planned.
        public init() {}
    }

    /// Plans for a host. The files are those of the same host.
    public init(host: Host, files: any FileTree, options: Options = Options()) {
        self.host = host
        self.options = options
        resolver = IdentityResolver(host: host, files: files, knownSerials: options.knownSerials)
    }

    /// The plan that leads to a declared state.
    public func plan(to declared: DeclaredHost, eswitchModes: [PCIAddress: Devlink.EswitchMode] = [:]) -> Plan {
        var claimed: [PCIAddress: SourcePosition] = [:]
        var devices: [DevicePlan] = []
        for entry in declared.physicalFunctions {
            let device = resolved(entry.identity, entry.position, &claimed) { function in
                PortPlanner(
                    host: host, files: resolver.files, function: function, declared: entry, options: options,
                    eswitchMode: eswitchModes[function.pci.address]
                ).plan()
            }
            devices.append(device)
        }
        for entry in declared.passthrough {
            devices.append(
                resolved(entry.identity, entry.position, &claimed) { function in
                    passthroughPlan(function, entry)
                })
        }
        if !options.only.isEmpty {
            devices.removeAll { device in
                !options.only.contains(device.name) && !(device.address.map { options.only.contains("\($0)") } ?? false)
            }
        }
        return Plan(devices: devices, modules: modules(for: devices), warnings: warnings(for: devices))
    }

    private func resolved(
        _ identity: Identity, _ position: SourcePosition, _ claimed: inout [PCIAddress: SourcePosition],
        _ plan: (Function) -> DevicePlan
    ) -> DevicePlan {
        do throws(SRIOVError) {
            let function = try resolver.resolve(identity)
            if let other = claimed[function.pci.address] {
                throw SRIOVError(
                    .deviceClaimedTwice,
                    "\(position): \(identity.description) matches \(function.pci.address), which line \(other.line) already claims",
                    remedy: "keep one of the two entries")
            }
            claimed[function.pci.address] = position
            if let owner = options.busy[function.pci.address] {
                var device = DevicePlan(
                    name: function.name, address: function.pci.address, link: nil, position: position)
                let error = SRIOVError(
                    .hung,
                    "a write of an earlier apply (\(owner)) to \(function.name) has not returned from the kernel",
                    remedy: "release what holds its VFs; dmesg says who is asked to")
                device.refusals = [Refusal(error)]
                return device
            }
            var device = plan(function)
            let functions = [function] + host.virtualFunctions(of: function.pci.address)
            device.isHeld = functions.contains { !$0.holders.isEmpty }
            device.evicted = options.evicted
            return device
        } catch {
            var device = DevicePlan(
                name: identity.netdev ?? identity.serial ?? identity.description, address: nil, link: nil,
                position: position)
            device.refusals = [Refusal(error)]
            return device
        }
    }

    // MARK: Passthrough

    private func passthroughPlan(_ function: Function, _ declared: DeclaredPassthrough) -> DevicePlan {
        var device = DevicePlan(
            name: function.pci.serial ?? options.knownSerials[function.pci.address] ?? function.name,
            address: function.pci.address, link: nil, position: declared.position)
        let binding = DevicePlan.Binding(index: nil, target: .init(declared.driver, physicalFunctionDriver: nil))
        guard !declared.driver.isSatisfied(by: function.pci) else {
            device.bindings = [binding]
            return device
        }
        guard !function.pci.classCode.isBridge else {
            device.refusals = [
                Refusal(
                    SRIOVError(
                        .notAssignable, "\(function.pci.address) is a bridge, and bridges cannot be passed through"))
            ]
            return device
        }
        var holders = function.holders
        let vfs = host.virtualFunctions(of: function.pci.address).count
        if vfs > 0 { holders.append(Holder(.virtualFunctions(vfs), through: function.name)) }
        let held = Refusal.HeldFunction.list(function, holders: holders, evicted: options.evicted)
        guard held.isEmpty else {
            device.refusals = [
                Refusal(
                    SRIOVError(
                        .held, "\(function.pci.address) is not bound to \(declared.driver.name): it is in use",
                        remedy: "free it and plan again"), holders: held)
            ]
            return device
        }
        if case .vfio = declared.driver, let refusal = sharedGroup(function, declared) { device.refusals = [refusal] }
        guard device.refusals.isEmpty else { return device }
        device.bindings = [binding]
        device.steps = [
            Step(
                .bind([binding]), "bind to \(declared.driver.name)",
                reason: "it is bound to \(function.pci.driver ?? "no driver")")
        ]
        return device
    }

    /// A disk of the host in the same IOMMU group would have to be given away with the function.
    private func sharedGroup(_ function: Function, _ declared: DeclaredPassthrough) -> Refusal? {
        guard let group = function.pci.iommuGroup else { return nil }
        let held = host.functions.filter { $0.pci.iommuGroup == group && $0.pci.address != function.pci.address }
            .flatMap { Refusal.HeldFunction.list($0, holders: $0.holders, evicted: options.evicted) }
            .filter { !$0.holder.isEvictable }
        guard !held.isEmpty else { return nil }
        return Refusal(
            SRIOVError(
                .held, "\(function.pci.address) shares IOMMU group \(group) with a function that the host itself uses",
                remedy: "put the card into another slot, or enable ACS in the firmware"), holders: held)
    }

    // MARK: The host

    private func modules(for devices: [DevicePlan]) -> [String] {
        let wanted = devices.flatMap { device in
            device.steps.flatMap { step -> [String] in
                guard case .bind(let bindings) = step.action else { return [] }
                return bindings.compactMap { $0.target.driverName }
            }
        }
        let bound = Set(host.functions.compactMap(\.pci.driver))
        return Set(wanted).subtracting(bound).filter { name in
            // A driver's folder is there when its module is loaded or built in. The names differ in - and _.
            ((try? resolver.files.entries("/sys/bus/pci/drivers/\(name)")) ?? nil) == nil
        }.sorted()
    }

    private func warnings(for devices: [DevicePlan]) -> [SRIOVError] {
        let usesVFIO = devices.contains { device in
            device.bindings.contains { $0.target.driverName.map(PCIFunction.isVFIODriver) ?? false }
        }
        guard usesVFIO, !host.hasIOMMU else { return [] }
        return [
            SRIOVError(
                .noIOMMU,
                "the kernel uses no IOMMU, so nothing can be passed through: functions can be bound to vfio-pci, but no VM can open them",
                remedy:
                    "enable VT-d or AMD-Vi in the firmware and boot with intel_iommu=on iommu=pt (AMD: on by default)")
        ]
    }
}

extension Planner.Options {
    /// A name that means nothing is a mistake, not a wish that nothing happen; and two entries for one device contradict
    /// each other: which of them is meant is not for us to guess.
    ///
    /// Throws `device.claimedTwice`, or `request.invalid` with the names that there are.
    package func check(_ plan: Plan, on host: Host) throws(SRIOVError) {
        let twice = plan.devices.flatMap(\.refusals).first { $0.error.code == .deviceClaimedTwice }
        if let twice { throw twice.error }
        for name in only.sorted()
        where !plan.devices.contains(where: { $0.name == name || $0.address.map { "\($0)" } == name }) {
            throw SRIOVError(
                .unknownName, "\(name): the host file declares no such device",
                remedy: "give a netdev or an address that it declares")
        }
        let holders = host.functions.flatMap(\.holders)
        for name in evicted.sorted() {
            guard let holder = holders.first(where: { $0.identifier == name }) else {
                let known = Set(holders.filter(\.isEvictable).map(\.identifier)).sorted().joined(separator: ", ")
                throw SRIOVError(
                    .unknownName, "\(name): there is no such holder",
                    remedy: known.isEmpty ? "nobody holds anything" : "there are \(known)")
            }
            if !holder.isEvictable {
                throw SRIOVError(
                    .unknownName, "\(name) cannot be evicted: \(holder)", remedy: holder.remedy)
            }
        }
    }
}

extension Refusal.HeldFunction {
    /// The holders of a function that are not evicted.
    static func list(_ function: Function, holders: [Holder], evicted: Set<String>) -> [Self] {
        holders.filter { !($0.isEvictable && evicted.contains($0.identifier)) }
            .map { Self(function: function.name, address: function.pci.address, holder: $0) }
    }
}

extension DeclaredDriver {
    /// The driver's name for people.
    public var name: String {
        switch self {
        case .vfio(let name): name
        case .kernel(let name): name ?? "the kernel's driver"
        }
    }

    /// Whether a function has the driver already.
    func isSatisfied(by function: PCIFunction) -> Bool {
        guard let driver = function.driver else { return false }
        switch self {
        case .vfio(let name): return driver == name
        case .kernel(let name): return name.map { $0 == driver } ?? !function.isBoundToVFIO
        }
    }
}

extension DriverBinding.Target {
    /// What to bind to for a declared driver. A VF's own driver is named, because with autoprobe off only an override
    /// lets one bind; most vendors have a driver of its own for their VFs.
    package init(_ declared: DeclaredDriver, physicalFunctionDriver: String?) {
        let drivers = [
            "igb": "igbvf", "ixgbe": "ixgbevf", "i40e": "iavf", "ice": "iavf", "idpf": "idpf", "fm10k": "fm10k",
            "cxgb4": "cxgb4vf", "be2net": "be2net", "liquidio": "liquidio_vf", "octeontx2-nicpf": "rvu_nicvf",
            "hns3": "hns3", "enic": "enic", "thunder-nic": "thunder-nicvf",
        ]
        switch declared {
        case .vfio(let name): self = .driver(name)
        case .kernel(let name):
            // The rest (mlx5_core, bnxt_en, nvme, qede, sfc, nfp) drive their VFs themselves.
            self = .kernel(name ?? physicalFunctionDriver.map { drivers[$0] ?? $0 })
        }
    }

    /// The driver's name, when one is asked for.
    public var driverName: String? {
        switch self {
        case .driver(let name): name
        case .kernel(let name): name
        }
    }
}
