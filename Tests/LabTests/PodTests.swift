import AgentAPI
import Foundation
import Glibc
import Leasing
import Netlink
import PCI
import SRIOV
import Testing

extension LabSuite {
    @Suite(
        "Pods: the CNI plugin", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct PodTests {
        private static let hostFile = """
            physicalFunctions:
              - { match: { netdev: ens10 }, virtualFunctions: 4, driver: kernel }
            pools:
              pods: { for: kubernetes, functions: [{ physicalFunction: ens10 }] }
            """

        init() throws {
            try Lab.reset()
            try Lab.run(["rm", "-rf", "/tmp/cni-addresses", "/tmp/cni-plugins"])
        }

        /// The VFs of ens10 with their addresses, in order.
        private func functions() throws -> [PCIAddress] {
            let port = try #require(try Lab.host().physicalFunctions.first { $0.name == "ens10" })
            return try Lab.host().virtualFunctions(of: port.pci.address).map(\.pci.address)
        }

        private func settings(_ index: Int) throws -> VirtualFunctionSettings {
            let port = try #require(try Lab.host().physicalFunctions.first { $0.name == "ens10" }?.link?.index)
            let reports = try Lab.kernel().link(index: port, .virtualFunctions).virtualFunctions
            return try #require(reports.first { $0.index == UInt32(index) }).settings
        }

        private func leases() throws -> [LeaseView] { try AgentProcess.connect().get("/v1/leases") }

        /// Every VF is at home, with its driver, and nothing of a tenant is left.
        private func expectClean(_ location: SourceLocation = #_sourceLocation) throws {
            #expect(try leases().isEmpty, sourceLocation: location)
            try Lab.settle()
            let host = try Lab.host()
            for (index, address) in try functions().enumerated() {
                let function = try #require(host[address])
                #expect(function.pci.driver == "igbvf" && function.link != nil, "\(address)", sourceLocation: location)
                let settings = try settings(index)
                #expect(settings.vlans?.isEmpty ?? true, "\(settings)", sourceLocation: location)
                #expect(settings.spoofCheck == true && settings.trust == false, "\(settings)", sourceLocation: location)
                #expect(settings.mac.map { !"\($0)".hasPrefix("02:00:00:00:07") } ?? true, sourceLocation: location)
            }
            let names = try functions().compactMap { host[$0]?.link?.name }
            #expect(names.allSatisfy { !$0.hasPrefix("sluice") && $0 != "net1" }, "\(names)", sourceLocation: location)
        }

        @Test("Two pods reach each other through the NIC, one of another VLAN none of them; DEL leaves nothing")
        func pods() throws {
            let agent = try AgentProcess(Self.hostFile)
            try Lab.settle()
            let addresses = try functions()
            func configuration(_ index: Int, vlan: Int) throws -> String {
                try Pod.configuration([
                    "deviceID": "\(addresses[index])", "vlan": vlan, "vlanQoS": 3, "mac": "02:00:00:00:07:0\(index)",
                    "spoofchk": "on", "trust": "on",
                ])
            }
            let pods = try (0..<3).map { try Pod("pod\($0)") }
            let configurations = try [(0, 100), (1, 100), (2, 200)].map { try configuration($0, vlan: $1) }
            let replies = try zip(pods, configurations).map { try $0.add($1) }
            for (index, reply) in replies.enumerated() {
                let interface = reply.interface
                #expect(interface["name"] as? String == "net1" && interface["sandbox"] as? String == pods[index].path)
                #expect(interface["mac"] as? String == "02:00:00:00:07:0\(index)", "\(reply.text)")
                let settings = try settings(index)
                #expect(settings.mac == MACAddress("02:00:00:00:07:0\(index)") && settings.trust == true)
                #expect(settings.vlans == [VLAN(id: index == 2 ? 200 : 100, qos: 3)], "\(settings)")
                #expect(try pods[index].run("ip", "route").output.contains("10.99.0.0/16 via 10.7.0.1 dev net1"))
            }
            let second = try #require(replies[1].address?.split(separator: "/").first)
            let third = try #require(replies[2].address?.split(separator: "/").first)
            #expect(try pods[0].reaches(String(second)))
            #expect(try pods[1].reaches(String(try #require(replies[0].address?.split(separator: "/").first))))
            #expect(try !pods[0].reaches(String(third)))
            for (pod, (configuration, reply)) in zip(pods, zip(configurations, replies)) {
                let checked = try Pod.adding(reply, to: configuration)
                let reply = try pod.call("CHECK", checked)
                #expect(reply.status == 0, "\(reply)")
                #expect(try pod.call("DEL", checked).status == 0)
                // Twice is no mistake.
                #expect(try pod.call("DEL", checked).status == 0)
                #expect(try pod.run("ip", "-o", "link").output.split(separator: "\n").count == 1)
            }
            try expectClean()
            let left = try LiveFileTree().entries("/tmp/cni-addresses/tenants") ?? []
            #expect(left.filter { $0.hasPrefix("10.") }.isEmpty, "\(left)")
            _ = try agent.stop()
        }

        @Test("An interface without addresses, as version 1.1.0 has it")
        func result() throws {
            let agent = try AgentProcess(Self.hostFile)
            try Lab.settle()
            let address = try #require(try functions().first)
            let pod = try Pod("plain")
            let configuration = try Pod.configuration(["deviceID": "\(address)"], version: "1.1.0", isAddressed: false)
            let reply = try pod.add(configuration)
            #expect(reply.interface["pciID"] as? String == "\(address)" && reply.interface["mtu"] as? Int == 1500)
            #expect(reply.object["ips"] == nil && reply.object["cniVersion"] as? String == "1.1.0", "\(reply.text)")
            #expect(try leases().map(\.consumer).allSatisfy { $0.hasPrefix("namespace:\(pod.path)@") })
            #expect(try pod.call("DEL", configuration).status == 0)
            try expectClean()
            _ = try agent.stop()
        }

        @Test("What is wrong is told with the specification's code, and nothing is changed")
        func errors() throws {
            let pod = try Pod("wrong")
            // Without an agent.
            let version = try Pod.reply(Pod.start("VERSION", "{\"cniVersion\":\"0.4.0\"}"))
            #expect(version.status == 0 && version.object["cniVersion"] as? String == "0.4.0", "\(version)")
            #expect((version.object["supportedVersions"] as? [String])?.last == "1.1.0")
            let away = try Pod.configuration(["deviceID": "0000:41:10.0"])
            #expect(try pod.call("ADD", away).code == 11)
            #expect(try Pod.reply(Pod.start("STATUS", away)).code == 50)

            let agent = try AgentProcess(Self.hostFile)
            try Lab.settle()
            let addresses = try functions()
            let (free, other) = (try #require(addresses.first), try #require(addresses.last))
            let port = try #require(try Lab.host()[free]?.pci.physicalFunction)
            func configuration(_ members: [String: Any], version: String = "1.0.0") throws -> String {
                try Pod.configuration(members.merging(["deviceID": "\(free)"]) { one, _ in one }, version: version)
            }
            let held = try Pod("held")
            let holding = try Pod.configuration(["deviceID": "\(other)"], isAddressed: false)
            _ = try held.add(holding)
            let cases: [(Int, String, String)] = [
                (6, "{", "JSON"), (6, try configuration(["vlan": "7"]), "vlan"),
                (1, try configuration([:], version: "9.9.9"), "9.9.9"),
                (1, try configuration([:], version: "0.2.0"), "0.2.0"), (7, try configuration(["name": "a/b"]), "a/b"),
                (7, try configuration(["deviceID": ""]), "deviceID"),
                (7, try configuration(["deviceID": "eth0"]), "eth0"),
                (7, try configuration(["vlan": 4095]), "4095"), (7, try configuration(["vlan": -1]), "-1"),
                (7, try configuration(["vlanQoS": 3]), "vlanQoS"),
                (7, try configuration(["vlan": 0, "vlanQoS": 3]), "vlanQoS"),
                (7, try configuration(["vlan": 5, "vlanQoS": 8]), "vlanQoS"),
                (7, try configuration(["vlan": 5, "vlanProto": "x"]), "vlanProto"),
                (7, try configuration(["mac": "01:00:00:00:00:01"]), "mac"),
                (7, try configuration(["mac": "0"]), "mac"),
                (7, try configuration(["max_tx_rate": -1]), "max_tx_rate"),
                (7, try configuration(["min_tx_rate": 9, "max_tx_rate": 8]), "min_tx_rate"),
                (7, try configuration(["spoofchk": "yes"]), "spoofchk"),
                (7, try configuration(["trust": "1"]), "trust"),
                (7, try configuration(["link_state": "up"]), "link_state"),
                (7, try configuration(["deviceID": "\(port)"]), "\(port)"),
                (7, try configuration(["deviceID": "0000:ff:10.0"]), "0000:ff:10.0"),
                (11, try configuration(["deviceID": "\(other)"]), "lease"),
                // The driver refuses it half-way: igb has no link state.
                (100, try configuration(["link_state": "enable", "vlan": 7, "mac": "02:00:00:00:07:07"]), "linkState"),
                (100, try configuration(["ipam": ["type": "nobody"]]), "nobody"),
                (100, try configuration(["ipam": ["type": "../sh"]]), "../sh"),
                (100, try configuration(["ipam": ["type": "host-local", "ranges": [Any]()]]), "host-local"),
            ]
            for (code, text, word) in cases {
                let reply = try pod.call("ADD", text)
                let said = "\(reply.object["msg"] ?? "") \(reply.object["details"] ?? "")"
                // Another plugin's code is its own.
                #expect(reply.code == code || word == "host-local" && reply.code != nil, "\(word): \(reply)")
                #expect(reply.status == 1 && said.contains(word), "\(word): \(reply)")
                #expect(try pod.run("ip", "-o", "link").output.split(separator: "\n").count == 1, "\(word)")
            }
            let good = try configuration([:])
            #expect(try pod.call("ADD", good, interface: "a name").code == 4)
            #expect(try pod.call("ADD", good, interface: "lo").code == 4)
            #expect(try pod.call("ADD", good, arguments: "MAC").code == 4)
            #expect(try Pod.reply(Pod.start("ADD", good, container: "../x", netns: pod.path)).code == 4)
            #expect(try Pod.reply(Pod.start("ADD", good, container: "x", netns: "/run/netns/none")).code == 3)
            #expect(try Pod.reply(Pod.start("ADD", good, container: "x", netns: "/etc/passwd")).code == 3)
            #expect(try Pod.reply(Pod.start("NOTHING", good, container: "x", netns: pod.path)).code == 4)
            #expect(try Pod.reply(Pod.start("STATUS", try Pod.configuration(isAddressed: false))).status == 0)
            #expect(try held.call("ADD", holding).code == 100, "it is there already")
            // What others have is not touched by any of it.
            #expect(try held.run("ip", "link", "show", "net1").status == 0)
            #expect(try held.call("DEL", holding).status == 0)
            try expectClean()
            _ = try agent.stop()
        }

        @Test("CHECK tells what has changed; DEL comes too late for the namespace; GC takes what nobody names")
        func lifecycle() throws {
            let agent = try AgentProcess(Self.hostFile)
            try Lab.settle()
            let addresses = try functions()
            let (pod, gone, lost) = (try Pod("checked"), try Pod("gone"), try Pod("lost"))
            let configuration = try Pod.configuration(["deviceID": "\(addresses[0])", "vlan": 7])
            let reply = try pod.add(configuration)
            let checked = try Pod.adding(reply, to: configuration)
            #expect(try pod.call("CHECK", checked).status == 0)
            let address = try #require(reply.address)
            let inside = ["ip", "-n", "checked"]
            let damages: [([String], [String], String)] = [
                (inside + ["link", "set", "net1", "down"], inside + ["link", "set", "net1", "up"], "down"),
                (
                    inside + ["addr", "add", "10.8.0.1/24", "dev", "net1"],
                    inside + ["addr", "del", "10.8.0.1/24", "dev", "net1"], ""
                ),
                (
                    inside + ["addr", "del", address, "dev", "net1"], inside + ["addr", "add", address, "dev", "net1"],
                    address
                ),
                (
                    ["ip", "link", "set", "ens10", "vf", "0", "vlan", "8"],
                    ["ip", "link", "set", "ens10", "vf", "0", "vlan", "7"], "vlan"
                ),
            ]
            for (damage, repair, word) in damages {
                try Lab.run(damage)
                let told = try pod.call("CHECK", checked)
                #expect(told.status == (word.isEmpty ? 0 : 1), "\(word): \(told)")
                #expect(word.isEmpty || "\(told.object["msg"] ?? "")".contains(word), "\(word): \(told)")
                try Lab.run(repair)
                #expect(try pod.call("CHECK", checked).status == 0, "\(word)")
            }
            // The namespace goes before DEL comes.
            let second = try Pod.configuration(["deviceID": "\(addresses[1])", "vlan": 9])
            _ = try gone.add(second)
            try Lab.run(["ip", "netns", "del", "gone"])
            try Lab.wait(for: "DEL") {
                try Pod.reply(Pod.start("DEL", second, container: "container-gone")).status == 0
            }
            // A container that its runtime has forgotten.
            let third = try Pod.configuration(["deviceID": "\(addresses[2])"], version: "1.1.0", isAddressed: false)
            _ = try lost.add(third)
            let valid = [["containerID": "container-checked", "ifname": "net1"]]
            let collecting = try Pod.configuration(
                ["cni.dev/valid-attachments": valid], version: "1.1.0", isAddressed: false)
            #expect(try Pod.reply(Pod.start("GC", collecting)).status == 0)
            #expect(try leases().count == 1 && lost.run("ip", "link", "show", "net1").status != 0)
            // Of another network it takes nothing.
            let others = try Pod.configuration(
                ["cni.dev/valid-attachments": [Any]()], version: "1.1.0", network: "others", isAddressed: false)
            #expect(try Pod.reply(Pod.start("GC", others)).status == 0)
            #expect(try leases().count == 1 && pod.call("CHECK", checked).status == 0)
            #expect(try pod.call("DEL", configuration).status == 0)
            try expectClean()
            _ = try agent.stop()
        }
    }
}
