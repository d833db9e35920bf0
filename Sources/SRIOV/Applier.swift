internal import Netlink
internal import PCI
internal import Synchronization

/// Walks a plan: devices in parallel, each one's steps in order, every step recorded before it is done.
public struct Applier: Sendable {
    private let kernel: any HostKernel
    private let state: StateDirectory
    private let deadlines: Deadlines

    /// How long the kernel is waited for.
    public struct Deadlines: Sendable {
        /// A write to sriov_numvfs. Drivers that reinitialise their firmware take seconds per VF.
        public var virtualFunctions: Duration = .seconds(120)
        /// A bind or an unbind.
        public var bind: Duration = .seconds(30)
        /// The carrier of a port whose driver wants to know its speed before it limits a VF's.
        public var carrier: Duration = .seconds(10)

        /// The usual ones.
        public init() {}
    }

    /// Applies to a kernel; the caller holds the lock of the state folder.
    public init(kernel: any HostKernel, state: StateDirectory, deadlines: Deadlines = Deadlines()) {
        self.kernel = kernel
        self.state = state
        self.deadlines = deadlines
    }

    /// Applies a plan and returns what became of each device that has steps, in the plan's order.
    ///
    /// Where `isStopped` becomes true no further step is begun; the next apply goes on. Events come from several threads. Throws `state.unusable` when the record cannot be written, before anything is
    /// changed.
    public func apply(
        _ plan: Plan, file: String, time: Int, interrupted: Journal.Interrupted?,
        isStopped: @escaping @Sendable () -> Bool = { false },
        onEvent: @escaping @Sendable (ApplyEvent) -> Void
    ) throws -> [DeviceReport] {
        let devices = plan.devices.filter { !$0.steps.isEmpty }
        guard !devices.isEmpty else { return [] }
        let journal = try Journal.begin(plan, file: file, time: time, interrupted: interrupted, state: state)
        let serials = KnownSerials(state: state, files: kernel.files)
        let (kernel, state, deadlines) = (kernel, state, deadlines)
        let reports = inParallel(devices) { device in
            DeviceApplier(
                kernel: kernel, device: device, journal: journal, state: state, serials: serials, deadlines: deadlines,
                isStopped: isStopped, onEvent: onEvent
            ).run()
        }
        // A journal that cannot be closed is found by the next apply, which then finds nothing to do.
        try journal.end(unfinished: Set(reports.filter { $0.stepsDone < $0.steps }.compactMap(\.address)))
        return reports
    }
}
