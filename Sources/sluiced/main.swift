internal import Agent
internal import ArgumentParser
internal import Glibc
internal import PCI

// The writer process is forked while there is one thread, so that a write that hangs can be left behind.
signal(SIGPIPE, SIG_IGN)
let isHelp = CommandLine.arguments.contains { ["--help", "-h", "--version"].contains($0) }
let writer = isHelp ? nil : try? WriterChannel.startProcess().get()
Signals.hold()
Sluiced.main()
