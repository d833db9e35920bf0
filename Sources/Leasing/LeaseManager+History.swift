internal import PCI
internal import SRIOV
internal import Synchronization

extension LeaseManager {
    /// What happened to a device or a lease, oldest first; to all of them when nil.
    ///
    /// A device is meant by its address, name, MAC or serial, or by its identity in the ledger; one that is gone is
    /// still known by the address at which it was leased last.
    public func history(of selector: String?) throws(LeasingError) -> [Transition] {
        guard let selector else { return try ledger.history() }
        if state.withLock({ $0.leases[selector.uppercased()] }) != nil {
            return try ledger.history(lease: selector.uppercased())
        }
        let host = state.withLock { $0.host }
        if case .function(let function)? = try? DeviceSelector(host: host).device(selector) {
            let found = try ledger.history(of: FunctionIdentity(function, in: host))
            if !found.isEmpty { return found }
        }
        let byIdentity = try ledger.history(of: FunctionIdentity(rawValue: selector))
        if !byIdentity.isEmpty { return byIdentity }
        let byLease = try ledger.history(lease: selector.uppercased())
        if !byLease.isEmpty { return byLease }
        let address = PCIAddress(selector)
        return try ledger.history().filter { $0.address == address }
    }
}
