internal import PCI
internal import SRIOV
internal import Synchronization

/// The process that writes to sysfs for `sluice apply`, and can be left behind when the kernel does not return.
enum WriterProcess {
    private static let started = Mutex<WriterChannel.Process?>(nil)

    /// Forks it. To be called once, first of all. Without it (the process limit is reached) threads serve.
    static func start() {
        guard case .success(let process) = WriterChannel.startProcess() else { return }
        started.withLock { $0 = process }
    }

    static func channel() throws(SRIOVError) -> WriterChannel {
        if let process = started.withLock({ $0 }) { return WriterChannel(process: process) }
        do {
            return try WriterChannel()
        } catch {
            throw SRIOVError(.state, "cannot start the writer: \(error)", errno: error)
        }
    }
}
