import BootFiles
import Glibc
import HostFile
import PCI
import SRIOV
import Testing

/// A folder that looks like a host, and goes when it is not used any more.
private final class Image {
    let root: String

    init() throws {
        var template = Array("/tmp/sluice-image.XXXXXX".utf8CString)
        let path = try #require(mkdtemp(&template)).withMemoryRebound(to: CChar.self, capacity: 1) {
            String(cString: $0)
        }
        root = path
        try write("/etc/apparmor.d/abstractions/libvirt-qemu", "# libvirt's\n")
        try write("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"quiet\"\n")
        try write("/usr/sbin/update-grub", "")
        try write("/usr/lib/systemd/system/sluiced.service", "[Unit]\n")
        try write("/usr/lib/systemd/system/libvirtd.service", "[Unit]\n")
        try write("/etc/netplan/01.yaml", "network: {}\n")
        // Without a line's end, and readable for few.
        try write("/etc/apparmor.d/local/abstractions/libvirt-qemu", "/srv/** r,", mode: 0o640)
    }

    deinit { remove(root) }

    private func remove(_ path: String) {
        for name in ((try? LiveFileTree().entries(path)) ?? nil) ?? [] { remove("\(path)/\(name)") }
        if unlink(path) != 0 { rmdir(path) }
    }

    func write(_ path: String, _ text: String, mode: mode_t = 0o644) throws {
        var folder = root
        for part in path.split(separator: "/").dropLast() {
            folder += "/\(part)"
            mkdir(folder, 0o755)
        }
        let file = try #require(fopen(root + path, "w"))
        fputs(text, file)
        fclose(file)
        chmod(root + path, mode)
    }

    func text(_ path: String) throws -> String? {
        try LiveFileTree(root: root).contents(path, limit: 1 << 20).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Every file, folder and link with its permissions and content.
    func everything(_ path: String = "") throws -> [String: String] {
        var found: [String: String] = [:]
        for name in try LiveFileTree().entries(root + path) ?? [] {
            let place = "\(path)/\(name)"
            var status = stat()
            lstat(root + place, &status)
            let mode = String(status.st_mode, radix: 8)
            if let link = try LiveFileTree().link(root + place) {
                found[place] = "\(mode) → \(link)"
            } else if status.st_mode & S_IFMT == S_IFDIR {
                found[place] = mode
                found.merge(try everything(place)) { first, _ in first }
            } else {
                found[place] = "\(mode) \(try text(place) ?? "")"
            }
        }
        return found
    }
}

@Suite("Boot files come, are compared, and go without a trace")
struct InstallTests {
    private func set(_ image: Image, hostFile: String = RenderTests.hostFile) throws -> BootSet {
        let ours = try BootInstaller(root: image.root).installed()
        let system = HostSystem(
            reading: ImageFiles(root: image.root), isLive: false, ours: ours.words, skipping: ours.paths)
        #expect(system.bootLoader == .grub && system.network == .netplan && system.hasAppArmor)
        return try RenderTests.set(system, hostFile: hostFile)
    }

    private func install(_ image: Image, _ set: BootSet, forced: Bool = false) throws -> BootInstaller.Comparison {
        let installer = BootInstaller(root: image.root)
        let comparison = try installer.compare(with: set)
        for command in try installer.apply(comparison, options: .init(), isForced: forced) {
            try installer.hasRun(command)
        }
        return comparison
    }

    private func uninstall(_ image: Image, topics: Set<BootTopic> = []) throws -> BootInstaller.Comparison {
        let installer = BootInstaller(root: image.root)
        let comparison = try installer.compare(with: BootSet(), topics: topics)
        for command in try installer.apply(comparison, options: nil) { try installer.hasRun(command) }
        return comparison
    }

