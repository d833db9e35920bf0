public import SRIOV

/// Finds what is wrong with a host, live or recorded. A pure function of what was read.
public enum Diagnosis {
    /// The faults of a host with leases among its holders, worst first.
    public static func faults(of host: Host, _ facts: KernelFacts) -> [Fault] {
        let found =
            firmwareFaults(host, facts) + groupFaults(host, facts) + storageFaults(host, facts)
            + networkFaults(host, facts)
            + physicalFunctionFaults(host) + virtualFunctionFaults(host)
        return found.sorted { ($0.severity, $0.id, $0.subject ?? "") < ($1.severity, $1.id, $1.subject ?? "") }
    }
}
