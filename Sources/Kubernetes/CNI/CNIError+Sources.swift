internal import Leasing

/// An error of another plugin: some leave the version out.
private struct PluginError: Decodable {
    var code: Int
    var msg: String
    var details: String?
}

extension CNIError {
    /// What a lease's error is for a runtime.
    init(_ error: LeasingError) {
        let code: Code =
            switch error.code {
            case .badRequest, .noPool, .purpose: .invalidConfiguration
            case .exhausted, .stillHeld, .unreachable, .ledgerLocked: .tryAgainLater
            default: .failed
            }
        self.init(code, error.message)
        let lines = error.details + [error.remedy.map { "→ \($0)" }].compactMap(\.self) + ["[\(error.code.rawValue)]"]
        details = lines.joined(separator: "\n")
    }

    /// What another plugin has failed with.
    init(ofPlugin plugin: String, _ text: String) {
        if let error = try? CNIJSON.decode(PluginError.self, text) {
            self.init(.failed, "\(plugin): \(error.msg)")
            (code, details) = (error.code, error.details)
        } else {
            let lines = text.split(separator: "\n").prefix(5).joined(separator: " ").prefix(500)
            self.init(.failed, "\(plugin) has failed\(lines.isEmpty ? "" : ": \(lines)")")
        }
    }
}
