internal import ArgumentParser
internal import HostFile
internal import Leasing
internal import SRIOV

// The writer process is forked while there is one thread: before the argument parser, before anything.
if ["apply", "lease"].contains(CommandLine.arguments.dropFirst().first) { WriterProcess.start() }

do {
    try await run(try Sluice.parseAsRoot())
} catch let error as HostFileErrors {
    Output.error("\(error)\nNothing has been changed.  [\(HostFileErrors.code)]")
    Sluice.exit(withError: Status.badFile)
} catch let error as SRIOVError {
    Output.error("sluice: \(error)")
    let isFile = [.hostFileUnreadable, .deviceClaimedTwice].contains(error.code)
    Sluice.exit(withError: isFile ? Status.badFile : ExitCode.failure)
} catch let error as LeasingError {
    Output.error("sluice: \(error)")
    Sluice.exit(withError: [.exhausted, .limit, .stillHeld].contains(error.code) ? Status.refused : ExitCode.failure)
} catch {
    Sluice.exit(withError: error)
}

/// Runs a command of either kind.
func run(_ command: any ParsableCommand) async throws {
    if var command = command as? any AsyncParsableCommand { return try await command.run() }
    var command = command
    try command.run()
}
