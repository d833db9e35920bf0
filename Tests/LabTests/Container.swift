import Testing

/// Containers of podman's: busybox in a root tree of its own, with the devices that are named and without a network.
final class Container {
    private let folder = "/tmp/containers"

    init() throws {
        try Lab.run(["rm", "-rf", folder])
        try Lab.run(["mkdir", "-p"] + ["bin", "dev", "proc", "sys", "etc", "run"].map { "\(folder)/root/\($0)" })
        try Lab.run(["cp", "/usr/bin/busybox", "\(folder)/root/bin/busybox"])
        for name in ["sh", "ls", "true"] { try Lab.run(["ln", "-s", "busybox", "\(folder)/root/bin/\(name)"]) }
    }

    deinit { _ = try? Command(["rm", "-rf", folder]).finish() }

    /// Runs a shell's commands with CDI devices, by their qualified names.
    func run(devices: [String], _ script: String) throws -> Command.Result {
        try Command(
            [
                "podman", "--root", "\(folder)/storage", "--runroot", "\(folder)/run", "--storage-driver", "vfs",
                "--runtime", "runc", "--cgroup-manager", "cgroupfs", "run", "--rm", "--network", "none",
                "--log-driver", "none",
            ] + devices.flatMap { ["--device", $0] } + ["--rootfs", "\(folder)/root", "/bin/sh", "-c", script]
        ).finish()
    }
}
