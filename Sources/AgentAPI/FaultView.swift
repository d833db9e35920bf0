package import Diagnosis

/// Something that is wrong with the host.
package struct FaultView: Codable, Sendable, Hashable {
    package var id: String
    package var title: String
    package var severity: String
    package var subject: String?
    package var evidence: [String]
    package var cause: String
    package var remedies: [String]

    package init(_ fault: Fault) {
        id = fault.id
        title = fault.title
        severity = fault.severity.rawValue
        subject = fault.subject
        evidence = fault.evidence
        cause = fault.cause
        remedies = fault.remedies
    }
}
