package import Leasing
package import SRIOV

/// An error as the agent sends it (RFC 9457, application/problem+json), with the codes of the command line.
package struct Problem: Codable, Sendable, Hashable, Error {
    package var type = "about:blank"
    package var title: String
    package var status: Int
    package var detail: String
    package var code: String
    package var remedy: String?
    package var details: [String]?

    package init(status: Int, title: String, detail: String, code: String, remedy: String? = nil) {
        self.title = title
        self.status = status
        self.detail = detail
        self.code = code
        self.remedy = remedy
    }

    package init(_ error: LeasingError) {
        let (status, title) = Self.status(of: error.code)
        self.init(status: status, title: title, detail: error.message, code: error.code.rawValue, remedy: error.remedy)
        details = error.details.isEmpty ? nil : error.details
    }

    package init(_ error: SRIOVError) {
        self.init(
            status: 500, title: "The host refused", detail: error.message, code: error.code.rawValue,
            remedy: error.remedy)
        switch error.code {
        case .unknownName: (status, title) = (400, "Bad request")
        case .deviceNotFound: (status, title) = (404, "Not found")
        case .deviceAmbiguous, .held, .protected, .locked, .hung, .foreignHostFile:
            (status, title) = (409, "Conflict")
        case .hostFileUnreadable, .deviceClaimedTwice, .identityMismatch: (status, title) = (422, "Not possible")
        case .state: (status, title) = (503, "Not available")
        default: break
        }
    }

    private static func status(of code: LeasingError.Code) -> (Int, String) {
        switch code {
        case .noPool, .noLease: (404, "Not found")
        case .exhausted, .limit, .state, .stillHeld, .overlap, .unclean: (409, "Conflict")
        case .purpose, .unprepared, .keyReused: (422, "Not possible")
        case .badRequest: (400, "Bad request")
        case .ledger, .ledgerLocked: (503, "Not available")
        default: (500, "Failed")
        }
    }

    /// The error as the command line shows it.
    package var error: LeasingError {
        LeasingError(LeasingError.Code(rawValue: code), detail, details: details ?? [], remedy: remedy)
    }
}
