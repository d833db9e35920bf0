internal import ArgumentParser

struct Sluice: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "sluice",
        abstract: "One owner for the SR-IOV virtual functions and passthrough devices of a host.",
        discussion: """
            Look at a host:       sluice list, sluice topology, sluice show eno49
            Declare it:           /etc/sluice/host.yaml, see Documentation/host-file.md
            Bring it there:       sluice plan, sluice apply
            Give functions out:   sluice pool list, sluice lease acquire --pool tenant
            To virtual machines:  sluice network sync, sluice vm attach z-k8s-n-1 --pool tenant
            To pods:              sluice k8s render
            See what happens:     sluice events --follow
            See what is wrong:    sluice doctor
            Keep it over reboots: sluice boot install

            Exit status: 0 done, or nothing to do; 1 something failed; 2 (plan) there are changes; 3 something is
            refused because it is in use or cannot be; 64 the command line is wrong; 65 the host file has mistakes.
            """,
        version: version,
        subcommands: [
            List.self, Show.self, Topology.self, PlanCommand.self, Apply.self, PoolCommand.self,
            LeaseCommand.self, VMCommand.self, NetworkCommand.self, Events.self, Doctor.self,
            Boot.self, KubernetesCommand.self, Snapshot.self, SchemaCommand.self,
        ])
}

/// Exit statuses beyond 0 and 1.
enum Status {
    static let changes = ExitCode(2)
    static let refused = ExitCode(3)
    static let badFile = ExitCode(65)

    /// The status for a failure with a code, whether it is our own or the agent's.
    static func of(_ code: String) -> ExitCode {
        switch code {
        case "hostfile.invalid", "hostfile.unreadable", "device.claimedTwice": badFile
        case "request.invalid": .validationFailure
        case "pool.exhausted", "pool.limit", "lease.stillHeld", "domain.noPorts", "domain.keepsDevice",
            "domain.memoryLocked":
            refused
        default: .failure
        }
    }
}
