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
        /// How the function is freed.
        package var remedy: String
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
        /// Whether the device or one of its VFs is in use.
        package var isHeld: Bool
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
                name: device.name, address: device.address?.description, isHeld: device.isHeld,
                steps: device.steps.map { StepView(title: $0.title, reason: $0.reason) },
                refusals: device.refusals.map { refusal in
                    RefusalView(
                        code: refusal.error.code.rawValue, message: refusal.error.message, remedy: refusal.error.remedy,
                        holders: refusal.holders.map {
                            HeldView(
                                function: $0.function, address: "\($0.address)", holder: HolderView($0.holder),
                                remedy: $0.holder.remedy)
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
    /// What the file is called where a place in it is told.
    package var name: String?
    /// Devices to which it is limited.
    package var only: [String]?
    /// Holders that are given up.
    package var evict: [String]?

    package init(hostFile: String? = nil, name: String? = nil, only: [String]? = nil, evict: [String]? = nil) {
        self.hostFile = hostFile
        self.name = name
        self.only = only
        self.evict = evict
    }

    package static let keys: Set<String> = ["hostFile", "name", "only", "evict"]
}

/// A step of an apply that begins, or has ended.
package struct ApplyStepView: Codable, Sendable, Hashable {
    package var device: String
    package var number: Int
    package var of: Int
    package var title: String
    /// How much of it failed; nil while it is being done.
    package var failures: Int?

    package init(device: String, number: Int, of: Int, title: String, failures: Int?) {
        self.device = device
        self.number = number
        self.of = of
        self.title = title
        self.failures = failures
    }
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

        package init(_ report: DeviceReport) {
            let (seconds, attoseconds) = report.duration.components
            name = report.name
            address = report.address.map { "\($0)" }
            steps = report.steps
            stepsDone = report.stepsDone
            verified = report.verified
            self.seconds = Double(seconds) + Double(attoseconds) / 1e18
            errors = report.errors.map { ErrorView(code: $0.code.rawValue, message: $0.message, remedy: $0.remedy) }
        }
    }

    /// What failed.
    package struct ErrorView: Codable, Sendable, Hashable {
        package var code: String
        package var message: String
        package var remedy: String?
    }

    package init(_ reports: [DeviceReport]) { devices = reports.map(DeviceView.init) }
}
