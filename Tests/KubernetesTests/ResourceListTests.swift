import KubeletAPI
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

@testable import Kubernetes
@testable import Leasing

@Suite("The list of resources that sriov-network-device-plugin has")
struct ResourceListTests {
    /// The lab's four ports with two VFs each, the last one's in a pool.
    private func pools() throws -> PoolSet {
        let ports = ["ens10", "ens11", "ens12", "ens13"]
        let text =
            "physicalFunctions:\n"
            + ports.map { "  - { match: { netdev: \($0) }, virtualFunctions: 2, driver: kernel }\n" }.joined()
            + "pools: { held: { functions: [{ physicalFunction: ens13 }] } }\n"
        return try PoolSet.lab(text, virtualFunctions: 2, ports: 4)
    }

    private func list(_ resources: String) throws -> ResourceList {
        try ResourceList("{\"resourceList\":[\(resources)]}", prefix: "intel.com")
    }

    /// What is known of the lab beside its functions.
    private func facts(
        _ list: ResourceList, _ files: any FileTree, _ firmware: FirmwareFacts? = nil
    ) throws -> NodeFacts {
        NodeFacts(
            of: try HostReader(kernel: FakeKernel.lab()).read(), for: list, files: files, firmware: firmware)
    }

    /// The VFs that a selector has, by name.
    private func selected(_ selectors: String, _ members: String = "") throws -> [String] {
        let list = try list("{\"resourceName\":\"r\"\(members),\"selectors\":\(selectors)}")
        let (resources, _) = try NodeResources.all(
            of: try pools(), and: list, leases: [], on: facts(list, FakeKernel.lab().files))
        return resources.flatMap(\.members).map(\.function.name)
    }

