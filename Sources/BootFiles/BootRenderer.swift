public import PCI
public import SRIOV

/// Makes boot files of a host file: a pure function of it, of what is known of the ports, and of the system that they are
/// for. A topic has a file of its own in the folder Topics.
public struct BootRenderer {
    /// What is wished for.
    public struct Options: Sendable, Hashable {
        /// Whether the agent keeps the VFs from boot on; without it udev makes them, once.
        public var startsAgent = true
        /// Topics that are done whether or not the host file needs them: those that are a risk only so.
        public var additional: Set<BootTopic> = []

        /// The usual.
        public init() {}
    }

    let declared: DeclaredHost
    let ports: [BootPort]
    let system: HostSystem
    let options: Options
    /// Serial numbers that are no drives'.
    let otherSerials: Set<String>

    /// Makes a renderer. Serial numbers of devices that are no NVMe drives are known where the host can be seen: their own
    /// drivers do not tell them.
    public init(
        declared: DeclaredHost, ports: [BootPort], system: HostSystem, options: Options = Options(),
        otherSerials: Set<String> = []
    ) {
        self.otherSerials = otherSerials
        self.declared = declared
        self.ports = ports
        self.system = system
        self.options = options
    }

    /// The files, the commands that make them count, and what is left out and why.
    public func render() -> BootSet {
        var set = BootSet()
        addKernel(to: &set)
        addModules(to: &set)
        addDevices(to: &set)
        addFunctions(to: &set)
        addPorts(to: &set)
        addBridge(to: &set)
        addAccess(to: &set)
        addServices(to: &set)
        set.files.sort { ($0.topic, $0.path) < ($1.topic, $1.path) }
        set.commands += [
            .refresh(["udevadm", "control", "--reload"], for: [.devices, .functions, .bridge, .vfioGroup]),
            .refresh(["systemctl", "daemon-reload"], for: [.libvirt, .agent, .memlock]),
        ]
        if system.hasSELinux {
            // What is written into another host's image has no labels yet.
            let paths = set.files.map(\.path)
            set.commands.insert(
                .refresh(["restorecon", "-i"] + paths, for: Set(set.files.map(\.topic))), at: set.commands.startIndex)
        }
        let topics = Set(set.files.map(\.topic))
        set.commands.removeAll { $0.topics.isDisjoint(with: topics) && $0.undo == nil }
        return set
    }

    /// The serial numbers of declared devices that are in a host and no NVMe drives.
    public static func otherSerials(_ declared: DeclaredHost, on host: Host?, files: any FileTree) -> Set<String> {
        guard let host else { return [] }
        let resolver = IdentityResolver(host: host, files: files, knownSerials: [:])
        return Set(
            declared.passthrough.compactMap { device in
                guard let serial = device.identity.serial, let found = try? resolver.resolve(device.identity) else {
                    return nil
                }
                return found.pci.classCode.isNVMe ? nil : serial
            })
    }

    // MARK: What is declared

    /// The drivers for passing through that are declared, without the one that all have.
    var vfioDrivers: Set<String> {
        var names: Set<String> = []
        func add(_ driver: DeclaredDriver?) { if case .vfio(let name)? = driver { names.insert(name) } }
        for port in declared.physicalFunctions {
            add(port.driver)
            for range in port.ranges { add(range.driver) }
        }
        for device in declared.passthrough { add(device.driver) }
        return names
    }

    /// Whether anything is passed through: libvirt binds what it is given by itself.
    var passesThrough: Bool { !vfioDrivers.isEmpty || isForLibvirt }

    /// Whether libvirt gets functions.
    var isForLibvirt: Bool { declared.pools.contains { ["libvirt", "openstack"].contains($0.purpose) } }

    /// Whether a topic is asked for by its name.
    func isWished(_ topic: BootTopic) -> Bool { options.additional.contains(topic) }
}
