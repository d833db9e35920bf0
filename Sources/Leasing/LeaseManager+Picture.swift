internal import PCI
public import SRIOV
internal import Synchronization

/// The picture of the host. It takes a while to be read, and functions are bound to drivers meanwhile: what was seen of one
/// in between would be taken for a fault.
extension LeaseManager {
    /// What to hand to `update` of a picture that is begun now.
    public var moment: UInt64 { state.withLock { $0.moment } }

    /// Takes over a new picture of the host and its pools, and watches who uses functions without a lease. Of functions that
    /// were bound since its moment their driver is read once more, and those that are free have no holder.
    public func update(host: Host, pools: PoolSet, begunAt moment: UInt64 = 0) {
        let foreign = state.withLock { book in
            book.host = host
            book.pools = pools
            for (identity, bound) in book.bound where bound > moment {
                guard let member = pools.member(identity) else { continue }
                book.pools.mark(identity, driver: driver(of: member))
                // Whoever had it before has let it go: it was clean when it became free.
                if book.open[identity] == nil { book.pools.mark(identity, holders: []) }
            }
            return book.noteForeignUse()
        }
        for holder in foreign { watch(holder) }
    }

    /// Works on a function that may be bound to a driver by it, when its port's turn has come.
    func binding<Value: Sendable>(
        _ member: Pool.Member, _ body: @escaping @Sendable (FunctionCare) throws(LeasingError) -> Value
    ) async throws(LeasingError) -> Value {
        try await queues.run(on: member.portAddress) { [self] () throws(LeasingError) in
            defer {
                state.withLock { book in
                    book.moment += 1
                    book.bound[member.identity] = book.moment
                    book.pools.mark(member.identity, driver: driver(of: member))
                }
            }
            return try body(care)
        }
    }

    private func driver(of member: Pool.Member) -> String? {
        (try? care.kernel.files.linkName(PCIReader.path(member.function.pci.address) + "/driver")) ?? nil
    }
}
