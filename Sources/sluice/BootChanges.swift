internal import ArgumentParser
internal import BootFiles
internal import Glibc
internal import SRIOV

/// Shows what is to be done.
struct BootChanges {
    let comparison: BootInstaller.Comparison
    let notes: [BootSet.Note]
    /// Whether what is somebody else's is replaced.
    var isForced = false

    /// What is done.
    var doable: [BootChange] { comparison.doable(isForced: isForced) }
    /// The commands that follow.
    var commands: [[String]] { comparison.followUp(changing: Set(doable.map(\.topic))) }
    var foreign: [BootChange] { comparison.changes.filter { $0.action == .foreign } }

    /// Prints each change; brief is without the lines.
    func show(isBrief: Bool) {
        for change in comparison.changes where change.action != .keep {
            let mark =
                switch change.action {
                case .add: Output.colour("+", .green)
                case .remove: Output.colour("-", .yellow)
                case .foreign: Output.colour("✗", .red)
                default: Output.colour("~", .yellow)
                }
            let reason = change.reason.map { "  \($0)" } ?? ""
            Output.line("\(mark) \(change.path)  \(Output.colour(change.topic.rawValue, .dim))\(reason)")
            if isBrief { continue }
            for line in LineDiff.lines(change.before ?? "", change.after ?? "") { Output.line("  \(line)") }
        }
        for note in notes { Output.line("note: \(note.text)") }
        for command in commands { Output.line("then: \(command.joined(separator: " "))") }
        let kept = comparison.changes.count { $0.action == .keep }
        if comparison.isDone { Output.line("Nothing differs; \(kept) files are as they are to be.") }
    }
}

/// How files are written.
struct BootWriteOptions: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Do not ask.") var yes = false
    @Flag(name: .long, help: "Also replace what somebody else has written; a copy is kept.") var force = false
    @Flag(name: .long, help: "Print the commands that make the files count, and do not run them.") var noRun = false

    /// Does what a comparison says, after a question.
    func carryOut(
        _ options: BootOptions, _ comparison: BootInstaller.Comparison, _ rendering: BootRenderer.Options?,
        _ notes: [BootSet.Note]
    ) throws {
        let changes = BootChanges(comparison: comparison, notes: notes, isForced: force)
        changes.show(isBrief: yes)
        let commands = changes.commands
        if changes.doable.isEmpty, commands.isEmpty {
            if comparison.hasLeftovers { _ = try options.installer.apply(comparison, options: rendering) }
        } else {
            guard try yes || Output.confirm("Do it?") else { throw ExitCode.failure }
            let failed = try write(options, comparison, rendering)
            guard failed == 0 else {
                Output.error(
                    "\(failed) of \(commands.count) commands failed; the files are \(rendering == nil ? "gone" : "written"), and the next sluice boot \(rendering == nil ? "uninstall" : "install") runs them again."
                )
                throw ExitCode.failure
            }
            Output.line("Done. What is read at boot counts from the next one.")
        }
        guard force || changes.foreign.isEmpty else {
            Output.error(
                "\(changes.foreign.count) files are left as they are: somebody else has written them. --force replaces them and keeps a copy."
            )
            throw Status.refused
        }
    }

    /// Writes, and runs the commands; returns how many of them failed.
    private func write(
        _ options: BootOptions, _ comparison: BootInstaller.Comparison, _ rendering: BootRenderer.Options?
    ) throws -> Int {
        let installer = options.installer
        let commands = try installer.apply(comparison, options: rendering, isForced: force) {
            Output.line("kept as \($0)")
        }
        var failed = 0
        for command in commands {
            guard options.isLive, !noRun else {
                // Whoever has mounted the image runs them in it.
                Output.line("to be run\(options.isLive ? "" : " in the image"): \(command.joined(separator: " "))")
                try installer.hasRun(command)
                continue
            }
            Output.line("run: \(command.joined(separator: " "))")
            let status = try Self.run(command)
            guard status == 0 else {
                Output.error(
                    "\(command[0]) has failed (\(status == 127 ? "it is not installed" : "exit status \(status)"))")
                failed += 1
                continue
            }
            try installer.hasRun(command)
        }
        return failed
    }

    /// Runs a program with our output, and waits for its end; 127 when there is none.
    private static func run(_ command: [String]) throws -> Int32 {
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        // What a person's shell may lack: these programs are root's.
        setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1)
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, command[0], nil, nil, arguments, environ)
        if code == ENOENT { return 127 }
        guard code == 0 else {
            throw SRIOVError(.bootFile, "cannot run \(command[0]): \(String(cString: strerror(code)))")
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + status & 0x7f
    }
}
