internal import PCI
internal import SRIOV

extension Diagnosis {
    /// What is wrong with functions that are given out.
    static func virtualFunctionFaults(_ host: Host) -> [Fault] {
        host.functions.flatMap { function in function.holders.compactMap { fault($0, of: function) } }
    }

    /// A lease that did not end as it should.
    private static func fault(_ holder: Holder, of function: Function) -> Fault? {
        guard case .lease(let id, let consumer, let state?) = holder.kind else { return nil }
        let address = "\(function.pci.address)"
        let evidence = ["lease \(id) of \(consumer) is \(state)"]
        switch state.prefix(while: { $0 != ":" }) {
        case "quarantined":
            return Fault(
                "vf.quarantined", "\(function.name) could not be cleaned", severity: .error, subject: address,
                evidence: evidence,
                cause: "it may still carry what its last tenant has set, so nobody gets it",
                remedies: ["mend what the reason names, then: sluice lease repair \(id)"])
        case "lost":
            return Fault(
                "lease.lost", "\(function.name) was taken away while it was leased", severity: .warning,
                subject: address, evidence: evidence,
                cause: "its VFs were removed and made again; this one is kept for nobody else until the lease ends",
                remedies: ["sluice lease release \(id)", "sluice lease history \(address) tells when and by whom"])
        default: return nil
        }
    }
}
