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

/// A fault in general, and as a host has it.
package struct ExplanationView: Codable, Sendable, Hashable {
    package var id: String
    package var title: String
    package var causes: [String]
    package var remedies: [String]
    package var messages: [String]
    /// Where this host has it.
    package var found: [FaultView]

    package init(_ explanation: Explanation, _ faults: [Fault]) {
        id = explanation.id
        title = explanation.title
        causes = explanation.causes
        remedies = explanation.remedies
        messages = explanation.messages
        found = faults.map(FaultView.init)
    }
}
