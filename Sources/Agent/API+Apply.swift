internal import AgentAPI
internal import HostFile
internal import HummingbirdCore
internal import Leasing
internal import SRIOV

extension API {
    /// The steps from the host as it is to a host file: the agent's own, or one that is sent.
    func plan(_ request: Request) async throws -> Response {
        let body: PlanBody = try await decode(request, PlanBody.keys)
        return try Self.response(PlanView(try await keeper.plan(body)))
    }

    /// Applies the agent's own host file, or one that is sent.
    func apply(_ request: Request, _ peer: Peer?) async throws -> Response {
        let body: PlanBody = try await decode(request, PlanBody.keys)
        return try Self.response(ApplyView(try await keeper.apply(body)))
    }
}
