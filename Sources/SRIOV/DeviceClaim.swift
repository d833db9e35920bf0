internal import Glibc
public import PCI

/// The claim of an apply on a device while it writes to it: a locked file of the state folder.
///
/// The writer process keeps the file open too, so that the lock outlives an apply that is killed, until the kernel has
/// returned from its last write. What a device looks like before that is not what it will be.
public final class DeviceClaim: Sendable {
    let descriptor: Int32
    private let path: String

    private init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    static func take(_ address: PCIAddress, in state: StateDirectory) throws(SRIOVError) -> DeviceClaim {
        let path = state.file("busy-\(address)")
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw state.failure("open", path) }
        let claim = DeviceClaim(descriptor: descriptor, path: path)
        // A plan may look at the file for an instant.
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw state.failure("lock", path) }
        }
        ftruncate(descriptor, 0)
        try state.append("pid \(getpid())\n", to: descriptor, path)
        return claim
    }

    /// Gives the device up: the lock belongs to the open file, wherever else it is open.
    func release() {
        unlink(path)
        flock(descriptor, LOCK_UN)
    }

    /// The devices on which a write of an apply has not returned within a deadline, and who made it. Without a deadline
    /// it is only looked at: whoever has the lock of applies gives one, and clears away what is left.
    public static func unreturned(
        in state: StateDirectory, deadline: Duration?
    ) throws(SRIOVError) -> [PCIAddress: String] {
        var names: [String] = []
        do throws(PCIError) {
            names = try LiveFileTree().entries(state.path) ?? []
        } catch {
            throw SRIOVError(
                .state, "\(error)", remedy: "run as root, or choose another folder with --state", errno: error.errno)
        }
        let claims = names.compactMap { name in name.hasPrefix("busy-") ? PCIAddress(name.dropFirst(5)) : nil }
        let waiting = claims.filter { !wait(state.file("busy-\($0)"), deadline) }
        var busy: [PCIAddress: String] = [:]
        for address in waiting {
            busy[address] =
                try state.read("busy-\(address)")?.split(separator: "\n").first.map(String.init) ?? "unknown"
        }
        return busy
    }

    /// Whether a claim is given up within a deadline; the file of one that is goes away.
    private static func wait(_ path: String, _ deadline: Duration?) -> Bool {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { return true }
        guard let deadline else {
            defer { close(descriptor) }
            return flock(descriptor, LOCK_SH | LOCK_NB) == 0
        }
        defer { close(descriptor) }
        guard waitForLock(descriptor, deadline: deadline) else { return false }
        unlink(path)
        return true
    }
}
