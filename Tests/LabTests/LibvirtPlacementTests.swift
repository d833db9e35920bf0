import AgentAPI
import Glibc
import PCI
import SRIOV
import Testing

extension LabSuite {
    @Suite(
        "What virtual machines get at their start", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct LibvirtPlacementTests {
        init() throws { try Lab.reset() }

        /// Two VFs of each of two ports; ens10 is of node 0, ens12 of node 1.
        private static let hostFile = """
            physicalFunctions:
              - { match: { netdev: ens10 }, virtualFunctions: 2, driver: vfio-pci }
              - { match: { netdev: ens12 }, virtualFunctions: 2, driver: vfio-pci }
            pools:
              tenant:
                for: libvirt
                functions: [{ match: { numaNode: 0 } }, { match: { numaNode: 1 } }]
            """

        private func ports(_ libvirt: LibvirtFixture, _ name: String) throws -> [String] {
            try libvirt.domain(name).interfaces.compactMap { $0.name.map { String($0.prefix(5)) } }.sorted()
        }

        /// Leases functions of ports until only the wanted number of each is free.
        private func occupy(_ libvirt: LibvirtFixture, leaving free: [String: Int]) throws {
            let pool: PoolView = try libvirt.agent.client().get("/v1/pools/tenant")
            var left = free
            for member in pool.functions.reversed() {
                let port = String(member.name.prefix(5))
                if let count = left[port], count > 0 {
                    left[port] = count - 1
                    continue
                }
                try libvirt.sluice("lease", "acquire", "--function", member.address, "--for", "person:test")
            }
        }

        @Test("VFs are of the machine's NUMA node, though libvirt's list begins with those of another")
        func node() throws {
            let libvirt = try LibvirtFixture(Self.hostFile)
            try libvirt.sluice("network", "sync")
            try libvirt.define("pinned", extra: "<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>")
            try libvirt.sluice("vm", "attach", "pinned", "--pool", "tenant", "--count", "2")
            try libvirt.virsh("start", "pinned")
            #expect(try ports(libvirt, "pinned") == ["ens12", "ens12"])
            #expect(try libvirt.domain("pinned").fitsNUMA == true)
            // What was kept from libvirt for that is given back.
            try Lab.wait(for: "only the machine's ports to be left") {
                try libvirt.virsh("net-port-list", "tenant").split(separator: "\n").count == 2
            }
        }

        @Test("VFs that were attached with --spread pf are of different ports, however the others are used")
        func spread() throws {
            let libvirt = try LibvirtFixture(Self.hostFile)
            try libvirt.sluice("network", "sync")
            try libvirt.define("bond")
            try libvirt.sluice("vm", "attach", "bond", "--pool", "tenant", "--count", "2", "--spread", "pf")
            // Free are both of ens10 and the last of ens12, which comes last in libvirt's list.
            try occupy(libvirt, leaving: ["ens10": 2, "ens12": 1])
            try libvirt.virsh("start", "bond")
            #expect(try ports(libvirt, "bond") == ["ens10", "ens12"])
            try libvirt.virsh("destroy", "bond")
            try libvirt.sluice(
                "lease", "acquire", "--function",
                try #require(try Lab.host().functions.first { $0.name == "ens12 vf 1" })
                    .pci.address.description, "--for", "person:test")
            let refused = try libvirt.tryVirsh("start", "bond")
            #expect(refused.status != 0 && refused.error.contains("same physical function as ens10"), "\(refused)")
            #expect(try libvirt.free() == 2)
        }

        @Test("Machines that start at the same time each get one VF of each port")
        func together() throws {
            let libvirt = try LibvirtFixture(Self.hostFile)
            try libvirt.sluice("network", "sync")
            for name in ["a", "b"] {
                try libvirt.define(name)
                try libvirt.sluice("vm", "attach", name, "--pool", "tenant", "--count", "2", "--spread", "pf")
            }
            let starts = try ["a", "b"].map { try Command(["virsh", "-q", "start", $0]) }
            for start in starts {
                let result = try start.finish()
                #expect(result.status == 0, "\(result)")
            }
            for name in ["a", "b"] { #expect(try ports(libvirt, name) == ["ens10", "ens12"]) }
            #expect(Set(try libvirt.agent.leases().map(\.address)).count == 4)
        }

        @Test("Two daemons are followed; each domain is asked for where it is")
        func daemons() throws {
            let libvirt = try LibvirtFixture(
                Self.hostFile, arguments: ["--libvirt", "qemu:///system", "--libvirt", "test:///default"])
            try libvirt.define("guest")
            let names = try libvirt.sluice("vm", "list", "-o", "name").split(separator: "\n").map(String.init)
            // libvirt's own test driver begins with a domain that is called test.
            #expect(names.sorted() == ["guest", "test"])
            #expect(try libvirt.domain("test").isActive)
            try libvirt.sluice("network", "sync")
            try libvirt.sluice("vm", "attach", "guest", "--pool", "tenant")
            try libvirt.virsh("start", "guest")
            #expect(try libvirt.domain("guest").interfaces.first?.lease != nil)
        }
    }
}
