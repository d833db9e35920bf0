internal import Glibc
public import PCI
internal import Synchronization

/// The serial numbers of functions that were given away to vfio-pci: only the driver that they had knows them.
///
/// An entry counts while the machine has not rebooted since and no driver of the kernel has the function: a device that
/// is replaced comes up with one. Whether it is still reserved is not asked, because that waits for the device's lock.
public struct KnownSerials: Sendable {
    private let state: StateDirectory
    private let files: any FileTree
    private static let name = "serials"

    /// The records of a state folder, checked against a host's files.
    public init(state: StateDirectory, files: any FileTree) {
        self.state = state
        self.files = files
    }

    /// The serial numbers that still count.
    public func current() throws(SRIOVError) -> [PCIAddress: String] {
        var serials: [PCIAddress: String] = [:]
        let boot = bootIdentifier()
        for line in (try state.read(Self.name) ?? "").split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 4).map(String.init)
            guard words.count == 5, words[0] == boot, let address = PCIAddress(words[1]), let model = PCIModel(words[2])
            else { continue }
            // A function that is not there, or not the same any more, has lost its entry.
            guard let function = (try? PCIReader(files: files).function(address)) ?? nil, function.model == model,
                function.driver == nil || function.isBoundToVFIO
            else { continue }
            serials[address] = words[4]
        }
        return serials
    }

    /// Records a function's serial number before its driver is taken away.
    package func remember(_ serial: String, of function: PCIFunction, driver: String) throws(SRIOVError) {
        // Several drives are bound at the same time.
        let result = Self.lock.withLock { _ in Result { () throws(SRIOVError) in try add(serial, function, driver) } }
        try result.get()
    }

    private static let lock = Mutex(())

    private func add(_ serial: String, _ function: PCIFunction, _ driver: String) throws(SRIOVError) {
        try state.make()
        // Another program may apply or lease meanwhile.
        let lock = open(state.file(Self.name + ".lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(lock) }
        guard lock >= 0, waitForLock(lock, deadline: .seconds(10)) else {
            throw state.failure("lock", state.file(Self.name + ".lock"))
        }
        var lines = (try state.read(Self.name) ?? "").split(separator: "\n").map(String.init)
        let boot = bootIdentifier()
        lines.removeAll { $0.split(separator: " ").dropFirst().first.map(String.init) == "\(function.address)" }
        lines.removeAll { !$0.hasPrefix(boot) }
        lines.append("\(boot) \(function.address) \(function.model) \(driver) \(serial)")
        try state.replace(Self.name, with: lines.joined(separator: "\n") + "\n")
    }

    private func bootIdentifier() -> String {
        ((try? files.text("/proc/sys/kernel/random/boot_id")) ?? nil) ?? "unknown"
    }
}
