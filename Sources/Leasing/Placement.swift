internal import Netlink
internal import PCI
public import SRIOV

/// Chooses functions of a pool for a request. A pure function of the inventory, the leases and the request: the same
/// values give the same choice.
public struct Placement {
    private let host: Host
    private let request: LeaseRequest
    private let occupied: [FunctionIdentity: Occupation]

    /// Why a function is not free.
    public enum Occupation: Sendable, Hashable {
        /// It is leased.
        case lease(Lease)
        /// Somebody uses it without a lease.
        case foreign([Holder])
        /// Its port is being configured.
        case maintained
        /// A domain that starts is about to get it.
        case promised
    }

    /// What was chosen, and why not the others.
    public struct Decision: Sendable {
        /// The chosen functions, in the order of choice.
        public var chosen: [Choice]
        /// The others of the pool.
        public var passed: [Choice]
    }

    /// A function and why it was chosen or not.
    public struct Choice: Sendable {
        /// The function.
        public var member: Pool.Member
        /// Why.
        public var cause: Cause
        /// The reason, in a few words.
        public var reason: String {
            switch cause {
            case .best(let text): text
            case .occupied(let occupation): occupation.description
            case .elsewhere: member.place
            case .samePort(let other): "same physical function as \(other)"
            case .sameCard(let other): "same card as \(other)"
            case .later: "free; \(member.place), comes later"
            }
        }
    }

    /// Why a function was chosen or not. Put into words only when somebody asks: a pool may have hundreds.
    public enum Cause: Sendable {
        /// It is the best.
        case best(String)
        /// It is not free.
        case occupied(Occupation)
        /// It is on another NUMA node than is required.
        case elsewhere
        /// A chosen function is of the same PF.
        case samePort(String)
        /// A chosen function is of the same card.
        case sameCard(String)
        /// Others come first.
        case later
    }

    /// Prepares a choice on a host where some functions are occupied.
    public init(host: Host, request: LeaseRequest, occupied: [FunctionIdentity: Occupation]) {
        self.host = host
        self.request = request
        self.occupied = occupied
    }

    /// Chooses as many functions as the request wants.
    ///
    /// Throws `pool.exhausted`, with every function of the pool and who has it, oldest lease first, when there are too
    /// few.
    public func choose(
        from members: [Pool.Member], numa: DeclaredPool.NUMAPolicy, spread: DeclaredPool.Spread, of name: String
    ) throws(LeasingError) -> Decision {
        var usage = Usage(members, occupied: Set(occupied.keys))
        var passed: [Choice] = []
        var candidates: [Pool.Member] = []
        for member in members {
            if let cause = exclusion(member, numa) {
                passed.append(Choice(member: member, cause: cause))
            } else {
                candidates.append(member)
            }
        }
        var chosen: [Choice] = []
        while chosen.count < request.count {
            let ranked = candidates.map { ($0, rank($0, numa, spread, usage)) }
            guard let best = ranked.min(by: { $0.1 < $1.1 })?.0 else { break }
            chosen.append(Choice(member: best, cause: .best(reason(best, numa, spread, usage))))
            usage.take(best)
            candidates.removeAll { other in
                guard other.identity != best.identity else { return true }
                guard let shared = shares(other, best) else { return false }
                passed.append(Choice(member: other, cause: shared))
                return true
            }
        }
        guard chosen.count == request.count else {
            throw exhausted(members, free: chosen.map(\.member) + candidates, passed: passed, name)
        }
        passed += candidates.map { Choice(member: $0, cause: .later) }
        return Decision(chosen: chosen, passed: passed)
    }

    // MARK: What is out of the question

    private func exclusion(_ member: Pool.Member, _ numa: DeclaredPool.NUMAPolicy) -> Cause? {
        if let occupation = occupied[member.identity] { return .occupied(occupation) }
        if numa == .require, let nodes = wantedNodes(), !nodes.contains(member.function.pci.numaNode ?? -1) {
            return .elsewhere
        }
        return nil
    }

    private func shares(_ member: Pool.Member, _ chosen: Pool.Member) -> Cause? {
        switch request.antiAffinity {
        case .none: return nil
        case .physicalFunction:
            return member.portAddress == chosen.portAddress ? .samePort(chosen.function.name) : nil
        case .card:
            return member.portAddress.card == chosen.portAddress.card ? .sameCard(chosen.function.name) : nil
        }
    }

    // MARK: Order

    /// Smaller is better, compared from left to right.
    private func rank(
        _ member: Pool.Member, _ numa: DeclaredPool.NUMAPolicy, _ spread: DeclaredPool.Spread, _ usage: Usage
    ) -> Rank {
        let part = usage.part(of: member)
        return Rank(values: [
            numa == .ignore ? 0 : distance(member), linkRank(member), spread == .physicalFunction ? part : -part,
            Int(truncatingIfNeeded: member.portAddress.order), member.function.index ?? 0,
        ])
    }

    private struct Rank: Comparable {
        var values: [Int]
        static func < (left: Rank, right: Rank) -> Bool { left.values.lexicographicallyPrecedes(right.values) }
    }

    /// How far a function is from the wanted place: 0 is as near as can be.
    private func distance(_ member: Pool.Member) -> Int {
        var result = 0
        if case .device(let device) = request.near {
            let port = host[device]?.pci.physicalFunction ?? device
            result = member.portAddress == port ? 0 : member.portAddress.card == port.card ? 1 : 2
        }
        guard let nodes = wantedNodes() else { return result }
        return result + (nodes.contains(member.function.pci.numaNode ?? -1) ? 0 : 4)
    }

