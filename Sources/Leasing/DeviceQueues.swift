internal import PCI
internal import SRIOV
internal import Synchronization

/// One serial queue a port: work on one port is ordered, and a port that hangs stops no other.
///
/// Device work blocks, so it never runs on the shared pool: two stuck devices would stop a host with two cores.
final class DeviceQueues: Sendable {
    private let queues = Mutex<[PCIAddress: SerialQueue]>([:])

    func run<Value: Sendable>(
        on port: PCIAddress, _ body: @escaping @Sendable () throws(LeasingError) -> Value
    ) async throws(LeasingError) -> Value {
        let queue = queues.withLock { queues in
            if let queue = queues[port] { return queue }
            let queue = SerialQueue()
            queues[port] = queue
            return queue
        }
        return try await queue.run(body)
    }
}
