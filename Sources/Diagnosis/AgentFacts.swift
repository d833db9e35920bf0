internal import Foundation
internal import PCI
internal import SRIOV

/// What only the agent knows of a host: its pools, and what libvirt has.
public struct AgentFacts: Codable, Sendable {
    /// The pools, and what is free of them.
    public var pools: [HostFacts.PoolFacts]
    /// The networks of pools.
    public var networks: [HostFacts.NetworkFacts]
    /// The running domains.
    public var domains: [HostFacts.DomainFacts]

    /// The addresses of what is to be handed out; nil from an agent that does not tell.
    public var handedOut: [String]?

    /// Makes them of what the agent has gathered.
    public init(_ facts: HostFacts) {
        (pools, networks, domains) = (facts.pools, facts.networks, facts.domains)
        handedOut = facts.handedOut.sorted().map(\.description)
    }

    /// Where a recorded host has them.
    private static let path = "/sys/agent/facts"

    /// Reads those of a recorded host; nil when it has none, or such as are not understood.
    init?(reading files: any FileTree) {
        guard let text = try? files.wholeText(Self.path),
            let facts = try? JSONDecoder().decode(Self.self, from: Data(text.utf8))
        else { return nil }
        self = facts
    }

    /// What a snapshot keeps of them, in one line.
    public func text() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}
