internal import FoundationEssentials
package import Leasing
internal import Netlink
internal import PCI
internal import SRIOV

/// A lease.
package struct LeaseView: Codable, Sendable, Hashable {
    package var id: String
    package var state: String
    package var reason: String?
    package var function: String
    package var address: String
    package var name: String
    package var pool: String?
    package var consumer: String
    package var settings: SettingsView
    package var driver: String?
    package var created: String
    package var changed: String
    package var ttlSeconds: Int64?
    package var attachment: String?
    package var pod: String?
    /// Who gets the function when the lease ends.
    package var returnsTo: String?
    /// Whom it is for, as people call it.
    package var user: String { pod.map { "pod \($0)" } ?? consumer }

    package init(_ lease: Lease) {
        id = lease.id
        state = lease.state.rawValue
        reason = lease.reason
        function = lease.function.rawValue
        address = "\(lease.address)"
        name = lease.name
        pool = lease.pool
        consumer = "\(lease.consumer)"
        settings = SettingsView(lease.settings)
        driver = lease.driver?.name
        created = timestamp(lease.created)
        changed = timestamp(lease.changed)
        ttlSeconds = lease.ttlSeconds
        attachment = lease.attachment
        pod = lease.pod
        returnsTo = lease.returnsTo.map { "\($0)" }
    }
}

/// A function and why it was chosen, or not.
package struct ChoiceView: Codable, Sendable, Hashable {
    package var name: String
    package var address: String
    package var reason: String

    init(_ choice: Placement.Choice) {
        name = choice.member.function.name
        address = "\(choice.member.function.pci.address)"
        reason = choice.reason
    }
}

/// What a request for leases was answered with.
package struct GrantView: Codable, Sendable, Hashable {
    package var leases: [LeaseView]
    /// Whether an earlier request had the same key; nil is no.
    package var isRepeated: Bool?
    /// Why these, and why not the others; only when that was asked for.
    package var chosen: [ChoiceView]?
    package var passed: [ChoiceView]?

    package init(_ grant: LeaseManager.Grant, explains: Bool) {
        leases = grant.leases.map(LeaseView.init)
        isRepeated = grant.decision == nil ? true : nil
        guard explains else { return }
        chosen = grant.decision?.chosen.map(ChoiceView.init)
        passed = grant.decision?.passed.map(ChoiceView.init)
    }
}

/// A pool and its functions.
package struct PoolView: Codable, Sendable, Hashable {
    package var name: String
    package var purpose: String
    package var numa: String
    package var spread: String
    package var leasesPerConsumer: Int?
    package var settings: SettingsView
    package var free: Int
    package var total: Int
    package var functions: [Member]

    /// A function of a pool.
    package struct Member: Codable, Sendable, Hashable {
        package var name: String
        package var address: String
        package var numaNode: Int?
        /// `free`, `foreign`, or the state of its lease.
        package var state: String
        package var lease: String?
        package var consumer: String?
        package var holders: [HolderView]
    }

    package init(_ pool: Pool, occupied: [FunctionIdentity: Placement.Occupation]) {
        name = pool.name
        purpose = pool.declared.purpose
        numa = pool.declared.numa.rawValue
        spread = pool.declared.spread.rawValue
        leasesPerConsumer = pool.declared.leasesPerConsumer
        settings = SettingsView(pool.declared.settings)
        functions = pool.members.map { member in
            var view = Member(
                name: member.function.name, address: "\(member.function.pci.address)",
                numaNode: member.function.pci.numaNode, state: "free", lease: nil, consumer: nil,
                holders: member.function.holders.map(HolderView.init))
            switch occupied[member.identity] {
            case .lease(let lease):
                view.state = lease.state.rawValue
                view.lease = lease.id
                view.consumer = "\(lease.consumer)"
            case .foreign: view.state = "foreign"
            case .maintained, .promised: view.state = "maintained"
            case nil: break
            }
            return view
        }
        total = functions.count
        free = functions.count { $0.state == "free" }
    }
}

/// One change of a lease's state.
package struct TransitionView: Codable, Sendable, Hashable {
    package var number: Int64
    package var time: String
    package var lease: String
    package var function: String
    package var address: String
    package var from: String?
    package var to: String
    package var actor: String
    package var cause: String
    package var consumer: String
    package var before: SettingsView?
    package var after: SettingsView?

    package init(_ transition: Transition) {
        number = transition.number
        time = timestamp(transition.time)
        lease = transition.lease
        function = transition.function.rawValue
        address = "\(transition.address)"
        from = transition.from?.rawValue
        to = transition.to.rawValue
        actor = transition.cause.actor
        cause = transition.cause.text
        consumer = "\(transition.consumer)"
        before = transition.before.map(SettingsView.init)
        after = transition.after.map(SettingsView.init)
    }
}

/// Something that happened on the host beside leases.
package struct NoteView: Codable, Sendable, Hashable {
    package var number: Int64
    package var time: String
    package var kind: String
    package var subject: String
    package var text: String

    package init(_ note: Note) {
        number = note.number
        time = timestamp(note.time)
        kind = note.kind
        subject = note.subject
        text = note.text
    }
}

/// Milliseconds since 1970 as RFC 3339 in UTC.
package func timestamp(_ milliseconds: Int64) -> String {
    Date(timeIntervalSince1970: Double(milliseconds) / 1000)
        .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
}
