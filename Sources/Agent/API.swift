internal import AgentAPI
internal import Diagnosis
internal import FoundationEssentials
internal import HTTPTypes
internal import HostFile
internal import HummingbirdCore
internal import Kubernetes
internal import Leasing
internal import Libvirt
internal import NIOCore
internal import PCI
internal import SRIOV

/// Answers requests: one method for each resource. Documentation/api/openapi.yaml describes the same.
struct API: Sendable {
    let keeper: HostKeeper
    let virtualizations: [Virtualization]
    let containers: ContainerNetwork
    let changeUIDs: Set<UInt32>

    /// The longest body that is taken, bytes: a host file.
    static let bodyLimit = 1 << 20
    /// Documents of machines may be longer.
    static let hookLimit = 16 << 20
    private static let idempotencyKey = HTTPField.Name("Idempotency-Key") ?? .ifMatch

    func respond(_ request: Request, _ peer: Peer?) async -> Response {
        do {
            return try await answer(request, peer)
        } catch {
            if request.headers[.accept] == CNI.type { return CNI.response(error) }
            let problem = Self.problem(error)
            guard request.headers[.accept] == "text/plain" else { return Self.response(problem) }
            // As the command line shows it: for libvirt's hook, which only passes it on.
            return Response(
                status: .init(code: problem.status), headers: [.contentType: "text/plain; charset=utf-8"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: "\(problem.error)")))
        }
    }

    /// An error as it is sent.
    static func problem(_ error: any Error) -> Problem {
        switch error {
        case let problem as Problem: return problem
        case let error as LeasingError: return Problem(error)
        case let error as SRIOVError: return Problem(error)
        case let error as LibvirtError: return problem(error)
        case let errors as HostFileErrors:
            var problem = Problem(
                status: 422, title: "Not possible", detail: "the host file has mistakes", code: HostFileErrors.code,
                remedy: "correct them; nothing was changed")
            problem.details = errors.errors.map(\.description)
            return problem
        default:
            return Problem(
                status: 500, title: "The host refused", detail: "\(error)", code: "agent.failed",
                remedy: "the agent's log and dmesg may say more")
        }
    }

    private static func problem(_ error: LibvirtError) -> Problem {
        let (status, title) =
            switch error.code {
            case .noDomain, .noNetwork: (404, "Not found")
            case .malformed: (400, "Bad request")
            case .missing, .unreachable: (503, "Not available")
            case .timeout: (504, "Not answered")
            default: (409, "Conflict")
            }
        var problem = Problem(
            status: status, title: title, detail: error.message, code: error.code.rawValue, remedy: error.remedy)
        // libvirt's text names neither cause nor cure.
        if error.code == .refused, let fault = KnownMessage.fault(in: error.message) {
            problem.code = fault.id
            problem.details = [fault.cause]
            problem.remedy = fault.remedies.joined(separator: "; ")
        }
        return problem
    }

    private func answer(_ request: Request, _ peer: Peer?) async throws -> Response {
        let path = request.uri.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        let resource = Resource(path)
        guard let resource else {
            throw Problem(
                status: 404, title: "Not found", detail: "there is no resource \(request.uri.path)",
                code: "request.notFound", remedy: "Documentation/api/openapi.yaml lists the resources")
        }
        guard let method = resource.methods.first(where: { $0 == request.method }) else {
            var response = Self.response(
                Problem(
                    status: 405, title: "Method not allowed", detail: "\(request.method) is not possible here",
                    code: "request.method"))
            response.headers[.allow] = resource.methods.map(\.rawValue).joined(separator: ", ")
            return response
        }
        // A plan changes nothing.
        if method != .get, resource != .plans {
            // A lease that its client has given up waiting for would be nobody's: only one that can be asked for again
            // with the same key waits.
            let waits = resource != .leases || request.headers[Self.idempotencyKey] != nil
            try await allowChange(resource, peer, waits: waits)
        }
        return try await perform(resource, request, peer)
    }

    private func allowChange(_ resource: Resource, _ peer: Peer?, waits: Bool) async throws {
        // libvirt runs its hooks as root, and runtimes their plugins; whoever else says what those do would be believed.
        let isHook = resource == .virtual(.hooks) || resource == .cni
        switch peer {
        case .user(0): break
        case .certificate where !isHook: break
        case .user(let uid) where !isHook && changeUIDs.contains(uid): break
        default:
            let who = peer?.name ?? "an unknown user"
            throw Problem(
                status: 403, title: "Forbidden",
                detail: isHook
                    ? "\(who) may not say what libvirt or a container runtime does"
                    : "\(who) may look, and change nothing",
                code: LeasingError.Code.forbidden.rawValue,
                remedy: isHook
                    ? "they run sluice-libvirt-hook and sluice-cni as root on this host"
                    : "ask as root, or start the agent with --allow-uid")
        }
        // A hook is answered all the same: an agent that only looks keeps no machine from its start.
        if keeper.options.isObserveOnly, resource != .virtual(.hooks) {
            throw Problem(
                status: 409, title: "Conflict", detail: "the agent only observes (--observe-only)",
                code: "agent.observeOnly", remedy: "start the agent without it")
        }
        // What was interrupted is finished first, and the VFs are made. That takes seconds; longer than a client's own
        // patience nobody is kept waiting.
        try requireReady(waits ? await keeper.readiness(within: .seconds(30)) : keeper.isReady)
    }

    private func requireReady(_ isReady: Bool) throws {
        guard isReady else {
            throw Problem(
                status: 503, title: "Not ready", detail: "the host has not been looked at yet",
                code: "agent.starting", remedy: "try again")
        }
    }

    // MARK: Resources

    private func perform(_ resource: Resource, _ request: Request, _ peer: Peer?) async throws -> Response {
        let manager = keeper.manager
        switch resource {
        case .health:
            // The event loop answers, so what is asked for is the rest: the task that looks at the host, and the disk.
            try await keeper.reading { try keeper.checkHealth() }
            return try Self.response(["status": "ok"])
        case .ready:
            try requireReady(keeper.isReady)
            return try Self.response(["status": "ready"])
        case .metrics: return try await metrics(request)
        case .host: return try Self.response(HostView(manager.host, drift: keeper.drift))
        case .functions: return try Self.response(functions())
        case .function(let device):
            guard case .function(let function) = try DeviceSelector(host: manager.host).device(device) else {
                throw SRIOVError(.deviceNotFound, "\(device) has no PCI function")
            }
            return try Self.response(
                FunctionView(
                    function, names: keeper.names,
                    pool: manager.pools.pool(of: FunctionIdentity(function, in: manager.host))))
        case .pools:
            let occupied = manager.occupied
            return try Self.response(manager.pools.pools.map { PoolView($0, occupied: occupied) })
        case .pool(let name):
            guard let pool = manager.pools[name: name] else {
                throw LeasingError(.noPool, "there is no pool \(name)", remedy: "GET /v1/pools lists them")
            }
            return try Self.response(PoolView(pool, occupied: manager.occupied))
        case .leases where request.method == .get: return try Self.response(manager.leases.map(LeaseView.init))
        case .leases: return try await acquire(request, peer)
        case .lease(let id) where request.method == .get: return try Self.response(LeaseView(manager.lease(id)))
        case .lease(let id):
            return try Self.response(LeaseView(await manager.release(id, actor: peer?.name ?? "unknown")))
        case .repair(let id):
            return try Self.response(LeaseView(await manager.repair(id, actor: peer?.name ?? "unknown")))
        case .history:
            let device = parameter("device", of: request)
            guard device.map({ (1...256).contains($0.utf8.count) }) ?? true else {
                throw LeasingError(
                    .badRequest, "device has 1 to 256 bytes",
                    remedy: "give an address, a name, a MAC or a serial number")
            }
            return try Self.response(
                try await keeper.reading { try manager.history(of: device) }.map(TransitionView.init))
        case .events: return try events(request)
        case .latestEvents: return try await latestEvents(request)
        case .plans: return try await plan(request)
        case .applies: return try await apply(request)
        case .virtual(let resource): return try await perform(resource, request)
        case .facts: return try Self.response(AgentFacts(keeper.facts))
        case .cni:
            return CNI.response(
                try await keeper.calls.during {
                    try await containers.answer(try await decode(request, CNICall.keys, limit: Self.hookLimit))
                })
        case .faults: return try Self.response(await keeper.currentFaults().map(FaultView.init))
        }
    }

    private func functions() -> [FunctionView] {
        let host = keeper.manager.host
        let assignable = host.functions.filter(\.isAssignable)
        let names = keeper.names
        let pools = Dictionary(
            keeper.manager.pools.pools.flatMap { pool in pool.members.map { ($0.identity, pool.name) } },
            uniquingKeysWith: { first, _ in first })
        return assignable.map {
            FunctionView($0, names: names, pool: pools.isEmpty ? nil : pools[FunctionIdentity($0, in: host)])
        }
    }

    private func acquire(_ request: Request, _ peer: Peer?) async throws -> Response {
        let key = request.headers[Self.idempotencyKey]
        let body: LeaseBody = try await decode(request, LeaseBody.keys)
        // A directory service may take its time to tell a user's name.
        let person = body.consumer == nil ? try await keeper.reading { peer?.person } : nil
        let clock = ContinuousClock()
        let start = clock.now
        do {
            let grant = try await keeper.manager.acquire(
                body.request(person: person ?? "unknown", idempotencyKey: key), actor: peer?.name ?? "unknown")
            keeper.metrics.acquired(in: clock.now - start, succeeded: true)
            return try Self.response(
                GrantView(grant, explains: body.explain ?? false), status: grant.decision == nil ? .ok : .created)
        } catch {
            keeper.metrics.acquired(in: clock.now - start, succeeded: false)
            throw error
        }
    }

    private func metrics(_ request: Request) async throws -> Response {
        let vf = parameter("vf", of: request) ?? "0"
        guard ["0", "1"].contains(vf) else {
            throw LeasingError(.badRequest, "vf \"\(vf.prefix(100))\" is not understood", remedy: "give 0 or 1")
        }
        let wantsCounters = vf == "1"
        let text = try await keeper.metricsText(withCounters: wantsCounters)
        return Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    // MARK: JSON

    /// Decodes a body whose members are all known.
    func decode<Value: Decodable & Sendable>(
        _ request: Request, _ keys: Set<String>, limit: Int = Self.bodyLimit
    ) async throws -> Value {
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: limit)
        } catch {
            throw Problem(
                status: 413, title: "Too large", detail: "a body has at most \(limit) bytes",
                code: "request.tooLarge")
        }
        let data = Data(buffer.readableBytesView)
        // A host file takes milliseconds, which others would wait for.
        guard data.count > 4096 else { return try Self.parse(data, keys) }
        return try await keeper.reading { try Self.parse(data, keys) }
    }

    private static func parse<Value: Decodable>(_ data: Data, _ keys: Set<String>) throws -> Value {
        do {
            let members = try JSONDecoder().decode(MemberPaths.self, from: data)
            if let null = members.nulls.min() {
                throw LeasingError(
                    .badRequest, "\(null.prefix(100)) is null", remedy: "leave out what is not to be given")
            }
            let unknown = members.paths.subtracting(keys)
            if let first = unknown.min() {
                throw LeasingError(
                    .badRequest, "unknown member \"\(first.prefix(100))\"",
                    remedy: "there are \(keys.sorted().joined(separator: ", "))")
            }
            return try JSONDecoder().decode(Value.self, from: data)
        } catch let error as LeasingError {
            throw error
        } catch let DecodingError.typeMismatch(_, context) {
            let path = context.codingPath.map(\.stringValue).joined(separator: ".")
            throw LeasingError(
                .badRequest, "\(path.isEmpty ? "the body" : path) has the wrong type",
                remedy: "Documentation/api/openapi.yaml has the types")
        } catch {
            throw LeasingError(
                .badRequest, "the body is not the JSON object that is wanted",
                remedy: "Documentation/api/openapi.yaml describes it")
        }
    }

    /// A parameter of the query; nil when it is not given.
    func parameter(_ name: String, of request: Request) -> String? {
        request.uri.queryParameters[Substring(name)].map(String.init)
    }

    static func response(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try encoder.encode(value))))
    }

    static func response(_ problem: Problem) -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let body = (try? encoder.encode(problem)) ?? Data("{}".utf8)
        return Response(
            status: .init(code: problem.status), headers: [.contentType: "application/problem+json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }
}

/// The paths of an object's members and theirs: `settings.vlan.id`.
private struct MemberPaths: Decodable {
    var paths: Set<String> = []
    /// Those that are null.
    var nulls: Set<String> = []

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        for key in container.allKeys {
            paths.insert(key.stringValue)
            if try container.decodeNil(forKey: key) { nulls.insert(key.stringValue) }
            // What is not an object has no members; below the third level nothing is known, and the types tell.
            guard container.codingPath.count < 2, let members = try? container.decode(MemberPaths.self, forKey: key)
            else { continue }
            paths.formUnion(members.paths.map { "\(key.stringValue).\($0)" })
            nulls.formUnion(members.nulls.map { "\(key.stringValue).\($0)" })
        }
    }
}
