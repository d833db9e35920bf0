internal import FoundationEssentials
package import Leasing
internal import PCI
package import SRIOV

/// Reads the server-sent events of an apply, line by line. What is not understood is passed over.
package struct ApplyEventReader {
    private var kind = ""
    /// What has become of the apply, at its end.
    package private(set) var result: Result<[DeviceReport], LeasingError>?

    package init() {}

    /// Takes a line; returns what it tells, when that is a step or the end of a device.
    package mutating func read(_ line: String) -> ApplyEvent? {
        if line.hasPrefix("event: ") {
            kind = String(line.dropFirst(7))
            return nil
        }
        guard line.hasPrefix("data: ") else { return nil }
        let data = Data(line.dropFirst(6).utf8)
        switch kind {
        case "step": return (try? JSONDecoder().decode(ApplyStepView.self, from: data))?.event
        case "device":
            return (try? JSONDecoder().decode(ApplyView.DeviceView.self, from: data)).map { .deviceEnded($0.report) }
        case "result":
            guard let view = try? JSONDecoder().decode(ApplyView.self, from: data) else { return nil }
            result = .success(view.devices.map(\.report))
        case "problem":
            guard let problem = try? JSONDecoder().decode(Problem.self, from: data) else { return nil }
            result = .failure(problem.error)
        default: break
        }
        return nil
    }
}

extension ApplyStepView {
    fileprivate var event: ApplyEvent {
        guard let failures else { return .stepBegins(device: device, number: number, of: of, title: title) }
        // What failed in detail comes with the end of its device.
        let errors = (0..<max(0, min(failures, 100_000))).map { _ in SRIOVError(.stepFailed, "") }
        return .stepEnded(device: device, number: number, of: of, title: title, errors: errors)
    }
}

extension ApplyView.DeviceView {
    /// The report that is meant.
    var report: DeviceReport {
        DeviceReport(
            name: name, address: address.flatMap { PCIAddress($0) }, stepsDone: stepsDone, steps: steps,
            errors: errors.map { SRIOVError(SRIOVError.Code(rawValue: $0.code), $0.message, remedy: $0.remedy) },
            verified: verified, duration: .milliseconds(Int64(min(max(seconds, 0), 1e9) * 1000)))
    }
}