    @Test("After uninstall the tree is byte for byte what it was, with its permissions and folders")
    func traceless() throws {
        let image = try Image()
        let before = try image.everything()
        let first = try install(image, try set(image))
        #expect(first.changes.allSatisfy { $0.action == .add } && first.changes.count > 8)
        #expect(
            try image.text("/etc/apparmor.d/local/abstractions/libvirt-qemu")?.hasPrefix("/srv/** r,\n# BEGIN Sluice")
                == true)
        let installed = try image.everything()
        // Rendered again, with what is installed in place, nothing differs and nothing is written.
        let second = try install(image, try set(image))
        #expect(second.isDone, "\(second.changes.filter { $0.action != .keep })")
        #expect(try image.everything() == installed)
        _ = try uninstall(image)
        let after = try image.everything()
        #expect(after == before, "\(after.filter { before[$0.key] != $0.value })")
    }

    @Test("One topic goes alone, and what others have added to a shared file stays")
    func partial() throws {
        let image = try Image()
        _ = try install(image, try set(image))
        let shared = "/etc/apparmor.d/local/abstractions/libvirt-qemu"
        try image.write(shared, (try image.text(shared) ?? "") + "/opt/** r,\n", mode: 0o640)
        _ = try uninstall(image, topics: [.apparmor])
        #expect(try image.text(shared) == "/srv/** r,\n/opt/** r,\n")
        #expect(try image.text("/etc/netplan/60-sluice.yaml") != nil)
    }

    @Test("What somebody has changed is left alone and said; with force it is replaced, and a copy of it is kept")
    func foreign() throws {
        let image = try Image()
        let plan = "/etc/netplan/60-sluice.yaml"
        _ = try install(image, try set(image))
        let ours = try image.text(plan)
        try image.write(plan, "network: { version: 2 } # mine\n")
        let refused = try install(image, try set(image))
        #expect(refused.changes.first { $0.path == plan }?.action == .foreign)
        #expect(try image.text(plan) == "network: { version: 2 } # mine\n")
        // It is not taken away either.
        _ = try uninstall(image, topics: [.ports])
        #expect(try image.text(plan) == "network: { version: 2 } # mine\n")
        _ = try install(image, try set(image), forced: true)
        #expect(try image.text(plan) == ours)
        #expect(try image.text("/var/lib/sluice/boot/kept\(plan).1") == "network: { version: 2 } # mine\n")
        // A file that was there before us comes back at the end.
        let other = try Image()
        try other.write(plan, "network: { version: 2 } # theirs\n", mode: 0o600)
        let before = try other.everything()
        #expect(try install(other, try set(other)).changes.first { $0.path == plan }?.action == .foreign)
        _ = try install(other, try set(other), forced: true)
        _ = try uninstall(other)
        #expect(try other.everything() == before)
    }

    @Test("What the host file does not want any more goes with the next install")
    func obsolete() throws {
        let image = try Image()
        _ = try install(image, try set(image))
        #expect(try image.text("/etc/modprobe.d/sluice.conf") != nil)
        let smaller = try set(image, hostFile: "physicalFunctions: [{ match: { netdev: ens10 }, virtualFunctions: 2 }]")
        let comparison = try install(image, smaller)
        #expect(comparison.changes.first { $0.path == "/etc/modprobe.d/sluice.conf" }?.action == .remove)
        #expect(try image.text("/etc/modprobe.d/sluice.conf") == nil)
        #expect(comparison.followUp(changing: [.kernel]) == [["update-grub"]])
    }

    @Test("A run that was killed after its record is finished by the next; its commands are run then")
    func killed() throws {
        let image = try Image()
        let before = try image.everything()
        let installer = BootInstaller(root: image.root)
        let comparison = try installer.compare(with: try set(image))
        let commands = try installer.apply(comparison, options: .init())
        #expect(commands.contains(["update-grub"]))
        // Killed before its commands, with one file not yet written.
        unlink("\(image.root)/etc/netplan/60-sluice.yaml")
        let next = try installer.compare(with: try set(image))
        #expect(next.pending == commands && !next.isDone)
        #expect(next.changes.first { $0.path == "/etc/netplan/60-sluice.yaml" }?.action == .add)
        for command in try installer.apply(next, options: .init()) { try installer.hasRun(command) }
        #expect(try installer.compare(with: try set(image)).isDone)
        _ = try uninstall(image)
        #expect(try image.everything() == before)
    }

    @Test("Words of a command line join those of others, and only ours go")
    func words() throws {
        let image = try Image()
        unlink("\(image.root)/usr/sbin/update-grub")
        try image.write("/etc/kernel/cmdline", "root=/dev/vda1  quiet\n")
        let before = try image.everything()
        func set() throws -> BootSet {
            let ours = try BootInstaller(root: image.root).installed()
            return try RenderTests.set(
                HostSystem(
                    reading: ImageFiles(root: image.root), isLive: false, ours: ours.words, skipping: ours.paths))
        }
        _ = try install(image, try set())
        #expect(try image.text("/etc/kernel/cmdline") == "root=/dev/vda1 quiet intel_iommu=on iommu=pt\n")
        #expect(try install(image, try set()).isDone)
        _ = try uninstall(image)
        #expect(try image.everything() == before)
        _ = try install(image, try set())
        try image.write("/etc/kernel/cmdline", "root=/dev/vda1 quiet intel_iommu=on iommu=pt debug\n")
        _ = try uninstall(image)
        #expect(try image.text("/etc/kernel/cmdline") == "root=/dev/vda1 quiet debug\n")
    }

    @Test("A risk that was taken away does not come back by itself")
    func wishes() throws {
        let image = try Image()
        let installer = BootInstaller(root: image.root)
        var options = BootRenderer.Options()
        options.additional = [.vfioGroup, .memlock]
        options.startsAgent = false
        let set = try RenderTests.set(HostSystem.named("ubuntu")) { $0 = options }
        _ = try installer.apply(try installer.compare(with: set), options: options)
        #expect(try installer.installedOptions()?.additional == [.vfioGroup, .memlock])
        _ = try uninstall(image, topics: [.vfioGroup])
        #expect(try installer.installedOptions()?.additional == [.memlock])
        #expect(try installer.installedOptions()?.startsAgent == false)
        _ = try uninstall(image, topics: [.functions])
        #expect(try installer.installedOptions()?.startsAgent == true)
    }

    @Test("What somebody has changed between the marks is not taken away; broken marks are told; permissions come back")
    func marks() throws {
        let image = try Image()
        let shared = "/etc/apparmor.d/local/abstractions/libvirt-qemu"
        _ = try install(image, try set(image))
        let ours = try image.text(shared) ?? ""
        try image.write(shared, ours.replacing("/dev/vfio/[0-9]* rw,", with: "/dev/vfio/* rw,"), mode: 0o640)
        #expect(try uninstall(image, topics: [.apparmor]).changes.first?.action == .foreign)
        #expect(try image.text(shared)?.contains("/dev/vfio/* rw,") == true)
        try image.write(shared, ours.replacing("# END Sluice\n", with: "/opt/** r,\n"), mode: 0o640)
        #expect(try install(image, try set(image)).changes.first { $0.path == shared }?.action == .foreign)
        #expect(try uninstall(image, topics: [.apparmor]).changes.first?.action == .foreign)
        #expect(try image.text(shared)?.contains("/opt/** r,") == true)
        let script = "/usr/local/libexec/sluice-take-device"
        chmod(image.root + script, 0o644)
        #expect(try install(image, try set(image)).changes.first { $0.path == script }?.action == .update)
        #expect(access(image.root + script, X_OK) == 0)
    }

    @Test("A link of an image that points out of it leads to a place within it")
    func contained() throws {
        let image = try Image()
        let outside = try Image()
        let before = try outside.everything()
        rename("\(image.root)/etc/netplan", "\(image.root)/etc/plans")
        // An absolute link, as the image's own root would follow it, and one that climbs.
        symlink("\(outside.root)/etc/netplan", "\(image.root)/etc/netplan")
        symlink("../../../../../../../..\(outside.root)/etc", "\(image.root)/etc/udev")
        do {
            _ = try install(image, try RenderTests.set(HostSystem.named("ubuntu")))
            Issue.record("it has written somewhere")
        } catch let error as SRIOVError {
            #expect(error.code == .bootFile)
        }
        #expect(try outside.everything() == before)
    }
}

@Suite("Differences of texts")
struct LineDiffTests {
    @Test("They are those of diff -u")
    func unified() {
        let before = (1...12).map { "line \($0)\n" }.joined()
        let after = before.replacing("line 2\n", with: "line two\n").replacing("line 11\n", with: "") + "line 13\n"
        #expect(
            LineDiff.lines(before, after).joined(separator: "\n") == """
                @@ -1,5 +1,5 @@
                 line 1
                -line 2
                +line two
                 line 3
                 line 4
                 line 5
                @@ -8,5 +8,5 @@
                 line 8
                 line 9
                 line 10
                -line 11
                 line 12
                +line 13
                """)
        #expect(LineDiff.lines("", "a\nb\n") == ["@@ -0,0 +1,2 @@", "+a", "+b"])
        #expect(LineDiff.lines("a\n", "") == ["@@ -1,1 +0,0 @@", "-a"])
        #expect(LineDiff.lines("a\n", "a\n").isEmpty)
        #expect(LineDiff.lines("a", "a\n") == ["@@ -1,2 +1,1 @@", " a", "-\\ No newline at end of file"])
    }
}
