internal import Glibc
public import PCI

/// Finds out what tells a consumer from a later one of the same name, and whether it still lives.
public struct ConsumerProbe: Sendable {
    private let files: any FileTree

    /// Looks in a host's /proc.
    public init(files: any FileTree) { self.files = files }

    /// Whether a network namespace may be at a path. One of a file system that hangs would be asked for again and again.
    package static func mayBeNamespace(_ path: String) -> Bool {
        ["/run/", "/var/run/", "/proc/"].contains(where: path.hasPrefix)
    }

    /// The consumer with its generation.
    ///
    /// Throws `request.invalid` when it does not live.
    public func identify(_ consumer: Consumer) throws(LeasingError) -> Consumer {
        var consumer = consumer
        switch consumer.kind {
        case .process:
            guard let start = startTime(consumer.identifier) else {
                throw LeasingError(
                    .badRequest, "there is no process \(consumer.identifier)", remedy: "give the number of a living one"
                )
            }
            consumer.generation = consumer.generation ?? start
        case .namespace:
            guard Self.mayBeNamespace(consumer.identifier),
                let inode = inode(consumer.identifier)
            else {
                throw LeasingError(
                    .badRequest, "there is no network namespace \(consumer.identifier)",
                    remedy:
                        "give a path below /run or /proc, such as /run/netns/blue; ip netns list shows those with a name"
                )
            }
            consumer.generation = consumer.generation ?? inode
        case .domain, .port, .allocation, .person: break
        }
        return consumer
    }

    /// Whether a consumer lives; nil when nothing here can tell.
    public func isAlive(_ consumer: Consumer) -> Bool? {
        switch consumer.kind {
        case .process:
            guard let start = startTime(consumer.identifier) else { return false }
            return consumer.generation.map { $0 == start } ?? true
        case .namespace:
            guard let inode = inode(consumer.identifier) else { return false }
            return consumer.generation.map { $0 == inode } ?? true
        case .domain, .port, .allocation, .person: return nil
        }
    }

    /// A process's start in clock ticks since boot: field 22 of its stat, after the name, which may hold anything.
    private func startTime(_ pid: String) -> UInt64? {
        guard let text = (try? files.text("/proc/\(pid)/stat")) ?? nil, let end = text.lastIndex(of: ")") else {
            return nil
        }
        let fields = text[text.index(after: end)...].split(separator: " ")
        // A zombie has ended; only its parent has not heard of it.
        guard fields.count > 19, fields[0] != "Z", fields[0] != "X" else { return nil }
        return UInt64(fields[19])
    }

    private func inode(_ path: String) -> UInt64? {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
    }
}
