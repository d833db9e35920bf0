public import SRIOV

/// Finds what is wrong with a host, live or recorded. A pure function of what was read.
public enum Diagnosis {
    /// The faults of a host with leases among its holders, worst first.
    public static func faults(of host: Host, _ facts: HostFacts) -> [Fault] {
        let found =
            hostFaults(host, facts) + groupFaults(host, facts) + portFaults(host, facts) + functionFaults(host, facts)
            + accessFaults(host, facts) + domainFaults(host, facts) + networkFaults(host, facts)
            + storageFaults(host, facts) + persistenceFaults(host, facts)
        return found.sorted { ($0.severity, $0.id, $0.subject ?? "") < ($1.severity, $1.id, $1.subject ?? "") }
    }
}
