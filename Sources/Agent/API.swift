internal import AgentAPI
internal import FoundationEssentials
internal import HTTPTypes
internal import HummingbirdCore
internal import Leasing
internal import NIOCore
internal import PCI
internal import SRIOV

/// Answers requests: one method for each resource. Documentation/api/openapi.yaml describes the same.
struct API: Sendable {
    let keeper: HostKeeper
    let changeUIDs: Set<UInt32>

    /// The longest body that is taken, bytes: a host file.
    static let bodyLimit = 1 << 20

    func respond(_ request: Request, _ channel: any Channel) async -> Response {
        do {
            return try await answer(request, await Peer.of(channel))
        } catch let problem as Problem {
            return Self.response(problem)
        } catch let error as LeasingError {
            return Self.response(Problem(error))
        } catch let error as SRIOVError {
            return Self.response(Problem(error))
        } catch {
            return Self.response(
                Problem(status: 500, title: "Failed", detail: "\(error)", code: "agent.failed"))
        }
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
        if method != .get { try allowChange(peer) }
        return try await perform(resource, request, peer)
    }

    private func allowChange(_ peer: Peer?) throws {
        switch peer {
        case .certificate: break
        case .user(let uid) where uid == 0 || changeUIDs.contains(uid): break
        default:
            throw Problem(
                status: 403, title: "Forbidden",
                detail: "\(peer?.name ?? "an unknown user") may look, and change nothing",
                code: LeasingError.Code.forbidden.rawValue, remedy: "ask as root, or start the agent with --allow-uid")
        }
        if keeper.options.isObserveOnly {
            throw Problem(
                status: 409, title: "Conflict", detail: "the agent only observes (--observe-only)",
                code: "agent.observeOnly")
        }
    }

    // MARK: Resources

    private func perform(_ resource: Resource, _ request: Request, _ peer: Peer?) async throws -> Response {
        let manager = keeper.manager
        switch resource {
        case .health:
            // The event loop answers, so what is asked for is the rest: the task that looks at the host, and the disk.
            try keeper.checkHealth()
            return try Self.response(["status": "ok"])
        case .ready:
            guard keeper.isReady else {
                throw Problem(
                    status: 503, title: "Not ready", detail: "the host has not been looked at yet",
                    code: "agent.starting", remedy: "try again")
            }
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
                    function, names: PCINames.load(for: [function.pci.model], files: LiveFileTree()),
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
            let device = try parameter("device", of: request)
            return try Self.response(manager.history(of: device).map(TransitionView.init))
        case .events: return try events(request)
        case .plans: return try await plan(request)
        case .applies: return try await apply(request, peer)
        case .faults: return try Self.response([String]())
        }
    }

    private func functions() -> [FunctionView] {
        let host = keeper.manager.host
        let assignable = host.functions.filter(\.isAssignable)
        let names = PCINames.load(for: assignable.map(\.pci.model), files: LiveFileTree())
        let pools = Dictionary(
            keeper.manager.pools.pools.flatMap { pool in pool.members.map { ($0.identity, pool.name) } },
            uniquingKeysWith: { first, _ in first })
        return assignable.map {
            FunctionView($0, names: names, pool: pools.isEmpty ? nil : pools[FunctionIdentity($0, in: host)])
        }
    }

    private func acquire(_ request: Request, _ peer: Peer?) async throws -> Response {
        let key = request.headers[HTTPField.Name("Idempotency-Key") ?? .ifMatch]
        let body: LeaseBody = try await decode(request, LeaseBody.keys)
        let clock = ContinuousClock()
        let start = clock.now
        do {
            let grant = try await keeper.manager.acquire(
                body.request(person: peer?.person ?? "unknown", idempotencyKey: key), actor: peer?.name ?? "unknown")
            keeper.metrics.acquired(in: clock.now - start, succeeded: true)
            return try Self.response(GrantView(grant), status: grant.decision == nil ? .ok : .created)
        } catch {
            keeper.metrics.acquired(in: clock.now - start, succeeded: false)
            throw error
        }
    }

    private func metrics(_ request: Request) async throws -> Response {
        let wantsCounters = try parameter("vf", of: request) == "1"
        let text = try await keeper.metricsText(withCounters: wantsCounters)
        return Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }

    // MARK: JSON

    /// Decodes a body whose members are all known.
    func decode<Value: Decodable>(_ request: Request, _ keys: Set<String>) async throws -> Value {
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: Self.bodyLimit)
        } catch {
            throw Problem(
                status: 413, title: "Too large", detail: "a body has at most \(Self.bodyLimit) bytes",
                code: "request.tooLarge")
        }
        let data = Data(buffer.readableBytesView)
        do {
            let unknown = try JSONDecoder().decode(Keys.self, from: data).names.subtracting(keys).sorted()
            guard unknown.isEmpty else {
                throw LeasingError(
                    .badRequest, "unknown member \"\(unknown[0].prefix(100))\"",
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
    func parameter(_ name: String, of request: Request) throws -> String? {
        guard let value = request.uri.queryParameters[Substring(name)] else { return nil }
        return String(value)
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

/// The names of an object's members.
private struct Keys: Decodable {
    var names: Set<String> = []

    private struct Key: CodingKey {
        var stringValue: String
        var intValue: Int? { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(from decoder: any Decoder) throws {
        names = Set(try decoder.container(keyedBy: Key.self).allKeys.map(\.stringValue))
    }
}
