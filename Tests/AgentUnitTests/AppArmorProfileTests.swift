import Glibc
import PCI
import Testing

@testable import Agent

@Suite struct AppArmorProfileTests {
    /// A folder with profiles, which is removed at the end.
    private final class Root {
        let path: String

        init(_ files: [String: String]) throws {
            var template = Array("/tmp/apparmor-XXXXXX".utf8CString)
            path = String(cString: try #require(mkdtemp(&template)))
            for (name, text) in files {
                var folder = path
                for part in "etc/apparmor.d/\(name)".split(separator: "/").dropLast() {
                    folder += "/\(part)"
                    mkdir(folder, 0o755)
                }
                let file = try #require(fopen("\(path)/etc/apparmor.d/\(name)", "w"))
                fputs(text, file)
                fclose(file)
            }
        }

        deinit { _ = remove(path) }

        private func remove(_ path: String) -> Bool {
            for name in ((try? LiveFileTree().entries(path)) ?? nil) ?? [] { _ = remove("\(path)/\(name)") }
            return Glibc.remove(path) == 0
        }

        func profile(_ uuid: String = "u") -> AppArmorProfile? {
            AppArmorProfile(ofDomain: uuid, files: LiveFileTree(root: path))
        }
    }

    private static let profile = """
        #include <tunables/global>
        profile libvirt-u flags=(attach_disconnected) {
          #include <abstractions/libvirt-qemu>
          #include <libvirt/libvirt-u.files>
        }
        """
    private static let abstraction = """
          /dev/vfio/vfio rw,
          /{usr/,}bin/dash rmix,
          include if exists <abstractions/libvirt-qemu.d>
          include if exists <local/abstractions/libvirt-qemu>
        """

    private static func files(_ files: String, _ others: [String: String] = [:]) -> [String: String] {
        [
            "libvirt/libvirt-u": profile, "libvirt/libvirt-u.files": files, "abstractions/libvirt-qemu": abstraction,
        ].merging(others) { $1 }
    }

    @Test("A node that the domain's own file names is allowed, another is not")
    func named() throws {
        let root = try Root(Self.files("  \"/dev/vfio/12\" rw,\n  # \"/dev/vfio/14\" rw,\n  \"/dev/vfio/15\" r,"))
        let profile = try #require(root.profile())
        #expect(profile.allows("/dev/vfio/12") && profile.allows("/dev/vfio/vfio"))
        for other in ["/dev/vfio/13", "/dev/vfio/14"] {
            #expect(!profile.allows(other) && !profile.denies(other))
        }
        #expect(root.profile("other") == nil)
    }

    @Test(
        "Patterns are understood as apparmor.d(5) has them",
        arguments: [
            ("/dev/vfio/* rw,", true), ("owner /dev/vfio/[0-9]* rw,", true), ("/dev/{vfio,kvm}/* rwk,", true),
            ("/dev/** rw,", true), ("/dev/* rw,", false), ("/dev/vfio/* rw", false), ("rw /dev/vfio/*,", true),
            ("/dev/{vfio/{vfio,[0-9]*},kvm} rw,", true), ("/dev/vfio/[a-z]* rw,", false), ("network inet,", false),
            // What is not understood may allow it.
            ("/dev/vfio/@{int} rw,", true), ("file,", true), ("allow all,", true),
            ("/dev/null rw, /dev/vfio/* rw,", true), ("priority=2 /dev/vfio/* rw,", true),
        ])
    func patterns(rule: String, isAllowed: Bool) throws {
        let root = try Root(Self.files("", ["local/abstractions/libvirt-qemu": rule]))
        #expect(try #require(root.profile()).allows("/dev/vfio/12") == isAllowed)
    }

    @Test("A rule that forbids counts more than one that allows, also out of a folder of rules")
    func denied() throws {
        let root = try Root(
            Self.files("\"/dev/vfio/12\" rw,", ["abstractions/libvirt-qemu.d/site": "audit deny /dev/vfio/[0-9]* w,"]))
        let profile = try #require(root.profile())
        #expect(!profile.allows("/dev/vfio/12") && profile.denies("/dev/vfio/12"))
        #expect(profile.allows("/dev/vfio/vfio"))
    }

    @Test("Rules of a profile within it, and files that package managers leave, do not count")
    func others() throws {
        let root = try Root(
            Self.files(
                "\"/dev/vfio/12\" rw,",
                [
                    "local/abstractions/libvirt-qemu": "profile passt {\n  deny /dev/vfio/* rw,\n}\n",
                    "abstractions/libvirt-qemu.d/site.dpkg-old": "deny /dev/vfio/* rw,",
                ]))
        let profile = try #require(root.profile())
        #expect(profile.allows("/dev/vfio/12") && !profile.allows("/dev/vfio/13"))
    }

    @Test("A profile that only complains forbids nothing, and includes that go in a circle end")
    func complaining() throws {
        let root = try Root([
            "libvirt/libvirt-u": "profile libvirt-u flags=(attach_disconnected, complain) {\n#include <a>\n}",
            "a": "#include <b>\ndeny /dev/vfio/* rw,", "b": "#include <a>",
        ])
        let profile = try #require(root.profile())
        #expect(profile.isComplaining && profile.allows("/dev/vfio/12") && !profile.denies("/dev/vfio/12"))
    }
}
