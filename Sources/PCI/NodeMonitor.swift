internal import CLinux
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// Tells when the nodes of some folders are opened and closed by others (inotify).
public enum NodeMonitor {
    /// Calls a closure with the nodes of the folders that were opened, closed, made or removed; on the calling thread, which
    /// does not return. What was lost is told as a node without a name. A folder that is not there yet is waited for in the one above it.
    ///
    /// Nodes that another mount namespace has made for itself are other files: what is done to those is not told.
    /// Throws `PCIError` when the kernel gives no watch.
    public static func run(_ folders: [String], _ each: @escaping @Sendable (Set<String>) -> Void) throws(PCIError) {
        guard var inotify = Inotify() else { throw failure("watch device nodes") }
        state.withLock { $0 = State(each: each) }
        defer { state.withLock { $0 = State() } }
        let interest = UInt32(IN_OPEN | IN_CLOSE_WRITE | IN_CLOSE_NOWRITE | IN_CREATE | IN_DELETE)
        var watched: [Int32: String] = [:]
        func watch(_ inotify: borrowing Inotify) {
            for folder in folders {
                if let number = inotify.watch(folder, interest) { watched[number] = folder }
            }
        }
        // A folder's parent tells when the folder is made.
        let parents = Set(folders.map { "/" + $0.split(separator: "/").dropLast().joined(separator: "/") })
        for parent in parents.subtracting(folders) { _ = inotify.watch(parent, UInt32(IN_CREATE)) }
        watch(inotify)
        while true {
            guard let events = inotify.next() else { throw failure("read what happens to device nodes") }
            // Folders may have been made; a watch that is there already stays as it is.
            if events.contains(where: { $0.mask & UInt32(IN_CREATE) != 0 }) { watch(inotify) }
            let others = state.withLock { state in
                // What was lost may have been ours or anybody's.
                if events.contains(where: { $0.mask & UInt32(IN_Q_OVERFLOW) != 0 }) { state.own = [:] }
                // All are looked at, so that each of ours is taken off.
                return Set(
                    events.compactMap { event -> String? in
                        guard let folder = watched[event.watch] else { return "" }
                        let node = "\(folder)/\(event.name)"
                        let isOpening = event.mask & UInt32(IN_OPEN | IN_CLOSE_WRITE | IN_CLOSE_NOWRITE) != 0
                        return isOpening && state.takeOwn(node) ? nil : node
                    })
            }
            if !others.isEmpty { each(others) }
        }
    }

    /// Opens a node and closes it again, without telling that as another's use. Returns the errno, 0 for success.
    ///
    /// One that only one process may have open at a time makes exactly two events: one for each.
    package static func probe(_ path: String, _ flags: Int32) -> Int32 {
        state.withLock { if $0.each != nil { $0.own[path, default: 0] += 2 } }
        let descriptor = open(path, flags)
        guard descriptor < 0 else {
            close(descriptor)
            return 0
        }
        let failure = errno
        // While it was expected, an event of somebody else may have been taken for ours.
        let missed = state.withLock { state -> (@Sendable (Set<String>) -> Void)? in
            guard state.each != nil else { return nil }
            let rest = state.own.removeValue(forKey: path) ?? 0
            return rest < 2 ? state.each : nil
        }
        missed?([path])
        return failure
    }

    private struct State {
        var each: (@Sendable (Set<String>) -> Void)?
        /// How many events of a node are our own.
        var own: [String: Int] = [:]

        mutating func takeOwn(_ path: String) -> Bool {
            guard let count = own[path], count > 0 else { return false }
            own[path] = count > 1 ? count - 1 : nil
            return true
        }
    }

    private static let state = Mutex(State())

    private static func failure(_ operation: String) -> PCIError {
        PCIError(.read, operation, path: "/dev/vfio", errno: Errno(rawValue: errno))
    }
}
