internal import AgentAPI
internal import FoundationEssentials
internal import HTTPTypes
internal import HummingbirdCore
internal import Kubernetes
internal import NIOCore

/// What `sluice-cni` is answered: it prints the body as it is.
enum CNI {
    /// What it accepts.
    static let type = "application/cni+json"

    /// 200 is a result, 202 the name of the plugin that is to be run.
    static func response(_ answer: ContainerNetwork.Answer) -> Response {
        switch answer {
        case .result(let text): response(.ok, text)
        case .delegate(let plugin): response(.accepted, plugin)
        }
    }

    /// An error as the specification has it.
    static func response(_ error: any Error) -> Response {
        var error = error as? CNIError ?? CNIError(API.problem(error))
        error.details = error.details.flatMap { $0.isEmpty ? nil : $0 }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let text = String(decoding: (try? encoder.encode(error)) ?? Data("{}".utf8), as: UTF8.self)
        return response(.unprocessableContent, text)
    }

    private static func response(_ status: HTTPResponse.Status, _ text: String) -> Response {
        Response(
            status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}

extension CNIError {
    /// What the agent refuses before the plugin is asked.
    fileprivate init(_ problem: Problem) {
        let code: Code =
            switch problem.status {
            case 400, 413: .decodingFailed
            case 409, 503: .tryAgainLater
            default: .failed
            }
        self.init(code, problem.detail, remedy: problem.remedy)
        details = (details.map { $0 + "\n" } ?? "") + "[\(problem.code)]"
    }
}
