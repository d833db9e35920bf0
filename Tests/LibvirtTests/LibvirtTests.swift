import HostFile
import Leasing
import Libvirt
import PCI
import SRIOV
import SluiceTesting
import Testing

@Suite("XML documents")
struct XMLTests {
    static let documents = [
        // A domain as libvirt writes it, with what we know nothing of: another's name space, comments, CDATA, entities.
        """
        <domain type='kvm' xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">
          <name>a &amp; b</name>
          <!-- kept -->
          <metadata><app:x xmlns:app="urn:app" app:k="&lt;1&gt;"><![CDATA[<raw>]]></app:x></metadata>
          <devices><interface type="hostdev" managed="yes"><mac address="52:54:00:00:00:01"/></interface></devices>
          <qemu:commandline><qemu:arg value="-s"/></qemu:commandline>
        </domain>
        """,
        "<network connections='1'><name>n</name><forward mode='hostdev' managed='yes'><pf dev='eno49'/></forward></network>",
        "<a><?target text?><b>Ä €</b>\n<c x='\"'/></a>",
    ]

    @Test("What is read and written again is the same document", arguments: documents)
    func roundTrip(text: String) throws {
        let element = try XMLElement(parsing: text)
        let written = try element.document()
        #expect(try XMLElement(parsing: written) == element)
        #expect(try XMLElement(parsing: written).document() == written)
        for part in ["urn:app", "-s", "kept", "<raw>", "eno49", "Ä €"] where text.contains(part) {
            #expect(written.contains(part), "\(part) is lost in \(written)")
        }
    }

    @Test(
        "Anything else is refused",
        arguments: [
            "", "x", "<a>", "<a/><b/>", "<a b=1/>", "<a>&x;</a>",
            "<!DOCTYPE a [<!ENTITY x SYSTEM '/etc/passwd'>]><a>&x;</a>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", String(repeating: "<a>", count: 5000),
        ])
    func malformed(text: String) {
        do throws(LibvirtError) {
            _ = try XMLElement(parsing: text)
            Issue.record("it was taken")
        } catch {
            #expect(error.code == .malformed)
        }
    }

    @Test("What a domain has is read from what libvirt tells and from its own records, which differ")
    func functions() throws {
        let document = """
            <domain type='kvm'><name>a</name><devices>
            <interface type='network'><source network='tenant' portid='0e85d665-918c-41f1-8a0c-601ddb740901'/>
            <actual type='hostdev' managed='yes'><driver name='vfio'/><source>
            <address type='pci' domain='0x0000' bus='0x41' slot='0x10' function='0x0'/></source></actual>
            <address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x0'/></interface>
            <interface type='hostdev' managed='yes'><source>
            <address type='pci' domain='0x0000' bus='0x41' slot='0x10' function='0x4'/></source></interface>
            <interface type='network'><source network='default'/><actual type='bridge'><source bridge='virbr0'/></actual>
            <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/></interface>
            <hostdev mode='subsystem' type='pci'><source>
            <address domain='0x0000' bus='0x42' slot='0x00' function='0x1'/></source></hostdev></devices></domain>
            """
        let functions = try DomainDescription(parsing: document).functions.map(\.description)
        #expect(functions == ["0000:41:10.0", "0000:41:10.4", "0000:42:00.1"])
    }

    @Test("Changing one element leaves the others as they are")
    func change() throws {
        var network = try NetworkDescription(parsing: Self.documents[1])
        let address = try #require(PCIAddress("0000:41:10.2"))
        network.addresses = [address]
        network.pool = "tenant"
        network.vlan = 42
        let again = try NetworkDescription(parsing: network.element.document())
        #expect(again.addresses == [address] && again.pool == "tenant" && again.vlan == 42 && again.port == nil)
        #expect(again.element["connections"] == "1" && again.element.first("forward")?["managed"] == "yes")
        network.vlan = nil
        network.pool = nil
        #expect(network.vlan == nil && network.pool == nil)
    }

    @Test("An address is read as libvirt writes it, in all its notations, and only then")
    func addresses() throws {
        let address = try #require(PCIAddress("0000:41:1f.7"))
        #expect(PCIAddress(address.element) == address)
        #expect(PCIAddress(XMLElement("address", ["bus": "65", "slot": "31", "function": "7"])) == address)
        for bad in [
            XMLElement("address", ["bus": "0x100", "slot": "0", "function": "0"]),
            XMLElement("address", ["bus": "0", "slot": "32", "function": "0"]),
            XMLElement("address", ["bus": "0", "slot": "0", "function": "8"]),
            XMLElement("address", ["bus": "", "slot": "0", "function": "0"]),
            XMLElement("address", ["slot": "0", "function": "0"]),
        ] { #expect(PCIAddress(bad) == nil) }
    }
}

@Suite("Hot-plug ports")
struct HotplugPortsTests {
    private func domain(machine: String = "pc-q35-10.0", _ devices: String) throws -> DomainDescription {
        try DomainDescription(
            parsing: """
                <domain type='kvm'><name>d</name><uuid>AA</uuid><os><type machine='\(machine)'>hvm</type></os>
                <devices>\(devices)</devices></domain>
                """)
    }

