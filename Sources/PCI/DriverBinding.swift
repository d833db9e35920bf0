/// Gives functions to a driver by driver_override and drivers_probe: the way that names one device and no other, and
/// needs no list of identifiers that would catch identical devices too.
public struct DriverBinding: Sendable {
    private let reader: PCIReader
    private let writer: any DeviceWriter
    private let deadline: Duration

    /// Binds through a writer; no single write is waited for longer than the deadline.
    public init(files: any FileTree, writer: any DeviceWriter, deadline: Duration = .seconds(30)) {
        reader = PCIReader(files: files)
        self.writer = writer
        self.deadline = deadline
    }

    /// What a function is to be bound to.
    public enum Target: Sendable, Hashable {
        /// This driver alone; it stays the function's only one until it is bound to another.
        case driver(String)
        /// The kernel's own choice among its drivers. The named one is probed first, because with
        /// `sriov_drivers_autoprobe` 0 a VF matches no driver until its override is set.
        case kernel(String?)

        /// Whether a driver is the one that is meant; none never is.
        public func isMet(by driver: String?) -> Bool {
            guard let driver else { return false }
            switch self {
            case .driver(let name): return driver == name
            case .kernel(let name): return name.map { driver == $0 } ?? !PCIFunction.isVFIODriver(driver)
            }
        }
    }

    /// A function and what to bind it to.
    public struct Request: Sendable, Hashable {
        /// The function.
        public var address: PCIAddress
        /// What to bind it to.
        public var target: Target
        /// Whether a driver that has it already is to take it anew.
        public var isReload: Bool

        /// Makes a request.
        public init(address: PCIAddress, target: Target, isReload: Bool = false) {
            self.address = address
            self.target = target
            self.isReload = isReload
        }
    }

    /// What became of one function.
    public struct Outcome: Sendable {
        /// The function.
        public var address: PCIAddress
        /// The driver that it has now.
        public var driver: String?
        /// Why it is not bound as asked; its former driver has it again if that was possible.
        public var error: PCIError?
    }

    /// Binds functions, all at the same time: the kernel locks each for itself.
    public func bind(_ targets: [Request]) -> [Outcome] {
        var outcomes = targets.map { Outcome(address: $0.address, driver: nil, error: nil) }
        let before = targets.map { current($0.address) }

        func step(_ operation: (Int) -> WriteRequest?) {
            let requests = targets.indices.compactMap { index in
                outcomes[index].error == nil ? operation(index).map { (index, $0) } : nil
            }
            for ((index, _), error) in zip(requests, writer.write(requests.map(\.1), deadline: deadline)) {
                outcomes[index].error = error
            }
        }

        step { index in
            guard case .driver(let name) = targets[index].target else { return nil }
            return override(targets[index].address, name)
        }
        step { index in
            let (address, target) = (targets[index].address, targets[index].target)
            guard let driver = before[index].driver, targets[index].isReload || !target.isMet(by: driver) else {
                return nil
            }
            return WriteRequest(
                path: "/sys/bus/pci/drivers/\(driver)/unbind", value: "\(address)",
                operation: "unbind \(address) from \(driver)")
        }
        // Only now is the reservation given up: while vfio-pci has a drive, it tells that its serial number is known.
        step { index in
            guard case .kernel(let name) = targets[index].target else { return nil }
            return override(targets[index].address, name ?? "\n")
        }
        step { probe(targets[$0].address, for: targets[$0].target) }
        for index in targets.indices where outcomes[index].error == nil {
            verify(&outcomes[index], targets[index].target)
        }
        undo(
            outcomes.indices.filter { outcomes[$0].error != nil && outcomes[$0].error?.code != .hung }, before,
            &outcomes)
        return outcomes
    }

    private func current(_ address: PCIAddress) -> (driver: String?, override: String?) {
        // A function that cannot be read is reported by the first write to it, with the kernel's errno.
        let driver = try? reader.files.linkName(PCIReader.path(address) + "/driver")
        let override = try? reader.driverOverride(address)
        return (driver ?? nil, override ?? nil)
    }

    private func verify(_ outcome: inout Outcome, _ target: Target) {
        let path = PCIReader.path(outcome.address) + "/driver"
        do throws(PCIError) {
            outcome.driver = try reader.files.linkName(path)
        } catch {
            outcome.error = error
            return
        }
        guard target.isMet(by: outcome.driver) else {
            let wanted: String =
                switch target {
                case .driver(let name): name
                case .kernel(let name): name ?? "a driver of the kernel"
                }
            outcome.error = PCIError(
                .unverified, "bind \(outcome.address) to \(wanted)", path: path,
                detail: outcome.driver.map { "it is bound to \($0)" }
                    ?? "no driver took it; is the module loaded (modprobe \(wanted))?")
            return
        }
    }

    /// Gives functions whose binding failed back to the driver they had.
    private func undo(
        _ failed: [Int], _ before: [(driver: String?, override: String?)], _ outcomes: inout [Outcome]
    ) {
        guard !failed.isEmpty else { return }
        let addresses = failed.map { outcomes[$0].address }
        // The former driver is named: with autoprobe off a VF would not be given back to it otherwise.
        _ = writer.write(
            zip(addresses, failed).map { override($0, before[$1].driver ?? before[$1].override ?? "\n") },
            deadline: deadline)
        let lost = failed.filter { before[$0].driver != nil && current(outcomes[$0].address).driver == nil }
        _ = writer.write(lost.map { probe(outcomes[$0].address, for: .kernel(nil)) }, deadline: deadline)
        _ = writer.write(
            zip(addresses, failed).map { override($0, before[$1].override ?? "\n") }, deadline: deadline)
        for index in failed {
            outcomes[index].driver = current(outcomes[index].address).driver
            guard let former = before[index].driver, outcomes[index].driver == nil else { continue }
            let detail = outcomes[index].error?.detail.map { $0 + "; " } ?? ""
            outcomes[index].error?.detail = "\(detail)its former driver \(former) has not taken it back either"
        }
    }

    private func override(_ address: PCIAddress, _ value: String) -> WriteRequest {
        WriteRequest(
            path: PCIReader.path(address) + "/driver_override", value: value,
            operation: value == "\n"
                ? "clear the driver override of \(address)" : "reserve \(address) for the driver \(value)")
    }

    private func probe(_ address: PCIAddress, for target: Target) -> WriteRequest {
        var driver = "its driver"
        if case .driver(let name) = target { driver = name }
        return WriteRequest(
            path: "/sys/bus/pci/drivers_probe", value: "\(address)", operation: "bind \(address) to \(driver)")
    }
}
