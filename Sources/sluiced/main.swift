internal import Agent
internal import ArgumentParser
internal import CLinux
internal import Glibc
internal import PCI

// The writer process is forked while there is one thread, so that a write that hangs can be left behind.
signal(SIGPIPE, SIG_IGN)
let isHelp = CommandLine.arguments.contains { ["--help", "-h", "--version"].contains($0) }
if CommandLine.arguments.contains("--least-privileges") {
    // Those of the unit; packaging/systemd/sluiced.service says what each is for.
    let kept = [CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_SYS_MODULE, CAP_SYSLOG]
    guard sluice_keep_capabilities(kept.reduce(0) { $0 | 1 << UInt64($1) }) == 0 else {
        perror("sluiced: --least-privileges")
        exit(1)
    }
}
let writer = isHelp ? nil : try? WriterChannel.startProcess().get()
Signals.hold()
Sluiced.main()
