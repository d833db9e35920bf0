internal import AgentAPI
internal import HTTPTypes
internal import HummingbirdCore
internal import Leasing
internal import Libvirt

extension API {
    /// Answers for what libvirt has.
    func perform(_ resource: DomainResource, _ request: Request) async throws -> Response {
        switch resource {
        case .domains: return try Self.response(try await all { try await $0.domainViews() })
        case .domain(let name): return try Self.response(try await virtualization(with: name).domainView(name))
        case .networks: return try Self.response(try await all { try await $0.networkViews() })
        case .networkSync: return try Self.response(try await all { try await $0.syncedNetworkViews() })
        case .hooks:
            let body: HookBody = try await decode(request, HookBody.keys, limit: Self.hookLimit)
            let call: HookCall = try await keeper.reading {
                try HookCall(kind: body.kind, operation: body.operation, document: body.document)
            }
            // Without a connection too: the daemon that asks may just be starting. Only the system's daemon runs hooks.
            try await (virtualizations.first { $0.uri == Virtualization.system } ?? virtualizations.first)?.hook(call)
            return try Self.response(["status": "ok"])
        case .attach(let name):
            let body: AttachBody = try await decode(request, AttachBody.keys)
            return try Self.response(try await virtualization(with: name).attach(body, to: name), status: .created)
        case .detach(let name):
            let body: DetachBody = try await decode(request, DetachBody.keys)
            return try Self.response(try await virtualization(with: name).detach(body, from: name))
        case .ports(let name):
            let body: PortsBody = try await decode(request, PortsBody.keys)
            return try Self.response(try await virtualization(with: name).reservePorts(body, of: name))
        case .migration(let name): return try Self.response(try await virtualization(with: name).migration(of: name))
        }
    }

    /// The daemons that are followed. Throws when there is none.
    private func followed() throws -> [Virtualization] {
        let followed = virtualizations.filter(\.isWanted)
        guard !followed.isEmpty else {
            throw Problem(
                status: 409, title: "Conflict", detail: "no pool is for libvirt, so it is not followed",
                code: "libvirt.unused",
                remedy: "write for: libvirt into a pool of the host file, or start the agent with --libvirt URI")
        }
        return followed
    }

    /// What all daemons have. Throws when one of them cannot be asked: a list that lacks some would mislead.
    private func all<Value>(_ body: (Virtualization) async throws -> [Value]) async throws -> [Value] {
        var values: [Value] = []
        for virtualization in try followed() { values += try await body(virtualization) }
        return values
    }

    /// The first daemon that has a domain; the first of all when none has, so that it says so.
    private func virtualization(with domain: String) async throws -> Virtualization {
        let followed = try followed()
        guard followed.count > 1 else { return followed[0] }
        for virtualization in followed where (try? await virtualization.connection().domain(domain)) != nil {
            return virtualization
        }
        return followed[0]
    }
}

/// What a path below `/v1` means that has to do with libvirt.
enum DomainResource: Equatable {
    case domains, networks, networkSync, hooks
    case domain(String)
    case attach(String)
    case detach(String)
    case ports(String)
    case migration(String)

    /// Reads the parts of a path after `v1`; nil is no such resource. Names are without percent encoding.
    init?(_ path: [String]) {
        switch path.first {
        case "domains" where path.count == 1: self = .domains
        case "networks" where path.count == 1: self = .networks
        case "networks" where path == ["networks", "sync"]: self = .networkSync
        case "hooks" where path.count == 1: self = .hooks
        case "domains" where path.count == 2: self = .domain(path[1])
        case "domains" where path.count == 3:
            switch path[2] {
            case "attach": self = .attach(path[1])
            case "detach": self = .detach(path[1])
            case "ports": self = .ports(path[1])
            case "migration": self = .migration(path[1])
            default: return nil
            }
        default: return nil
        }
    }

    /// What can be done with it.
    var methods: [HTTPRequest.Method] {
        switch self {
        case .domains, .networks, .domain, .migration: [.get]
        case .networkSync, .hooks, .attach, .detach, .ports: [.post]
        }
    }
}
