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

    /// The way to it; one for all that a command does, since its end is the process's end.
    static func channel() throws(SRIOVError) -> WriterChannel {
        if let channel = opened.withLock({ $0 }) { return channel }
        let channel: WriterChannel
        if let process = started.withLock({ $0 }) {
            channel = WriterChannel(process: process)
        } else {
            do {
                channel = try WriterChannel()
            } catch {
                throw SRIOVError(.state, "cannot start the writer: \(error)", errno: error)
            }
        }
        opened.withLock { $0 = channel }
        return channel
    }

    private static let opened = Mutex<WriterChannel?>(nil)
}
