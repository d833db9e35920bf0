internal import ArgumentParser
internal import Leasing
internal import PCI
internal import SRIOV

/// Which host a command looks at.
struct HostOptions: ParsableArguments {
    @Option(
        name: .long, help: ArgumentHelp("Look at the host whose /sys and /proc are below DIR.", valueName: "dir"),
        completion: .directory)
    var root: String?

    @Option(
        name: .long,
        help: ArgumentHelp("Look at a recorded host: made by sluice snapshot or umockdev-record.", valueName: "file"),
        completion: .file())
    var snapshot: String?

    func validate() throws {
        if root != nil, snapshot != nil { throw ValidationError("--root and --snapshot exclude each other.") }
    }

    /// Whether it is this host.
    var isLive: Bool { root == nil && snapshot == nil }

    /// A kernel to read from; writes to this host go through threads of this process.
    func kernel() throws -> any HostKernel {
        if let root { return RecordedKernel(files: LiveFileTree(root: root)) }
        guard let snapshot else { return readOnlyKernel() }
        // A recording is given by its path as the user typed it.
        guard let bytes = try LiveFileTree().contents(snapshot, limit: RecordedTree.maximumSize + 1) else {
            throw SRIOVError(.badRecording, "there is no file \(snapshot)", remedy: "sluice snapshot -f FILE makes one")
        }
        do throws(SRIOVError) {
            return RecordedKernel(files: try RecordedTree(bytes))
        } catch {
            throw SRIOVError(error.code, "\(snapshot): \(error.message)", remedy: error.remedy)
        }
    }

    /// The host, with leases among the holders when it is this one.
    func host(_ agent: AgentLocation) throws -> (host: Host, kernel: any HostKernel) {
        let kernel = try kernel()
        // A drive that was given to vfio-pci keeps its name. Only root can read the record; others see an address.
        let serials = isLive ? try? KnownSerials(state: agent.stateDirectory, files: kernel.files).current() : nil
        var host = try HostReader(kernel: kernel).read(knownSerials: serials ?? [:])
        if !isLive, host.functions.isEmpty {
            throw SRIOVError(
                .badRecording, "\(root ?? snapshot ?? "") shows no PCI function",
                remedy: "--root takes a folder with sys/ and proc/ in it, --snapshot a file of sluice snapshot")
        }
        if isLive {
            let leases = agent.leaseHolders()
            for index in host.functions.indices where !leases.isEmpty && host.functions[index].isAssignable {
                let holder = leases[FunctionIdentity(host.functions[index], in: host)]
                if let holder { host.functions[index].holders.append(holder) }
            }
        }
        return (host, kernel)
    }

    /// Says what an ordinary user cannot see, to who sits before a terminal: "free" would be a guess.
    func tellWhatIsHidden() {
        guard isLive, !isRoot, Output.isTerminal(1) else { return }
        Output.error("Not run as root: who has a function open could not be seen.")
    }
}

/// This host, for commands that only look.
func readOnlyKernel() -> any HostKernel { LinuxKernel(writer: RefusingWriter()) }

/// Refuses every write: commands that only look have no writer.
struct RefusingWriter: DeviceWriter {
    func write(_ requests: [WriteRequest], deadline: Duration) -> [PCIError?] {
        requests.map { PCIError(.recorded, $0.operation, path: $0.path, detail: "this command only looks") }
    }
}
