internal import SRIOV
internal import Synchronization

/// Shows an apply's progress: on a terminal a bar for each device, elsewhere a line for each step.
final class Progress: Sendable {
    private struct Row {
        var name: String
        var steps: Int
        var done = 0
        var text = ""
    }

    private let rows: Mutex<[Row]>
    private let isTerminal = Output.isTerminal(1)

    init(devices: [(name: String, steps: Int)]) {
        rows = Mutex(devices.map { Row(name: $0.name, steps: $0.steps) })
        if isTerminal { Output.write(String(repeating: "\n", count: devices.count)) }
    }

    func show(_ event: ApplyEvent) {
        rows.withLock { rows in
            switch event {
            case .stepBegins(let device, _, _, let title):
                update(&rows, device) { $0.text = title }
            case .stepEnded(let device, let number, let count, let title, let errors):
                update(&rows, device) { $0.done = number }
                if !isTerminal {
                    let result = errors.isEmpty ? "done" : errors.count == 1 ? "failed" : "\(errors.count) failures"
                    Output.line("\(device)  \(number)/\(count)  \(title): \(result)")
                }
            case .deviceEnded(let report):
                update(&rows, report.name) { $0.text = report.summary }
                if !isTerminal { Output.line("\(report.name)  \(report.summary)") }
            }
            if isTerminal { draw(rows) }
        }
    }

    private func update(_ rows: inout [Row], _ name: String, _ body: (inout Row) -> Void) {
        if let index = rows.firstIndex(where: { $0.name == name }) { body(&rows[index]) }
    }

    private func draw(_ rows: [Row]) {
        let width = rows.map(\.name.count).max() ?? 0
        var text = "\u{1b}[\(rows.count)A"
        for row in rows {
            let filled = row.steps == 0 ? 20 : 20 * row.done / row.steps
            let bar = String(repeating: "━", count: filled) + String(repeating: "╌", count: 20 - filled)
            let line =
                "\(row.name)\(String(repeating: " ", count: width - row.name.count))  \(bar) \(row.done)/\(row.steps)  \(row.text)"
            text += "\r\(line.printable.prefix(Output.width - 1))\u{1b}[K\n"
        }
        Output.write(text)
    }
}

extension DeviceReport {
    /// `7 VFs as declared, in 1.3 s, verified`.
    var summary: String {
        let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
        let time = "\(Int(seconds)).\(Int(seconds * 10) % 10) s"
        if stepsDone < steps { return "stopped after \(stepsDone) of \(steps) steps (\(time))" }
        let functions = verified == 1 ? "1 function" : "\(verified) functions"
        let failed = errors.isEmpty ? "" : ", \(errors.count) failed"
        return "\(functions) as declared, verified\(failed) (\(time))"
    }
}