    @Test(
        "Each selector selects what it means, in one object or a list of some",
        arguments: [
            ("{}", 6), (#"{"vendors":["8086"],"devices":["10ca"],"drivers":["igbvf"]}"#, 6),
            (#"{"vendors":["15b3"]}"#, 0),
            (#"{"Vendors":["8086"],"DEVICES":["10CA"]}"#, 6), (#"{"devices":["0x10ca"]}"#, 6),
            (#"{"devices":["10c9"]}"#, 0),
            (#"{"devices":["xyz"]}"#, 0), (#"{"vendors":[]}"#, 6), (#"{"drivers":["vfio-pci"]}"#, 0),
            (#"{"pfNames":["ens10"]}"#, 2), (#"{"pfNames":["ENS10","ens12#1"]}"#, 3),
            // Those after the first of a port count as well, and what is malformed selects nothing.
            (#"{"pfNames":["ens10#0","ens10#1"]}"#, 2), (#"{"pfNames":["ens10#0-1"]}"#, 2),
            (#"{"pfNames":["ens10#x"]}"#, 0),
            (#"{"pfNames":["ens10#1-0"]}"#, 0), (#"{"pfNames":["ens10#5"]}"#, 0), (#"{"pfNames":["ens13"]}"#, 0),
            (#"[{"pfNames":["ens10#0"]},{"pfNames":["ens11#1"]}]"#, 2), (#"{"linkTypes":["ether"]}"#, 6),
            (#"{"linkTypes":["infiniband"]}"#, 0), (#"{"isRdma":true}"#, 0), (#"{"pKeys":["0xffff"]}"#, 0),
            (#"{"acpiIndexes":["1"]}"#, 0), (#"{"ddpProfiles":["GTP"]}"#, 0),
            (#"{"needVhostNet":true}"#, 6), (#"{"pciAddresses":["nonsense"]}"#, 0),
        ])
    func selectors(_ selectors: String, _ count: Int) throws {
        #expect(try selected(selectors).count == count, "\(selectors)")
    }

    @Test("VFs are selected by their address and by their port's")
    func addresses() throws {
        let members = try pools().others
        let member = try #require(members.first)
        let port = try #require(member.port?.pci.address)
        #expect(try selected("{\"pciAddresses\":[\"\(member.function.pci.address)\"]}") == [member.function.name])
        #expect(try selected("{\"rootDevices\":[\"\(port)#1\"]}") == ["ens10 vf 1"])
        #expect(try selected("{\"rootDevices\":[\"\(port)\"]}").count == 2)
    }

    @Test("VFs are selected by the package that they have loaded, or their port has; each is asked for it once")
    func packages() async throws {
        let (kernel, members) = (FakeKernel.lab(), try pools().others)
        let firmware = FirmwareFacts(kernel: kernel, files: kernel.files)
        kernel.load("GTP", into: try #require(members[0].port).pci.address)
        kernel.load("COMMS", into: members[1].function.pci.address)
        let list = try list(
            #"{"resourceName":"a","selectors":{"ddpProfiles":["COMMS","OS"]}},{"resourceName":"b","selectors":{"ddpProfiles":["GTP"]}}"#
        )
        func counts() throws -> [Int] {
            try NodeResources.all(
                of: pools(), and: list, leases: [], on: facts(list, kernel.files, firmware)
            )
            .resources.map(\.members.count)
        }
        #expect(list.findings.isEmpty && list.firmwareQuestions == [.package])
        #expect(try counts() == [0, 0])
        #expect(await firmware.read([.package], of: members))
        #expect(try counts() == [1, 1])
        let asked = kernel.messages
        #expect(await firmware.read([.package], of: members) == false && kernel.messages == asked)
        // A VF that is removed and made anew is another one.
        _ = await firmware.read([.package], of: Array(members.dropFirst(2)))
        kernel.load("OS", into: members[0].function.pci.address)
        #expect(await firmware.read([.package], of: members))
        #expect(try counts() == [2, 0])
    }

    @Test("A function is selected by how its vDPA device is used", arguments: ["vhost", "virtio", "blue"])
    func vdpa(_ type: String) throws {
        let members = try pools().others
        let list = try list(#"{"resourceName":"a","selectors":{"vdpaType":"\#(type)"}},{"resourceName":"rest"}"#)
        var files = Files(folders: ["/sys/bus/vdpa/devices": ["one", "two", "none", "far"]])
        for (index, (name, driver)) in [("one", "vhost_vdpa"), ("two", "virtio_vdpa"), ("none", nil)].enumerated() {
            let device = "/sys/bus/vdpa/devices/\(name)"
            files.links[device] = "../../../devices/pci0000:40/0000:40:00.0/\(members[index].id)/\(name)"
            files.links["\(device)/driver"] = driver.map { "../../bus/vdpa/drivers/\($0)" }
            if driver == "vhost_vdpa" { files.folders[device] = ["driver", "vhost-vdpa-3"] }
        }
        // Of a subfunction it is none of its function's.
        files.links["/sys/bus/vdpa/devices/far"] = "../../../devices/pci0000:40/\(members[3].id)/mlx5_core.sf.2/far"
        let resources = try NodeResources.all(of: pools(), and: list, leases: [], on: facts(list, files)).resources
        let selected = ["vhost": [members[0].id], "virtio": [members[1].id]][type] ?? []
        #expect(resources.map(\.ids) == [selected, members.map(\.id).filter { !selected.contains($0) }])
        let nodes = try selected.map { try resources[0].nodes(of: $0, files: files) }
        #expect(nodes.map(\.vdpa?.node) == (type == "vhost" ? ["/dev/vhost-vdpa-3"] : selected.map { _ in nil }))
        #expect(nodes.map(\.vdpa?.name) == (type == "vhost" ? ["one"] : selected.map { _ in "two" }))
    }

    @Test(
        "Subfunctions are selected by what they are of, and by their numbers; other parts of functions are none",
        arguments: [
            ("", ["m.sf.2", "m.sf.3", "m.sf.4"]), (#","pfNames":["ens10"]"#, ["m.sf.2", "m.sf.3"]),
            (#","pfNames":["ENS10#7"]"#, ["m.sf.2"]), (#","pfNames":["ens10#8-9"]"#, ["m.sf.3"]),
            (#","vendors":["8086"],"devices":["10c9"],"drivers":["igb"]"#, ["m.sf.2", "m.sf.3", "m.sf.4"]),
            (#","devices":["10ca"]"#, []), (#","linkTypes":["ether"]"#, ["m.sf.2", "m.sf.3", "m.sf.4"]),
            (#","linkTypes":["infiniband"]"#, []), (#","isRdma":true"#, ["m.sf.4"]),
        ])
    func subfunctions(_ selectors: String, _ names: [String]) throws {
        let kernel = FakeKernel.lab()
        for port in try HostReader(kernel: kernel).read().physicalFunctions {
            try kernel.setUp(true, link: try #require(port.link?.index))
        }
        let host = try HostReader(kernel: kernel).read()
        var files = Files(folders: [
            "/sys/bus/auxiliary/devices": ["m.sf.2", "m.sf.3", "m.eth.0", "m.sf.4", "m.sf.x", "sf"],
            "/sys/bus/auxiliary/devices/m.sf.4/infiniband": ["mlx5_4"],
            "/sys/bus/auxiliary/devices/m.sf.4/infiniband_verbs": ["uverbs4"],
        ])
        for (name, port, number) in [("m.sf.2", 0, "7"), ("m.sf.3", 0, "8"), ("m.sf.4", 2, nil), ("m.eth.0", 0, nil)] {
            let device = "/sys/bus/auxiliary/devices/\(name)"
            files.links[device] = "../../../devices/pci0000:40/\(host.physicalFunctions[port].pci.address)/\(name)"
            files.texts["\(device)/sfnum"] = number
            if name != "m.sf.3" { files.links["\(device)/driver"] = "../../bus/auxiliary/drivers/m.sf" }
        }
        let list = try list(
            #"{"resourceName":"r","deviceType":"auxNetDevice","selectors":{"auxTypes":["sf"]\#(selectors)}}"#)
        #expect(list.findings.isEmpty, "\(list.findings)")
        let node = NodeFacts(of: host, for: list, files: files)
        var resource = try #require(
            NodeResources.all(of: try pools(), and: list, leases: [], on: node).resources.first)
        #expect(resource.ids == names)
        // What is said besides is by the address of the function that they are of.
        resource.additionalInfo = ["\(host.physicalFunctions[2].pci.address)": ["key": "value"]]
        let told = ContainerDevices(resource: resource, devices: names.map { ($0, DeviceNodes()) }).response
        let extra = (told.envs["PCIDEVICE_INTEL_COM_R_INFO"] ?? "").ranges(of: #""extraInfo":{"key":"value"}"#).count
        #expect(extra == names.count { $0 == "m.sf.4" }, "\(told.envs)")
        // One without a driver is not to be given.
        let healthy = names.filter { $0 != "m.sf.3" }
        #expect(resource.devices([:]).filter { $0.problem == nil }.map(\.id) == healthy)
        let nodes = try resource.nodes(of: "m.sf.4", files: files)
        #expect(nodes.rdmaDevice == (selectors.contains("isRdma") ? "mlx5_4" : nil))
        guard selectors.contains("isRdma") else { return }
        let specification = try CDISpecification(of: resource, files: files)
        #expect(specification.qualifiedName("m.sf.4") == "intel.com/net-sf=m.sf.4" && specification.has("m.sf.4"))
    }

    @Test("A device is the first resource's that selects it; pools of the host file keep theirs")
    func order() throws {
        let list = try list(
            #"{"resourceName":"a","selectors":{"pfNames":["ens10#0"]}},{"resourceName":"b","resourcePrefix":"example.com"}"#
        )
        let (resources, findings) = try NodeResources.all(
            of: try pools(), and: list, leases: [], on: facts(list, FakeKernel.lab().files))
        #expect(resources.map { "\($0.name) \($0.members.count)" } == ["intel.com/a 1", "example.com/b 5"])
        #expect(findings.isEmpty)
    }

    @Test("What is allocated stays with its resource, whatever its driver is meanwhile")
    func allocated() throws {
        let pools = try pools()
        let member = try #require(pools.others.first)
        var lease = Lease(
            id: "7Q4M2K", function: member.identity, address: member.function.pci.address, name: "ens10 vf 0",
            pool: nil,
            consumer: Consumer(.allocation, "intel.com/b"), time: 0)
        let list = try list(
            #"{"resourceName":"a","selectors":{"pfNames":["ens10"]}},{"resourceName":"b","selectors":{"drivers":["none"]}}"#
        )
        func counts() throws -> [Int] {
            try NodeResources.all(of: pools, and: list, leases: [lease], on: facts(list, FakeKernel.lab().files))
                .resources
                .map(\.members.count)
        }
        #expect(try counts() == [1, 1])
        // What its pods get stays what it was, whichever selector it had.
        let resource = try #require(
            NodeResources.all(of: pools, and: list, leases: [lease], on: facts(list, FakeKernel.lab().files))
                .resources.last)
        #expect(resource.onTheirWay == [member.id])
        var before = resource
        before.needs[member.id] = .init(rdma: true)
        #expect(resource.following(before).needs[member.id] == .init(rdma: true))
        var matched = resource
        matched.onTheirWay = []
        #expect(matched.following(before).needs[member.id] == .init())
        lease.returnsTo = lease.consumer
        lease.consumer = Consumer(.namespace, "/run/netns/a", generation: 1)
        #expect(try counts() == [1, 1])
    }

    @Test("Everything beside the selectors is taken over")
    func members() throws {
        let list = try list(
            #"""
            {"resourceName":"sriov_net","resourcePrefix":"example.com","deviceType":"netDevice","excludeTopology":true,
             "selectors":{"isRdma":true,"needVhostNet":true},
             "additionalInfo":{"*":{"token":"a"},"0000:41:10.0":{"token":"b"}}}
            """#)
        let entry = try #require(list.resources.first)
        let members = Array(try pools().others.prefix(2))
        // What containers get besides is the selector's that has selected the function.
        let resource = NodeResource(entry, [(members[0], entry.selectors.first), (members[1], nil)])
        #expect("\(resource.name)" == "example.com/sriov_net" && !resource.hasTopology)
        #expect(resource.needs == [members[0].id: .init(rdma: true, vhostNet: true)])
        #expect(resource.additionalInfo["*"] == ["token": "a"] && list.findings.isEmpty)
    }

    @Test(
        "What is wrong is told with its place, and costs no other resource",
        arguments: [
            (#"{"resourceName":"a","selector":{}}"#, "resourceList[0]: \"selector\" is no key", 2),
            (#"{"resourceName":"a","selectors":{"vendor":["8086"]}}"#, "resourceList[0].selectors: \"vendor\"", 2),
            (
                #"{"resourceName":"a","deviceType":"accelerator","selectors":{"pfNames":["x"]}}"#,
                "\"pfNames\" is no key", 2
            ),
            (
                #"{"resourceName":"a","selectors":{"pfNames":["ens10#0-"]}}"#, "selectors.pfNames: \"ens10#0-\" is not",
                2
            ),
            (#"{"resourceName":"a","selectors":[{},{"linkTypes":["fc"]}]}"#, "selectors[1].linkTypes: \"fc\"", 2),
            (#"{"resourceName":"a","selectors":{"vendors":"8086"}}"#, "selectors.vendors: it is a list", 2),
            (#"{"resourceName":"a","selectors":{"vendors":[1]}}"#, "selectors.vendors[0]: it is no text", 2),
            (#"{"resourceName":"a","selectors":{"vendors":["86"]}}"#, "\"86\" is not four hexadecimal digits", 2),
            (#"{"resourceName":"a","selectors":{"isRdma":1}}"#, "selectors.isRdma: it is not true or false", 2),
            (#"{"resourceName":"a","additionalInfo":{"*":{"k":1}}}"#, "additionalInfo.*.k: it is no text", 2),
            (#"{"resourceName":"a","selectors":{"vdpaType":"blue"}}"#, "\"blue\" is not vhost or virtio", 2),
            (#"{"resourceName":"a","selectors":{"vdpaType":"vhost","isRdma":true}}"#, "not by both", 1),
            (#"{"resourceName":"a","selectors":[]}"#, "the resource is left out", 1),
            (#"{"resourceName":"a","selectors":[1]}"#, "the resource is left out", 1),
            (#"{"resourceName":"a b"}"#, "no name of a resource; it is left out", 1),
            (#"{"resourceName":"a","deviceType":"auxNetDevice"}"#, "auxTypes is to be [\"sf\"]", 1),
            (
                #"{"resourceName":"a","deviceType":"auxNetDevice","selectors":{"auxTypes":["eth"]}}"#,
                "auxTypes is to be [\"sf\"]", 1
            ),
            (
                #"{"resourceName":"a","deviceType":"auxNetDevice","selectors":{"auxTypes":["sf"],"vdpaType":"vhost"}}"#,
                "\"vdpaType\" is no key of it", 2
            ),
            (
                #"{"resourceName":"a","deviceType":"auxNetDevice","selectors":{"auxTypes":["sf","eth"]}}"#,
                "selectors.auxTypes: \"eth\" is not sf", 2
            ),
            (#"{"resourceName":"a","deviceType":"disk"}"#, "deviceType \"disk\"", 1),
            (#"{"resourceName":"b"}"#, "intel.com/b is there already", 1),
            (#"7"#, "it is no object; it is left out", 1),
        ])
    func findings(_ resource: String, _ text: String, _ count: Int) throws {
        let list = try list(
            resource.contains("\"b\"") ? "{\"resourceName\":\"b\"},\(resource)" : "\(resource),{\"resourceName\":\"b\"}"
        )
        #expect(list.resources.count == count)
        let told = text.contains("left out") || list.findings.count == 1
        #expect(told && list.findings.contains { $0.contains(text) }, "\(list.findings)")
    }

    @Test(
        "What is no list is refused as a whole",
        arguments: ["", "[]", "{}", "{\"resourceList\":{}}", "{\"resourceList\":["])
    func refused(_ text: String) {
        #expect(throws: ResourceListError.self) { try ResourceList(text, prefix: "intel.com") }
    }
}
