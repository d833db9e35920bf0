internal import AgentAPI
internal import ArgumentParser
internal import Diagnosis
internal import Glibc
internal import PCI
internal import SRIOV

struct Snapshot: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Record this host in one text file that the other commands read.",
        discussion: """
            For support, and for tests of one's own host file: sluice plan --snapshot FILE -f host.yaml plans for the
            recorded host. The file holds PCI functions, network links, NUMA nodes, IOMMU groups, mount points of disks
            and who has a VFIO device open, and the agent's pools, networks and virtual machines: the list is in
            Documentation/snapshot.md. Nothing that could hold a password is read. Run it as root to have everything.

            Example:
              sluice snapshot > host.txt
              sluice list --snapshot host.txt
            """)

    @OptionGroup var agent: AgentLocation
    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: ArgumentHelp("Write to FILE, which must not exist, instead of standard output.", valueName: "file"),
        completion: .file())
    var file: String?

    func run() throws {
        let files = LiveFileTree()
        // Only root can read the record of serial numbers; without it a drive is known by its address.
        let serials = (try? KnownSerials(state: agent.stateDirectory, files: files).current()) ?? [:]
        // Without the agent, or with an older one, nothing of this is known.
        let client = AgentClient(socket: agent.socket, timeoutSeconds: 10)
        let facts: AgentFacts? = try? client?.get("/v1/facts")
        if client != nil, facts == nil { Output.error("The agent does not answer: what only it knows is left out.") }
        let text = try SnapshotWriter.record(
            files: files, serials: serials, log: HostLog.lines(),
            agent: try facts?.text())
        guard let file else {
            Output.write(text)
            return
        }
        let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw SRIOVError(.state, "cannot write \(file): \(String(cString: strerror(errno)))")
        }
        Output.write(text, to: descriptor)
        try Output.finish()
        guard fsync(descriptor) == 0 || errno == EINVAL, close(descriptor) == 0 else {
            throw SRIOVError(.state, "cannot write \(file): \(String(cString: strerror(errno)))")
        }
        Output.error("\(file): \(text.utf8.count / 1024) KiB")
    }
}