    private func port(_ index: Int) -> String { "<controller type='pci' index='\(index)' model='pcie-root-port'/>" }

    @Test("A port is free when nothing is on its bus, whatever kind of device that is")
    func count() throws {
        let description = try domain(
            "<controller type='pci' index='0' model='pcie-root'/>" + port(1) + port(2) + port(3)
                + """
                <interface type='network'><address type='pci' bus='0x01' slot='0x00' function='0x0'/></interface>
                <controller type='usb'><address type='pci' bus='0x03' slot='0x00' function='0x0'/></controller>
                """)
        #expect(HotplugPorts(description).total == 3 && HotplugPorts(description).free == 1)
        let added = HotplugPorts.missing(for: 3, in: description)
        #expect(added.map { $0["index"] } == ["4", "5"], "above all that there are")
        #expect(HotplugPorts.missing(for: 1, in: description).isEmpty)
    }

    @Test("A conventional bus has 31 places, and nothing to add")
    func conventional() throws {
        let description = try domain(
            machine: "pc-i440fx-10.0",
            "<controller type='pci' index='0' model='pci-root'/>"
                + "<interface type='network'><address type='pci' bus='0x00' slot='0x03' function='0x0'/></interface>")
        #expect(HotplugPorts(description).free == 30)
        #expect(HotplugPorts.missing(for: 40, in: description).isEmpty)
    }
}

@Suite("A pool's network")
struct PoolNetworkTests {
    private func pools(_ pool: String) throws -> PoolSet {
        let declared = try HostFile.parse(
            """
            physicalFunctions:
              - { match: { netdev: ens10 }, virtualFunctions: 2, driver: vfio-pci }
              - { match: { netdev: ens11 }, virtualFunctions: 2, driver: vfio-pci }
            pools:
              tenant:
            \(pool)
            """, file: "host.yaml")
        let kernel = FakeKernel.lab()
        for port in ["0000:41:00.0", "0000:42:00.0"] {
            let request = WriteRequest(
                path: "/sys/bus/pci/devices/\(port)/sriov_numvfs", value: "2", operation: "make VFs")
            try #require(kernel.writer.write([request], deadline: .seconds(1)) == [nil])
        }
        let host = try HostReader(kernel: kernel).read()
        return PoolSet(declared, host: host, files: kernel.files, knownSerials: [:])
    }

    private static let both = "    functions: [{ physicalFunction: ens10 }, { physicalFunction: ens11 }]"

    private func network(_ text: String, isAutostarted: Bool = true, isActive: Bool = true) throws -> Network {
        let description = try NetworkDescription(parsing: text)
        return Network(config: description, live: isActive ? description : nil, isAutostarted: isAutostarted)
    }

    @Test("Only pools for libvirt become networks")
    func purpose() throws {
        #expect(PoolNetwork.all(of: try pools(Self.both), among: []).isEmpty)
    }

    @Test("Spread over the ports the first VF of each comes first; packed, those of a port stand together")
    func order() throws {
        let spread = PoolNetwork.all(of: try pools("    for: libvirt\n" + Self.both), among: [])
        #expect(spread.map(\.action) == [.create])
        let ports = spread[0].description.addresses.map(\.bus)
        #expect(ports == [0x41, 0x42, 0x41, 0x42])
        let packed = PoolNetwork.all(
            of: try pools("    for: libvirt\n    placement: { spread: pack }\n" + Self.both), among: [])
        #expect(packed[0].description.addresses.map(\.bus) == [0x41, 0x41, 0x42, 0x42])
    }

    @Test("A network that is as it should be is kept; one whose VFs are others is updated and started anew")
    func update() throws {
        let pools = try pools("    for: libvirt\n    settings: { vlan: { id: 42 } }\n" + Self.both)
        let wanted = try #require(PoolNetwork.all(of: pools, among: []).first).description
        let same = Network(config: wanted, live: wanted, isAutostarted: true)
        #expect(PoolNetwork.all(of: pools, among: [same]).map(\.action) == [.keep])
        let stopped = Network(config: wanted, live: nil, isAutostarted: true)
        #expect(PoolNetwork.all(of: pools, among: [stopped]).map(\.action) == [.start])
        var old = wanted
        old.addresses.removeLast()
        let changed = PoolNetwork.all(of: pools, among: [Network(config: old, live: old, isAutostarted: true)])
        #expect(changed.map(\.action) == [.update] && changed[0].needsRestart)
        #expect(changed[0].description.addresses == wanted.addresses)
    }

