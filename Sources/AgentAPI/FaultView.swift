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
    /// What `sluice doctor --fix` changes; nil where it can do nothing.
    package var fix: String?

    package init(_ fault: Fault) {
        id = fault.id
        title = fault.title
        severity = fault.severity.rawValue
        subject = fault.subject
        evidence = fault.evidence
        cause = fault.cause
        remedies = fault.remedies
        fix = fault.fix
    }
}

/// A fault in general, and as a host has it.
package struct ExplanationView: Codable, Sendable, Hashable {
    package var id: String
    package var title: String
    package var severity: String
    package var causes: [String]
    package var remedies: [String]
    /// What is read to find it.
    package var found: String?
    package var messages: [String]
    /// What `sluice doctor --fix` changes.
    package var fix: String?
    /// Where this host has it.
    package var here: [FaultView]

    package init(_ kind: FaultKind, _ faults: [FaultView]) {
        id = kind.id
        title = kind.title
        severity = kind.severity.rawValue
        causes = kind.allCauses
        remedies = kind.allRemedies
        found = kind.detection
        messages = kind.messages.map { $0.parts.joined(separator: " … ") }
        fix = kind.fix
        here = faults
    }
}
