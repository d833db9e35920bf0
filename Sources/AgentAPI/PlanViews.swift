internal import PCI
package import SRIOV

/// A plan as it is printed for machines and sent by the agent.
package struct PlanView: Codable, Sendable, Hashable {
    /// A part of it.
    package struct StepView: Codable, Sendable, Hashable {
        package var title: String
        package var reason: String
    }

    /// A part of it.
    package struct HeldView: Codable, Sendable, Hashable {
        package var function: String
        package var address: String
        package var holder: HolderView
    }

    /// A part of it.
    package struct RefusalView: Codable, Sendable, Hashable {
        package var code: String
        package var message: String
        package var remedy: String?
        package var holders: [HeldView]
    }

    /// A part of it.
    package struct DeviceView: Codable, Sendable, Hashable {
        package var name: String
        package var address: String?
        package var steps: [StepView]
        package var refusals: [RefusalView]
    }

    /// A part of it.
    package struct WarningView: Codable, Sendable, Hashable {
        package var code: String
        package var message: String
        package var remedy: String?
    }

    package var devices: [DeviceView]
    package var modules: [String]
    package var warnings: [WarningView]

    package init(_ plan: Plan) {
        devices = plan.devices.map { device in
            DeviceView(
                name: device.name, address: device.address?.description,
                steps: device.steps.map { StepView(title: $0.title, reason: $0.reason) },
                refusals: device.refusals.map { refusal in
                    RefusalView(
                        code: refusal.error.code.rawValue, message: refusal.error.message, remedy: refusal.error.remedy,
                        holders: refusal.holders.map {
                            HeldView(function: $0.function, address: "\($0.address)", holder: HolderView($0.holder))
                        })
                })
        }
        modules = plan.modules
        warnings = plan.warnings.map { WarningView(code: $0.code.rawValue, message: $0.message, remedy: $0.remedy) }
    }
}

/// What is planned or applied: the body of POST /v1/plans and /v1/applies.
package struct PlanBody: Codable, Sendable, Hashable {
    /// The text of a host file; nil is the agent's own.
    package var hostFile: String?
    /// Devices to which it is limited.
    package var only: [String]?
    /// Holders that are given up.
    package var evict: [String]?

    package init(hostFile: String? = nil, only: [String]? = nil, evict: [String]? = nil) {
        self.hostFile = hostFile
        self.only = only
        self.evict = evict
    }

    package static let keys: Set<String> = ["hostFile", "only", "evict"]
}

/// What became of an apply.
package struct ApplyView: Codable, Sendable, Hashable {
    package var devices: [DeviceView]

    /// What became of one device.
    package struct DeviceView: Codable, Sendable, Hashable {
        package var name: String
        package var address: String?
        package var steps: Int
        package var stepsDone: Int
        package var verified: Int
        package var seconds: Double
        package var errors: [ErrorView]
    }

    /// What failed.
    package struct ErrorView: Codable, Sendable, Hashable {
        package var code: String
        package var message: String
        package var remedy: String?
    }

    package init(_ reports: [DeviceReport]) {
        devices = reports.map { report in
            let (seconds, attoseconds) = report.duration.components
            return DeviceView(
                name: report.name, address: report.address.map { "\($0)" }, steps: report.steps,
                stepsDone: report.stepsDone, verified: report.verified,
                seconds: Double(seconds) + Double(attoseconds) / 1e18,
                errors: report.errors.map { ErrorView(code: $0.code.rawValue, message: $0.message, remedy: $0.remedy) })
        }
    }
}
