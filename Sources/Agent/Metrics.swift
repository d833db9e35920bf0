internal import Diagnosis
internal import Leasing
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

/// The agent's figures in Prometheus' text format (0.0.4).
final class Metrics: Sendable {
    private struct State {
        var acquires = Histogram()
        var refused = 0
        var applies: [String: Int] = ["done": 0, "failed": 0, "refused": 0]
        var applySeconds = 0.0
        var reads = 0
    }

    private let state = Mutex(State())

    private struct Histogram {
        static let bounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
        var buckets = [Int](repeating: 0, count: bounds.count)
        var count = 0
        var sum = 0.0

        mutating func add(_ seconds: Double) {
            count += 1
            sum += seconds
            for (index, bound) in Self.bounds.enumerated() where seconds <= bound { buckets[index] += 1 }
        }
    }

    func acquired(in duration: Duration, succeeded: Bool) {
        state.withLock { if succeeded { $0.acquires.add(duration.seconds) } else { $0.refused += 1 } }
    }

    func applied(in duration: Duration, outcome: String) {
        state.withLock {
            $0.applies[outcome, default: 0] += 1
            $0.applySeconds += duration.seconds
        }
    }

    func hostRead() { state.withLock { $0.reads += 1 } }

    /// All figures of now; the counters of VFs when they are given.
    func text(manager: LeaseManager, faults: [Fault], drift: Int, counters: [(Function, VirtualFunctionStatistics)]?)
        -> String
    {
        let state = state.withLock { $0 }
        var page = Page()
        var functions: [[String]: Int] = [:]
        let occupied = manager.occupied
        for pool in manager.pools.pools {
            for member in pool.members {
                var word = "free"
                switch occupied[member.identity] {
                case .lease(let lease): word = lease.state.rawValue
                case .foreign: word = "foreign"
                case .maintained, .promised: word = "maintained"
                case nil: break
                }
                functions[[pool.name, member.port?.name ?? "", word], default: 0] += 1
            }
        }
        page.family("sluice_functions", "gauge", "Functions of pools by state")
        for (key, count) in functions.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            page.sample(
                "sluice_functions", ["pool": key[0], "physical_function": key[1], "state": key[2]], "\(count)")
        }
        page.family("sluice_leases", "gauge", "Leases that have not ended, by state")
        let leases = Dictionary(grouping: manager.leases, by: \.state)
        for leaseState in LeaseState.allCases where leaseState.isOpen {
            page.sample("sluice_leases", ["state": leaseState.rawValue], "\(leases[leaseState]?.count ?? 0)")
        }
        page.family("sluice_lease_acquire_seconds", "histogram", "Time from request to prepared lease")
        for (bound, count) in zip(Histogram.bounds, state.acquires.buckets) {
            page.sample("sluice_lease_acquire_seconds_bucket", ["le": "\(bound)"], "\(count)")
        }
        page.sample("sluice_lease_acquire_seconds_bucket", ["le": "+Inf"], "\(state.acquires.count)")
        page.sample("sluice_lease_acquire_seconds_sum", [:], "\(state.acquires.sum)")
        page.sample("sluice_lease_acquire_seconds_count", [:], "\(state.acquires.count)")
        page.family("sluice_lease_refused_total", "counter", "Requests for leases that were not granted")
        page.sample("sluice_lease_refused_total", [:], "\(state.refused)")
        page.family("sluice_applies_total", "counter", "Applies by outcome")
        for (outcome, count) in state.applies.sorted(by: { $0.key < $1.key }) {
            page.sample("sluice_applies_total", ["outcome": outcome], "\(count)")
        }
        page.family("sluice_apply_seconds_total", "counter", "Time spent in applies")
        page.sample("sluice_apply_seconds_total", [:], "\(state.applySeconds)")
        page.family("sluice_host_reads_total", "counter", "How often the host was read")
        page.sample("sluice_host_reads_total", [:], "\(state.reads)")
        page.family(
            "sluice_drift", "gauge", "Devices that are not as declared and are not repaired, because they are in use")
        page.sample("sluice_drift", [:], "\(drift)")
        page.family("sluice_faults", "gauge", "Faults that are known, by severity")
        let bySeverity = Dictionary(grouping: faults, by: \.severity)
        for severity in Fault.Severity.allCases {
            page.sample("sluice_faults", ["severity": severity.rawValue], "\(bySeverity[severity]?.count ?? 0)")
        }
        page.family("sluice_fault", "gauge", "Faults that are known, by identifier")
        for (id, found) in Dictionary(grouping: faults, by: \.id).sorted(by: { $0.key < $1.key }) {
            page.sample("sluice_fault", ["id": id, "severity": found[0].severity.rawValue], "\(found.count)")
        }
        if let counters { add(counters, &page) }
        return page.text
    }

    private func add(_ counters: [(Function, VirtualFunctionStatistics)], _ page: inout Page) {
        let families: [(String, String, KeyPath<VirtualFunctionStatistics, UInt64>)] = [
            ("receive_packets", "Packets received", \.rxPackets), ("transmit_packets", "Packets sent", \.txPackets),
            ("receive_bytes", "Bytes received", \.rxBytes), ("transmit_bytes", "Bytes sent", \.txBytes),
            ("receive_dropped_packets", "Packets dropped on reception", \.rxDropped),
            ("transmit_dropped_packets", "Packets dropped on transmission", \.txDropped),
        ]
        for (name, help, path) in families {
            let family = "sluice_vf_\(name)_total"
            page.family(family, "counter", help + " by a VF, as its port counts")
            for (function, statistics) in counters {
                page.sample(
                    family,
                    [
                        "physical_function": function.physicalFunctionName ?? "", "vf": "\(function.index ?? 0)",
                        "address": "\(function.pci.address)",
                    ], "\(statistics[keyPath: path])")
            }
        }
    }

    private struct Page {
        var text = ""

        mutating func family(_ name: String, _ type: String, _ help: String) {
            text += "# HELP \(name) \(help).\n# TYPE \(name) \(type)\n"
        }

        mutating func sample(_ name: String, _ labels: [String: String], _ value: String) {
            let pairs = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(Self.escaped($0.value))\"" }
            text += name + (pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}") + " \(value)\n"
        }

        private static func escaped(_ text: String) -> String {
            text.map { $0 == "\\" ? "\\\\" : $0 == "\"" ? "\\\"" : $0.isNewline ? "\\n" : String($0) }.joined()
        }
    }
}

extension Duration {
    fileprivate var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
