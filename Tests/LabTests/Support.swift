import Glibc
import HostFile
import Netlink
import PCI
import SRIOV
import Testing

/// The lab that the tests run in: they change the kernel's devices and must run nowhere else.
enum Lab {
    /// The variants of the running lab, nil outside of it.
    static let variants: Set<String>? = getenv("SLUICE_LAB").map {
        Set(String(cString: $0).split(separator: " ").map(String.init))
    }

    static func isVariant(_ name: String) -> Bool { variants?.contains(name) ?? false }

    /// Whether tests that try many moments try all of them (make soak), or some: the moments are random in either.
    static let isSoak = getenv("SLUICE_ALL_ROUNDS") != nil

    static let notInLab: Comment = "needs the lab's kernel: make test, or lab/lab run"

    static func kernel() throws -> LinuxKernel { LinuxKernel(writer: try WriterChannel()) }

    static func address(_ text: String) throws -> PCIAddress { try #require(PCIAddress(text)) }

    static func host() throws -> Host { try HostReader(kernel: kernel()).read() }

    /// Waits until udev has named the netdevs that have appeared: before that a name that was read may be gone.
    static func settle() throws { try run(["udevadm", "settle", "-t", "60"]) }

    /// All VFs of all ports removed and every drive with its own driver: the state that each test begins with.
    static func reset() throws {
        let kernel = try kernel()
        let reader = PCIReader(files: kernel.files)
        let files = try reader.functions().filter { $0.sriov?.enabledVFs ?? 0 > 0 }
            .map { "\(PCIReader.path($0.address))/sriov_numvfs" }
        // The kernel sleeps two seconds for each port, so all are written at the same time.
        let script = "for file; do echo 0 >$file & all=\"$all $!\"; done; for one in $all; do wait $one || exit 1; done"
        try run(["sh", "-c", script, "sh"] + files)
        for function in try reader.functions() {
            if function.sriov != nil {
                try write("1", to: "\(PCIReader.path(function.address))/sriov_drivers_autoprobe")
            }
            if function.classCode.isStorage, function.isBoundToVFIO {
                _ = DriverBinding(files: kernel.files, writer: kernel.writer)
                    .bind([.init(address: function.address, target: .kernel("nvme"))])
            }
        }
        try run(["rm", "-rf", "/var/lib/sluice"])
    }

    /// Waits for something that nobody tells: looks fifty times a second, and fails after three minutes, which an emulated
    /// machine on a busy host may need.
    static func wait(for what: @autoclosure () -> String, until isMet: () throws -> Bool) throws {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(180)
        while try !isMet() {
            try #require(clock.now < deadline, "waited in vain for \(what())")
            usleep(20_000)
        }
    }

    static func write(_ value: String, to path: String) throws {
        try kernel().writer.write(
            WriteRequest(path: path, value: value, operation: "write \(path)"), deadline: .seconds(60))
    }

    /// Has the emulated machine changed from outside: a cable pulled (`set_link card0 off`; the cards have numbers, as the
    /// ports in lab/topology) or a card (`device_del card0`).
    static func machine(_ command: String) throws { try run(["sh", "-c", "echo '\(command)' >/dev/ttyS2"]) }

    /// Runs a program that must succeed.
    @discardableResult
    static func run(_ arguments: [String]) throws -> String {
        let result = try Command(arguments).finish()
        try #require(result.status == 0, "\(arguments.joined(separator: " ")): \(result.output)\(result.error)")
        return result.output
    }

    /// Runs sluice and returns what it said.
    static func sluice(_ arguments: String...) throws -> Command.Result {
        try Command(["sluice"] + arguments).finish()
    }

    /// What `sluice plan` would show, without starting a program for it.
    static func plan(_ file: String) throws -> Plan {
        let kernel = try kernel()
        var options = Planner.Options()
        options.knownSerials = try KnownSerials(state: StateDirectory(), files: kernel.files).current()
        let host = try HostReader(kernel: kernel).read(knownSerials: options.knownSerials)
        return Planner(host: host, files: kernel.files, options: options)
            .plan(to: try HostFile.parse(HostFile.text(of: file), file: file))
    }

    static func file(_ name: String, _ text: String) throws -> String {
        let path = "/tmp/\(name)"
        let file = try #require(fopen(path, "w"))
        fputs(text, file)
        fclose(file)
        return path
    }
}

/// A program that runs beside the test.
struct Command {
    struct Result {
        var status: Int32
        var output: String
        var error: String
    }

    let pid: pid_t
    private let output: String
    private let error: String

    init(_ arguments: [String]) throws {
        let name = "/tmp/command-\(UInt64.random(in: 0 ... .max))"
        (output, error) = (name + ".out", name + ".err")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, error, O_WRONLY | O_CREAT, 0o600)
        // A thread of a pool has its signals blocked, and a program that is started from it would never hear of any.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var strings = arguments.map { strdup($0) } + [nil]
        defer { for string in strings { free(string) } }
        var pid = pid_t()
        let failed = posix_spawnp(&pid, arguments[0], &actions, &attributes, &strings, environ)
        try #require(failed == 0, "\(arguments[0]): \(String(cString: strerror(failed)))")
        self.pid = pid
    }

    /// What it has written to standard error so far.
    var errorSoFar: String { text(error) }

    /// What it has written to standard output so far.
    var outputSoFar: String { text(output) }

    private func text(_ path: String) -> String {
        ((try? LiveFileTree().contents(path, limit: 1 << 20)) ?? nil).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Whether it has ended; `finish` is still to be called.
    var hasEnded: Bool {
        var information = siginfo_t()
        return waitid(P_PID, id_t(pid), &information, WEXITED | WNOHANG | WNOWAIT) == 0 && information.si_signo != 0
    }

    /// Waits for its end. A program that was killed has the status 128 + signal.
    func finish() throws -> Result {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        defer {
            unlink(output)
            unlink(error)
        }
        func text(_ path: String) throws -> String {
            String(decoding: try LiveFileTree().contents(path, limit: 16 << 20) ?? [], as: UTF8.self)
        }
        let code = status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
        return Result(status: code, output: try text(output), error: try text(error))
    }

    func kill(_ signal: Int32) { Glibc.kill(pid, signal) }
}

/// Opens a function through VFIO as a VMM does: container, group, device.
final class VFIODevice: Sendable {
    private let descriptors: [Int32]

    init(_ address: PCIAddress) throws {
        let group = try #require(try PCIReader(files: LiveFileTree()).function(address)?.iommuGroup)
        let container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC)
        let groupFile = open("/dev/vfio/\(group)", O_RDWR | O_CLOEXEC)
        try #require(container >= 0 && groupFile >= 0, "cannot open /dev/vfio/\(group)")
        var number = container
        try #require(ioctl(groupFile, 0x3b68, &number) == 0, "VFIO_GROUP_SET_CONTAINER")
        try #require(ioctl(container, 0x3b66, 1) == 0, "VFIO_SET_IOMMU")
        let device = address.description.withCString { ioctl(groupFile, 0x3b6a, UnsafeMutablePointer(mutating: $0)) }
        try #require(device >= 0, "VFIO_GROUP_GET_DEVICE_FD")
        descriptors = [device, groupFile, container]
    }

    func close() { for descriptor in descriptors { Glibc.close(descriptor) } }
}
