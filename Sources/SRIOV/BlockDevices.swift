internal import PCI

/// The disks behind storage controllers, and who uses them.
struct BlockDevices {
    let files: any FileTree

    struct Disk {
        var function: PCIAddress
        /// The device nodes of the disk and its partitions.
        var nodes: [String]
        var holders: [Holder]
    }

    func disks(of functions: [PCIFunction]) -> [Disk] {
        guard !functions.isEmpty else { return [] }
        let names = ((try? files.entries("/sys/class/block")) ?? nil) ?? []
        guard !names.isEmpty else { return [] }
        let mounts = mountPoints()
        let swaps = ((try? files.wholeText("/proc/swaps")) ?? nil) ?? ""
        // Where each block device hangs in the tree: ".../0000:01:00.0/nvme/nvme0/nvme0n1/nvme0n1p1".
        let paths = names.compactMap { name in
            ((try? files.link("/sys/class/block/\(name)")) ?? nil).map { (name, $0) }
        }
        return functions.flatMap { function -> [Disk] in
            let heads = multipathHeads(function.address)
            return paths.compactMap { name, path in
                let parts = path.split(separator: "/").map(String.init)
                guard parts.contains("\(function.address)") || !heads.isDisjoint(with: parts) else { return nil }
                return Disk(
                    function: function.address, nodes: nodes(of: name, parts),
                    holders: holders(of: name, mounts: mounts, swaps: swaps))
            }
        }
    }

    /// The nodes through which a disk is reached: its own, the generic one beside it, and its controller's.
    private func nodes(of name: String, _ parts: [String]) -> [String] {
        guard name.hasPrefix("nvme") else { return ["/dev/\(name)"] }
        let controller = parts.first { $0.hasPrefix("nvme") && Int($0.dropFirst(4)) != nil }
        return ["/dev/\(name)", "/dev/ng\(name.dropFirst(4))"] + (controller.map { ["/dev/\($0)"] } ?? [])
    }

    /// Who has a function's disks to itself: file systems that are mounted only in another mount namespace, members of
    /// pools. The kernel tells by refusing to open the disk exclusively, and does not tell who it is.
    func exclusiveHolders(of function: PCIFunction, _ kernel: any HostKernel) -> [Holder] {
        guard function.classCode.isStorage else { return [] }
        // Only a block device can be had exclusively; its first node is that.
        return disks(of: [function]).filter(\.holders.isEmpty).compactMap(\.nodes.first)
            .filter { kernel.isExclusivelyOpen(node: $0) == true }
            .map { Holder(.volume("something that the kernel does not name"), through: $0) }
    }

    /// With NVMe multipath, `nvme0c0n1` below the controller is one path to the disk `nvme0n1` of a subsystem.
    private func multipathHeads(_ address: PCIAddress) -> Set<String> {
        let folder = PCIReader.path(address) + "/nvme"
        var heads: Set<String> = []
        for controller in ((try? files.entries(folder)) ?? nil) ?? [] {
            for name in ((try? files.entries("\(folder)/\(controller)")) ?? nil) ?? [] where name.hasPrefix("nvme") {
                let parts = name.dropFirst(4).split(separator: "c")
                guard parts.count == 2, let namespace = parts[1].split(separator: "n").last else { continue }
                heads.insert("nvme\(parts[0])n\(namespace)")
            }
        }
        return heads
    }

    private func holders(of name: String, mounts: [String: [String]], swaps: String) -> [Holder] {
        let folder = "/sys/class/block/\(name)"
        var holders: [Holder] = []
        if let number = (try? files.text(folder + "/dev")) ?? nil {
            // btrfs and others mount under a device number of their own, but name their device.
            let points = Set((mounts[number] ?? []) + (mounts["/dev/\(name)"] ?? []))
            holders += points.sorted().map { Holder(.mount($0), through: name) }
        }
        for upper in ((try? files.entries(folder + "/holders")) ?? nil) ?? [] {
            holders.append(Holder(.volume(upper), through: name))
        }
        if swaps.split(separator: "\n").contains(where: {
            $0.hasPrefix("/dev/\(name) ") || $0.hasPrefix("/dev/\(name)\t")
        }) {
            holders.append(Holder(.volume("swap"), through: name))
        }
        return holders
    }

    /// Mount points by device number, `259:0`, and by source, `/dev/nvme0n1`, from the mount namespaces of this process and
    /// of the first one: a service may have been given one of its own, in which some are hidden.
    private func mountPoints() -> [String: [String]] {
        var points: [String: [String]] = [:]
        let texts = ["/proc/self/mountinfo", "/proc/1/mountinfo"].compactMap { (try? files.wholeText($0)) ?? nil }
        for line in Set(texts.flatMap { $0.split(separator: "\n") }) {
            let words = line.split(separator: " ")
            guard words.count > 4 else { continue }
            points[String(words[2]), default: []].append(String(words[4]))
            if let separator = words.firstIndex(of: "-"), words.count > separator + 2 {
                points[String(words[separator + 2]), default: []].append(String(words[4]))
            }
        }
        return points
    }
}
