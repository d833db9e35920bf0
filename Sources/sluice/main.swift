internal import ArgumentParser
internal import HostFile
internal import Leasing
internal import SRIOV

// The writer process is forked while there is one thread: before the argument parser, before anything.
let words = CommandLine.arguments.dropFirst()
if ["apply", "lease"].contains(words.first) || words.first == "doctor" && words.contains("--fix") {
    WriterProcess.start()
}

var outcome: (any Error)?
do { try await run(try Sluice.parseAsRoot()) } catch { outcome = error }
// What could not be printed is a failure, whatever else was done.
do { try Output.finish() } catch { outcome = error }
if let outcome { end(outcome) }

/// Says what went wrong, and ends with the status for it.
func end(_ error: any Error) -> Never {
    switch error {
    case let error as HostFileErrors:
        Output.error("\(error)\nNothing has been changed.  [\(HostFileErrors.code)]")
        Sluice.exit(withError: Status.badFile)
    case let error as SRIOVError:
        Output.error("sluice: \(error)")
        Sluice.exit(withError: Status.of(error.code.rawValue))
    case let error as LeasingError:
        Output.error("sluice: \(error)")
        Sluice.exit(withError: Status.of(error.code.rawValue))
    default: Sluice.exit(withError: error)
    }
}

/// Runs a command of either kind.
func run(_ command: any ParsableCommand) async throws {
    if var command = command as? any AsyncParsableCommand { return try await command.run() }
    var command = command
    try command.run()
}