    /// The wanted NUMA nodes; nil when none is wanted, or none is known of the device that was named.
    private func wantedNodes() -> Set<Int>? {
        switch request.near {
        case .node(let node): return [node]
        case .cpus(let cpus):
            return Set(
                host.nodes.filter { node in cpus.numbers.contains { node.cpus.contains($0) } }.map(\.number))
        case .device(let device): return host[device]?.pci.numaNode.map { [$0] }
        case nil: return nil
        }
    }

    /// A port with a carrier comes first; a VF of a port that is down works only within the card.
    private func linkRank(_ member: Pool.Member) -> Int {
        guard let link = member.port?.link else { return 0 }
        return !link.isUp ? 2 : link.state == .down ? 1 : 0
    }

    /// How much of each port is in use.
    private struct Usage {
        private var total: [PCIAddress: Int] = [:]
        private var used: [PCIAddress: Int] = [:]

        init(_ members: [Pool.Member], occupied: Set<FunctionIdentity>) {
            for member in members {
                total[member.portAddress, default: 0] += 1
                if occupied.contains(member.identity) { used[member.portAddress, default: 0] += 1 }
            }
        }

        mutating func take(_ member: Pool.Member) { used[member.portAddress, default: 0] += 1 }

        /// The part of its port's functions in the pool that are in use, in millionths.
        func part(of member: Pool.Member) -> Int {
            let count = max(total[member.portAddress] ?? 1, 1)
            return (used[member.portAddress] ?? 0) * 1_000_000 / count
        }

        func free(_ member: Pool.Member) -> String {
            let count = total[member.portAddress] ?? 0
            return "\(count - (used[member.portAddress] ?? 0)) of \(count) free"
        }
    }

    // MARK: Words

    private func reason(
        _ member: Pool.Member, _ numa: DeclaredPool.NUMAPolicy, _ spread: DeclaredPool.Spread, _ usage: Usage
    ) -> String {
        var parts: [String] = []
        if request.near != nil, numa != .ignore { parts.append(member.place) }
        if let port = member.port {
            let word = spread == .physicalFunction ? "spread" : "pack"
            parts.append("\(port.name) has \(usage.free(member)) (\(word))")
            if let link = port.link { parts.append(link.isUp ? "" : "its port is down") }
        }
        let text = parts.filter { !$0.isEmpty }.joined(separator: "; ")
        return text.isEmpty ? "free" : text
    }

    private func exhausted(
        _ members: [Pool.Member], free: [Pool.Member], passed: [Choice], _ name: String
    ) -> LeasingError {
        let leases = members.compactMap { member -> (Lease, Pool.Member)? in
            guard case .lease(let lease)? = occupied[member.identity] else { return nil }
            return (lease, member)
        }.sorted { ($0.0.created, $0.0.id) < ($1.0.created, $1.0.id) }
        var details = leases.map { "\($1.function.name)  \(Occupation.lease($0).description)" }
        for member in members {
            switch occupied[member.identity] {
            case .foreign, .maintained, .promised:
                details.append("\(member.function.name)  \(occupied[member.identity]?.description ?? "")")
            case .lease, nil: break
            }
        }
        let isOccupied = { (choice: Choice) in if case .occupied = choice.cause { true } else { false } }
        details += passed.filter { !isOccupied($0) }.map { "\($0.member.function.name)  free, but \($0.reason)" }
        details += free.map { "\($0.function.name)  free" }
        if request.function != nil, let member = members.first {
            return LeasingError(
                .exhausted, "\(member.function.name) is not free; nothing was leased", details: details,
                remedy: "release the lease, or take a function of a pool (--pool)")
        }
        let wanted = request.count == 1 ? "one was asked for" : "\(request.count) were asked for"
        let fits = free.count == 0 ? "no free function" : "\(free.count) free function\(free.count == 1 ? "" : "s")"
        return LeasingError(
            .exhausted, "\(name) has \(fits) that would do, \(wanted); nothing was leased", details: details,
            remedy: members.isEmpty
                ? "the pool has no function on this host: sluice plan tells whether its VFs exist; "
                    + "under passthrough only what has driver: vfio-pci or vp-vdpa is given out"
                : free.isEmpty
                    ? "release a lease, or add functions to the pool in the host file"
                    : "ask for \(free.count), or add functions of another port to the pool in the host file")
    }
}

extension Placement.Occupation: CustomStringConvertible {
    /// `lease 7Q4M2K of domain:… (active)`, or the holders.
    public var description: String {
        switch self {
        case .lease(let lease):
            let reason = lease.reason.map { ": \($0)" } ?? ""
            let pod = lease.pod.flatMap { $0.isEmpty ? nil : " for pod \($0)" } ?? ""
            return "lease \(lease.id) of \(lease.consumer)\(pod) (\(lease.state.rawValue)\(reason))"
        case .foreign(let holders):
            return "used without a lease by " + holders.map(\.description).joined(separator: ", ")
        case .maintained: return "its port is being configured"
        case .promised: return "a domain that starts is about to get it"
        }
    }
}

extension Pool.Member {
    /// Where it is: `node 1`.
    fileprivate var place: String { function.pci.numaNode.map { "node \($0)" } ?? "no NUMA node" }
}

extension PCIAddress {
    /// The card: the address without the function, which counts its ports.
    var card: UInt64 { order >> 3 }
    /// Ascending with the address.
    var order: UInt64 { UInt64(domain) << 16 | UInt64(bus) << 8 | UInt64(device) << 3 | UInt64(function) }
}
