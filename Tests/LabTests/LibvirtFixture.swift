import AgentAPI
import Glibc
import Netlink
import PCI
import SRIOV
import Testing

/// A real libvirtd with Sluice's hooks, an agent, and machines that stay in their firmware.
final class LibvirtFixture {
    /// One port and one pool of it for libvirt, whose VLAN has a priority, which libvirt cannot set.
    static func hostFile(virtualFunctions count: Int = 4) -> String {
        """
        physicalFunctions:
          - { match: { netdev: ens10 }, virtualFunctions: \(count), driver: vfio-pci }
        pools:
          tenant:
            for: libvirt
            functions: [{ physicalFunction: ens10 }]
            settings: { vlan: { id: 42, qos: 3 } }
        """
    }

    let agent: AgentProcess

    init(_ hostFile: String = LibvirtFixture.hostFile(), hooks: Bool = true, arguments: [String] = []) throws {
        Self.cleanUp()
        if hooks {
            for hook in ["qemu", "network"] {
                try Lab.run([
                    "install", "-D", "-m", "755", "/run/lab/sluice-libvirt-hook",
                    "/etc/libvirt/hooks/\(hook).d/sluice",
                ])
            }
        }
        try Self.startDaemon()
        agent = try AgentProcess(hostFile, arguments: arguments)
        // A hook's call is answered whether or not the agent has a connection; what is asked of libvirt needs one.
        try Lab.wait(for: "the agent's connection to libvirt") { try Lab.sluice("vm", "list").status == 0 }
    }

    deinit { Self.cleanUp() }

    static func startDaemon() throws {
        if try Command(["pidof", "virtlogd"]).finish().status != 0 { try Lab.run(["virtlogd", "-d"]) }
        try Lab.run(["libvirtd", "-d"])
    }

    static func killDaemon() throws {
        _ = try Command(["pkill", "-9", "-x", "libvirtd"]).finish()
        try Lab.wait(for: "libvirtd's end") { try Command(["pidof", "libvirtd"]).finish().status != 0 }
    }

    /// Ends every machine and the daemon, and forgets what they had.
    private static func cleanUp() {
        _ = try? Command([
            "bash", "-c",
            """
            for name in libvirtd qemu-system-x86 virtlogd; do
                pkill -9 -x $name; while pgrep -x $name >/dev/null; do :; done
            done
            rm -rf /etc/libvirt/qemu/*.xml /etc/libvirt/qemu/networks/*.xml /etc/libvirt/qemu/networks/autostart/* \
                /run/libvirt /etc/libvirt/hooks /var/lib/libvirt/qemu/domain-* /etc/sluice/libvirt-hook
            """,
        ]).finish()
    }

    /// Runs virsh, which must succeed.
    @discardableResult
    func virsh(_ arguments: String...) throws -> String { try Lab.run(["virsh", "-q"] + arguments) }

    /// Runs virsh, and returns what it said.
    func tryVirsh(_ arguments: String...) throws -> Command.Result {
        try Command(["virsh", "-q"] + arguments).finish()
    }

    /// Defines a machine with devices.
    func define(_ name: String, _ devices: String = "", extra: String = "", firmware: String = "") throws {
        let file = try Lab.file(
            "\(name).xml",
            """
            <domain type='qemu'><name>\(name)</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>\(extra)
            <os><type arch='x86_64' machine='q35'>hvm</type>\(firmware)</os><features><acpi/></features>
            <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>\(devices)</devices></domain>
            """)
        try virsh("define", file)
    }

    /// Runs sluice, which must succeed.
    @discardableResult
    func sluice(_ arguments: String...) throws -> String {
        let result = try Command(["sluice"] + arguments).finish()
        try #require(result.status == 0, "sluice \(arguments.joined(separator: " ")): \(result.output)\(result.error)")
        return result.output
    }

    /// A machine as Sluice shows it.
    func domain(_ name: String) throws -> DomainView { try agent.client().get("/v1/domains/\(name)") }

    /// How many functions of the pool are free.
    func free() throws -> Int {
        let pool: PoolView = try agent.client().get("/v1/pools/tenant")
        return pool.free
    }

    /// What the kernel has set the port's VFs to.
    static func vfs() throws -> [VirtualFunctionSettings] {
        try Lab.host().functions.filter { $0.name.hasPrefix("ens10 vf") }.compactMap(\.settings)
    }

    /// The same without the address that libvirt or a driver leaves on a VF that had none.
    static func vfsWithoutAddresses() throws -> [VirtualFunctionSettings] {
        try vfs().map {
            var settings = $0
            settings.mac = nil
            return settings
        }
    }

    /// A VF's settings on the kernel.
    func settings(_ name: String) throws -> String {
        let function = try #require(try Lab.host().functions.first { $0.name == name })
        return "\(SettingsView(try #require(function.settings)))"
    }
}