    @Test(
        "A network made by hand for the pool's only port is taken over with its name; beside a larger pool it is a rival"
    )
    func adoption() throws {
        let seed = try network(
            """
            <network><name>ens10-sr-iov</name><uuid>11111111-2222-4333-8444-555555555555</uuid>
            <forward mode='hostdev' managed='yes'><driver name='vfio'/><pf dev='ens10'/></forward></network>
            """)
        let single = try pools("    for: libvirt\n    functions: [{ physicalFunction: ens10 }]")
        let adopted = try #require(PoolNetwork.all(of: single, among: [seed]).first)
        #expect(adopted.action == .adopt && adopted.needsRestart && adopted.rivals.isEmpty)
        #expect(adopted.description.name == "ens10-sr-iov" && adopted.description.pool == "tenant")
        #expect(adopted.description.element.first("uuid")?.text == "11111111-2222-4333-8444-555555555555")
        #expect(adopted.description.addresses.count == 2 && adopted.description.port == nil)
        let larger = try #require(
            PoolNetwork.all(of: try pools("    for: libvirt\n" + Self.both), among: [seed]).first)
        #expect(larger.action == .create && larger.rivals == ["ens10-sr-iov"])
    }
}

@Suite("What hooks are told")
struct HookCallTests {
    @Test("A port's function, MAC address, VLAN and owner are read; our own ports are known")
    func port() throws {
        let text = """
            <hookData><network><name>tenant</name></network><networkport><uuid>1</uuid>
            <owner><name>vm1</name><uuid>95E6A5C8-99f0-445f-aaa5-8fd306b775c3</uuid></owner>
            <mac address='52:54:00:aa:00:01'/><vlan><tag id='42'/></vlan>
            <plug type='hostdev-pci' managed='yes'><driver name='vfio'/>
            <address domain='0x0000' bus='0x41' slot='0x10' function='0x0'/></plug></networkport></hookData>
            """
        guard
            case .portCreated(let port, let network) = try HookCall(
                kind: "network", operation: "port-created", document: text)
        else {
            Issue.record("not a port")
            return
        }
        #expect(network == "tenant" && port.address == PCIAddress("0000:41:10.0") && port.vlan == 42)
        #expect(port.ownerUUID == "95e6a5c8-99f0-445f-aaa5-8fd306b775c3" && !port.isOurs)
        let own = NetworkPort(keeping: try #require(PCIAddress("0000:41:10.0")))
        #expect(try NetworkPort(parsing: own.element.document()).isOurs)
        #expect(own.uuid.utf8.count == 36)
        #expect(own.uuid != NetworkPort(keeping: try #require(PCIAddress("0000:41:10.2"))).uuid)
    }

    @Test("What is not a hook's document is refused; what does not concern us is not read")
    func malformed() throws {
        #expect(throws: LibvirtError.self) {
            try HookCall(kind: "network", operation: "port-created", document: "<network/>")
        }
        #expect(throws: LibvirtError.self) { try HookCall(kind: "qemu", operation: "prepare", document: "<a/>") }
        #expect(throws: LibvirtError.self) { try HookCall(kind: "lxc", operation: "start", document: "<a/>") }
        #expect(try HookCall(kind: "qemu", operation: "migrate", document: "") == .other)
    }
}

@Suite("What keeps a domain from migrating")
struct MigrationTests {
    @Test("A VF without a standby and a plain device do; a VF with one does not")
    func blockers() throws {
        func domain(_ devices: String) throws -> [String] {
            try DomainDescription(
                parsing: "<domain><name>d</name><devices>\(devices)</devices></domain>"
            ).migrationBlockers(["tenant"])
        }
        let source = "<source><address domain='0x0000' bus='0x41' slot='0x10' function='0x0'/></source>"
        #expect(try domain("<interface type='bridge'/>").isEmpty)
        #expect(try domain("<interface type='hostdev'>\(source)</interface>").first?.contains("0000:41:10.0") == true)
        #expect(
            try domain(
                "<interface type='hostdev'>\(source)<teaming type='transient' persistent='ua-a'/></interface>"
            ).isEmpty)
        #expect(try domain("<hostdev mode='subsystem' type='pci'>\(source)</hostdev>").count == 1)
        #expect(try domain("<hostdev mode='subsystem' type='usb'/>").count == 1)
        // One that does not run has its interface of a network still.
        #expect(try domain("<interface type='network'><source network='tenant'/></interface>").count == 1)
        #expect(try domain("<interface type='network'><source network='default'/></interface>").isEmpty)
    }

    @Test("Amounts of memory that nobody has overflow nothing")
    func amounts() throws {
        let domain = try DomainDescription(
            parsing: "<domain><name>d</name><memory unit='GiB'>9223372036854775807</memory>"
                + "<memtune><hard_limit>-5</hard_limit></memtune></domain>")
        #expect(domain.memoryKiB == 1 << 50 && domain.memoryHardLimitKiB == 0)
    }
}
