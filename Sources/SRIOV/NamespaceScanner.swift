internal import CLinux
internal import Glibc
internal import Netlink
internal import PCI

/// Finds the host's other network namespaces: those with a name below /run/netns, and those that processes live in.
struct NamespaceScanner {
    let files: any FileTree

    private struct Found {
        var path: String
        var name: String?
        var pid: Int32?
    }

    /// A namespace with the kernel's messages on its links.
    struct Recorded {
        var name: String?
        var pid: Int32?
        var container: String?
        var links: [ByteReader]
    }

    func namespaces() -> [NetworkNamespace] {
        messages().map { found in
            NetworkNamespace(
                name: found.name, pid: found.pid, container: found.container,
                links: found.links.compactMap { Link($0) })
        }
    }

    func messages() -> [Recorded] {
        var found: [UInt64: Found] = [:]
        guard let own = inode("/proc/self/ns/net") else { return [] }
        for name in ((try? files.entries("/run/netns")) ?? nil) ?? [] {
            guard let inode = inode("/run/netns/\(name)"), inode != own else { continue }
            found[inode] = Found(path: "/run/netns/\(name)", name: name)
        }
        for pid in ProcessTable(files: files).pids() {
            let path = "/proc/\(pid)/ns/net"
            // The link's text names the namespace: "net:[4026531840]".
            guard let text = (try? files.link(path)) ?? nil,
                let inode = UInt64(text.drop { $0 != "[" }.dropFirst().dropLast()), inode != own
            else { continue }
            if found[inode] == nil { found[inode] = Found(path: path) }
            if found[inode]?.pid == nil { found[inode]?.pid = pid }
        }
        let processes = ProcessTable(files: files)
        return found.values.sorted { $0.path < $1.path }.compactMap { entry in
            guard let links = links(in: entry.path) else { return nil }
            return Recorded(
                name: entry.name, pid: entry.pid, container: entry.pid.flatMap { processes.container(of: $0) },
                links: links)
        }
    }

    private func inode(_ path: String) -> UInt64? {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_ino) : nil
    }

    /// The links of a namespace, nil when it vanished meanwhile or may not be entered.
    private func links(in path: String) -> [ByteReader]? {
        // setns changes the calling thread for good, so a thread is spent on it.
        onThread {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            defer { close(descriptor) }
            guard sluice_setns(descriptor, 0x4000_0000) == 0 else { return nil }  // CLONE_NEWNET
            guard var connection = try? RouteNetlink.open() else { return nil }
            return try? connection.linkMessages(.linksOnly)
        }
    }
}
