internal import AgentAPI
internal import HTTPTypes
internal import HummingbirdCore
internal import Leasing
internal import Libvirt

extension API {
    /// Answers for what libvirt has.
    func perform(_ resource: DomainResource, _ request: Request) async throws -> Response {
        switch resource {
        case .domains: return try Self.response(try await virtualization().domainViews())
        case .domain(let name): return try Self.response(try await virtualization().domainView(name))
        case .networks: return try Self.response(try await virtualization().networkViews())
        case .networkSync: return try Self.response(try await virtualization().syncedNetworkViews())
        case .hooks:
            let body: HookBody = try await decode(request, HookBody.keys)
            let call: HookCall = try await keeper.reading {
                try HookCall(kind: body.kind, operation: body.operation, document: body.document)
            }
            // Without a connection too: the daemon that asks may just be starting.
            guard let virtualization = virtualizations.first else { return try Self.response(["status": "ok"]) }
            try await virtualization.hook(call)
            return try Self.response(["status": "ok"])
        case .attach(let name):
            let body: AttachBody = try await decode(request, AttachBody.keys)
            return try Self.response(try await virtualization().attach(body, to: name), status: .created)
        case .detach(let name):
            let body: DetachBody = try await decode(request, DetachBody.keys)
            return try Self.response(try await virtualization().detach(body, from: name))
        case .ports(let name):
            let body: PortsBody = try await decode(request, PortsBody.keys)
            return try Self.response(try await virtualization().reservePorts(body, of: name))
        case .migration(let name): return try Self.response(try await virtualization().migration(of: name))
        }
    }

    /// The daemon that is asked. With several it is the first; domains have names of their own on each.
    private func virtualization() throws -> Virtualization {
        guard let first = virtualizations.first, first.isWanted else {
            throw Problem(
                status: 409, title: "Conflict", detail: "no pool is for libvirt, so it is not followed",
                code: "libvirt.unused",
                remedy: "write for: libvirt into a pool of the host file, or start the agent with --libvirt URI")
        }
        return first
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
