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
        init() throws { try PodHost.reset() }

        @Test("Two pods reach each other through the NIC, one of another VLAN none of them; DEL leaves nothing")
        func pods() throws {
            let agent = try AgentProcess(PodHost.file)
            try Lab.settle()
            let addresses = try PodHost.functions()
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
                let settings = try PodHost.settings(index)
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
            try PodHost.expectClean()
            let left = try LiveFileTree().entries("/tmp/cni-addresses/tenants") ?? []
            #expect(left.filter { $0.hasPrefix("10.") }.isEmpty, "\(left)")
            _ = try agent.stop()
        }

        @Test("An interface without addresses, as version 1.1.0 has it")
        func result() throws {
            let agent = try AgentProcess(PodHost.file)
            try Lab.settle()
            let address = try #require(try PodHost.functions().first)
            let pod = try Pod("plain")
            let info = "/var/run/k8s.cni.cncf.io/devinfo/cni/demo-plain-net1"
            let configuration = try Pod.configuration(
                ["deviceID": "\(address)", "runtimeConfig": ["CNIDeviceInfoFile": info]], version: "1.1.0",
                isAddressed: false)
            let reply = try pod.add(configuration)
            let told = try LiveFileTree().text(info) ?? ""
            #expect(told.contains(#""pci-address":"\#(address)""#) && told.contains(#""type":"pci""#), "\(told)")
            #expect(reply.interface["pciID"] as? String == "\(address)" && reply.interface["mtu"] as? Int == 1500)
            #expect(reply.object["ips"] == nil && reply.object["cniVersion"] as? String == "1.1.0", "\(reply.text)")
            #expect(try PodHost.leases().map(\.consumer).allSatisfy { $0.hasPrefix("namespace:\(pod.path)@") })
            #expect(try pod.call("DEL", configuration).status == 0)
            #expect(try LiveFileTree().text(info) == nil)
            // The address that it was cleaned with is nobody's: the next one that wants none keeps it, and the VF's driver
            // need not be bound anew.
            let resting = try #require(try PodHost.settings(0).mac)
            let next = try pod.add(configuration)
            #expect(try !resting.isZero && PodHost.settings(0).mac == resting)
            #expect(next.interface["mac"] as? String == "\(resting)", "\(next.text)")
            // One that the tenant has set by itself goes with the tenant.
            try Lab.run(["ip", "-n", "plain", "link", "set", "net1", "address", "02:00:00:00:07:77"])
            try pod.delete(configuration)
            let other = try #require(try PodHost.settings(0).mac)
            #expect(other != resting && other != MACAddress("02:00:00:00:07:77"), "\(other)")
            #expect(try pod.add(configuration).interface["mac"] as? String == "\(other)")
            try pod.delete(configuration)
            try PodHost.expectClean()
            _ = try agent.stop()
        }

        @Test("A VF for a program of the container's: no netdev, its settings, and not taken from who has it open")
        func forPrograms() throws {
            let agent = try AgentProcess(PodHost.file.replacing("driver: kernel", with: "driver: vfio-pci"))
            let address = try #require(try PodHost.functions().first)
            let pod = try Pod("dpdk")
            let configuration = try Pod.configuration([
                "deviceID": "\(address)", "vlan": 7, "mac": "02:00:00:00:07:01", "trust": "on",
            ])
            let reply = try pod.add(configuration)
            #expect(reply.interface["mac"] as? String == "02:00:00:00:07:01" && reply.address != nil, "\(reply.text)")
            #expect(try pod.run("ip", "-o", "link").output.split(separator: "\n").count == 1)
            let settings = try PodHost.settings(0)
            #expect(settings.vlans == [VLAN(id: 7)] && settings.trust == true, "\(settings)")
            #expect(try pod.call("CHECK", try Pod.adding(reply, to: configuration)).status == 0)
            let program = try VFIODevice(address)
            let busy = try pod.call("DEL", configuration)
            #expect(busy.code == 11 && "\(busy.object["msg"] ?? "")".contains("pid \(getpid())"), "\(busy)")
            program.close()
            try pod.delete(configuration)
            #expect(try PodHost.leases().isEmpty && PodHost.settings(0).vlans?.isEmpty ?? true)
            _ = try agent.stop()
        }

        @Test("Two interfaces, IPv6, a VF without a declared driver, and a tenant who gives it names of the host's")
        func unusual() throws {
            let agent = try AgentProcess(PodHost.file.replacing(", driver: kernel", with: ""))
            try Lab.settle()
            let addresses = try PodHost.functions()
            let pod = try Pod("two")
            func configuration(_ index: Int, _ range: String, _ gateway: String, _ route: String) throws -> String {
                try Pod.configuration([
                    "deviceID": "\(addresses[index])", "mac": "02:00:00:00:07:0\(index)", "Vlan": 7,
                    "ipam": [
                        "type": "host-local", "ranges": [[["subnet": range, "gateway": gateway]]],
                        "routes": [["dst": "0.0.0.0/0"], ["dst": route]], "dataDir": "/tmp/cni-addresses",
                    ],
                ])
            }
            let first = try configuration(0, "10.7.0.0/24", "10.7.0.1", "10.98.0.0/16")
            let second = try configuration(1, "10.8.0.0/24", "10.8.0.1", "10.99.0.0/16")
            #expect(try pod.add(first).interface["mac"] as? String == "02:00:00:00:07:00")
            let reply = try pod.call("ADD", second, interface: "net2")
            #expect(reply.status == 0, "\(reply)")
            let routes = try pod.run("ip", "route").output
            for route in ["10.98.0.0/16 via 10.7.0.1 dev net1", "10.99.0.0/16 via 10.8.0.1 dev net2"] {
                #expect(routes.contains(route), "\(routes)")
            }
            // Both defaults are there.
            #expect(routes.split(separator: "\n").count { $0.hasPrefix("default") } == 2, "\(routes)")
            #expect(try PodHost.settings(1).vlans == [VLAN(id: 7)])
            let checked = try Pod.adding(reply, to: second)
            #expect(try pod.call("CHECK", checked, interface: "net2").status == 0)
            try Lab.run(["ip", "-n", "two", "route", "del", "10.99.0.0/16"])
            #expect(try pod.call("CHECK", checked, interface: "net2").code == 101)
            try Lab.run(["ip", "-n", "two", "link", "property", "add", "dev", "net2", "altname", "ens13"])
            #expect(try pod.call("DEL", second, interface: "net2").status == 0)
            try pod.delete(first)
            // IPv6, also where the runtime has turned it off.
            try Lab.run([
                "ip", "netns", "exec", "two", "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
                "net.ipv6.conf.default.disable_ipv6=1",
            ])
            let third = try configuration(2, "fd00:7::/64", "fd00:7::1", "fd00:9::/64")
                .replacing("\"dst\":\"0.0.0.0\\/0\"", with: "\"dst\":\"fd00:8::\\/64\"")
            let six = try pod.add(third)
            #expect(six.address?.hasPrefix("fd00:7::") ?? false, "\(six)")
            let shown = try pod.run("ip", "-6", "address", "show", "dev", "net1").output
            // It may be used at once. (Link-local ones are the kernel's own.)
            let own = try #require(shown.split(separator: "\n").first { $0.contains("fd00:7::") })
            #expect(!own.contains("tentative"), "\(shown)")
            #expect(try pod.run("ip", "-6", "route").output.contains("fd00:9::/64 via fd00:7::1 dev net1"))
            #expect(try pod.call("CHECK", try Pod.adding(six, to: third)).status == 0)
            try pod.delete(third)
            try PodHost.expectClean()
            _ = try agent.stop()
        }

        @Test("The network is told of a pod's address when it comes")
        func announced() throws {
            let agent = try AgentProcess(PodHost.file)
            try Lab.settle()
            let addresses = try PodHost.functions()
            let (first, second) = (try Pod("listens"), try Pod("comes"))
            let addressed: [String: Any] = [
                "type": "host-local", "ranges": [[["subnet": "10.7.0.0/24"]], [["subnet": "fd07::/64"]]],
                "dataDir": "/tmp/cni-addresses",
            ]
            let configurations = try addresses.prefix(2).map {
                try Pod.configuration(["deviceID": "\($0)", "vlan": 7, "ipam": addressed])
            }
            _ = try first.add(configurations[0])
            // A gratuitous ARP's target is its sender; a neighbour advertisement (RFC 4861) that nobody asked for is to all.
            let script = """
                import socket
                s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)); s.bind(("net1", 0))
                print("listens", flush=True)
                while True:
                    d = s.recv(2048); a = ""
                    if d[12:14] == b"\\x08\\x06" and d[28:32] == d[38:42]: a = socket.inet_ntoa(d[28:32])
                    if d[12:14] == b"\\x86\\xdd" and d[20] == 58 and d[54] == 136 and d[38] == 255:
                        a = socket.inet_ntop(socket.AF_INET6, d[62:78])
                    print(a, flush=True)
                """
            let listener = try Command(["ip", "netns", "exec", "listens", "python3", "-c", script])
            defer {
                listener.kill(SIGTERM)
                _ = try? listener.finish()
            }
            try Lab.wait(for: "the listener \(listener.errorSoFar)") { listener.outputSoFar.contains("listens") }
            let reply = try second.add(configurations[1])
            let told = try #require(reply.object["ips"] as? [[String: Any]]).compactMap { $0["address"] as? String }
            #expect(told.count == 2)
            for address in told.compactMap({ $0.split(separator: "/").first }) {
                try Lab.wait(for: "an announcement of \(address)") {
                    listener.outputSoFar.split(separator: "\n").contains(address)
                }
            }
            for (pod, configuration) in zip([first, second], configurations) {
                #expect(try pod.call("DEL", configuration).status == 0)
            }
            try PodHost.expectClean()
            _ = try agent.stop()
        }

        @Test("What is wrong is told with the specification's code, and nothing is changed")
        func errors() throws {
            let pod = try Pod("wrong")
            // Without an agent.
            let version = try Pod.reply(Pod.start("VERSION", "{\"cniVersion\":\"0.4.0\"}"))
            #expect(version.status == 0 && version.object["cniVersion"] as? String == "0.4.0", "\(version)")
            #expect(
                version.object["supportedVersions"] as? [String]
                    == ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
            let away = try Pod.configuration(["deviceID": "0000:41:10.0"])
            for (reply, code) in [(try pod.call("ADD", away), 11), (try Pod.reply(Pod.start("STATUS", away)), 50)] {
                #expect(reply.code == code && "\(reply.object["msg"] ?? "")".contains("no agent answers"), "\(reply)")
            }

            let agent = try AgentProcess(PodHost.file)
            try Lab.settle()
            let addresses = try PodHost.functions()
            let (free, other) = (try #require(addresses.first), try #require(addresses.last))
            let port = try #require(try Lab.host()[free]?.pci.physicalFunction)
            func configuration(_ members: [String: Any], version: String = "1.0.0") throws -> String {
                try Pod.configuration(members.merging(["deviceID": "\(free)"]) { one, _ in one }, version: version)
            }
            // A file where there should be a folder.
            let folder = "/run/k8s.cni.cncf.io/file"
            try Lab.run(["mkdir", "-p", "/run/k8s.cni.cncf.io"])
            try Lab.run(["touch", folder])
            defer { unlink(folder) }
            let held = try Pod("held")
            let holding = try Pod.configuration(["deviceID": "\(other)"], isAddressed: false)
            _ = try held.add(holding)
            let cases: [(Int, String, String)] = [
                (6, "{", "JSON"), (6, try configuration(["vlan": "7"]), "vlan"),
                (1, try configuration([:], version: "9.9.9"), "9.9.9"),
                (7, try configuration(["name": "a/b"]), "a/b"),
                (7, try configuration(["deviceID": ""]), "deviceID"),
                (7, try configuration(["deviceID": "eth0"]), "eth0"),
                (7, try configuration(["vlan": 4095]), "4095"), (7, try configuration(["vlan": -1]), "-1"),
                (7, try configuration(["vlanQoS": 3]), "vlanQoS"),
                (7, try configuration(["vlan": 0, "vlanQoS": 3]), "vlanQoS"),
                (7, try configuration(["vlan": 5, "vlanQoS": 8]), "vlanQoS"),
                (7, try configuration(["vlan": 5, "vlanProto": "x"]), "vlanProto"),
                (7, try configuration(["vlanProto": "802.1q"]), "vlanProto"),
                (7, try configuration(["vlan": 0, "vlanProto": "802.1ad"]), "vlanProto"),
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
                (5, try configuration(["runtimeConfig": ["CNIDeviceInfoFile": "\(folder)/info"]]), "\(folder)/info"),
                (100, try configuration(["ipam": ["type": "nobody"]]), "nobody"),
                (7, try configuration(["ipam": ["type": "sluice-cni"]]), "ipam.type"),
                (100, try configuration(["ipam": ["type": "../sh"]]), "../sh"),
                (100, try configuration(["ipam": ["type": "host-local", "ranges": [Any]()]]), "host-local"),
            ]
            for (code, text, word) in cases {
                let reply = try pod.call("ADD", text)
                let said = "\(reply.object["msg"] ?? "") \(reply.object["details"] ?? "")"
                // Another plugin's code is its own.
                #expect(reply.code == code || word == "host-local" && reply.code != nil, "\(word): \(reply)")
                #expect(reply.status == 1 && said.contains(word), "\(word): \(reply)")
                if code == 7 { #expect(reply.object["cniVersion"] as? String == "1.0.0", "\(word): \(reply)") }
                #expect(try pod.run("ip", "-o", "link").output.split(separator: "\n").count == 1, "\(word)")
            }
            let refused = try configuration(["ipam": ["type": "sluice-cni"]])
            #expect(try pod.call("DEL", refused).status == 0, "what was refused is not there")
            let good = try configuration([:])
            #expect(try pod.call("ADD", good, interface: "a name").code == 4)
            #expect(try pod.call("ADD", good, interface: "lo").code == 4)
            #expect(try pod.call("ADD", good, arguments: "MAC").code == 4)
            for command in ["ADD", "DEL"] {
                #expect(try Pod.reply(Pod.start(command, good, container: "../x", netns: pod.path)).code == 4)
            }
            #expect(try Pod.reply(Pod.start("ADD", good, container: "x", netns: "/run/netns/none")).code == 3)
            #expect(try Pod.reply(Pod.start("ADD", good, container: "x", netns: "/etc/passwd")).code == 3)
            #expect(try Pod.reply(Pod.start("NOTHING", good, container: "x", netns: pod.path)).code == 4)
            #expect(try Pod.reply(Pod.start("STATUS", try Pod.configuration(isAddressed: false))).status == 0)
            #expect(try held.call("ADD", holding).code == 100, "it is there already")
            // What others have is not touched by any of it.
            #expect(try held.run("ip", "link", "show", "net1").status == 0)
            #expect(try held.call("DEL", holding).status == 0)
            try PodHost.expectClean()
            _ = try agent.stop()
        }

        @Test("STATUS says why no pod can be given a VF")
        func unavailable() throws {
            let configuration = try Pod.configuration(isAddressed: false)
            func expectTold(_ text: String, _ location: SourceLocation = #_sourceLocation) throws {
                let reply = try Pod.reply(Pod.start("STATUS", configuration))
                let isTold = reply.code == 50 && "\(reply.object["msg"] ?? "")".contains(text)
                #expect(isTold, "\(reply)", sourceLocation: location)
            }
            var agent = try AgentProcess(PodHost.file.replacing("for: kubernetes", with: "for: libvirt"))
            try expectTold("no pool is for pods")
            _ = try agent.stop()
            agent = try AgentProcess(PodHost.file)
            #expect(try Pod.reply(Pod.start("STATUS", configuration)).status == 0)
            // A disk that has lost what was written to it.
            let lose =
                "for f in /var/lib/sluice/ledger.db*; do head -c 65536 /dev/zero | dd of=$f conv=notrunc status=none; done"
            try Lab.run(["sh", "-c", lose])
            try expectTold("ledger")
            let pod = try Pod("unserved")
            let device = try #require(try PodHost.functions().first)
            #expect(try pod.call("ADD", try Pod.configuration(["deviceID": "\(device)"])).status == 1)
            #expect(try pod.run("ip", "link", "show", "net1").status != 0)
            agent.command.kill(SIGKILL)
        }

        @Test("CHECK tells what has changed; DEL comes too late for the namespace; GC takes what nobody names")
        func lifecycle() throws {
            let agent = try AgentProcess(PodHost.file)
            try Lab.settle()
            let addresses = try PodHost.functions()
            let (pod, gone, lost) = (try Pod("checked"), try Pod("gone"), try Pod("lost"))
            let configuration = try Pod.configuration([
                "deviceID": "\(addresses[0])", "vlan": 7, "trust": "off", "spoofchk": "on",
            ])
            let reply = try pod.add(configuration)
            let checked = try Pod.adding(reply, to: configuration)
            let address = try #require(reply.address)
            let route = "ip route replace 10.99.0.0/16 via 10.7.0.1"
            let mac = try #require(reply.interface["mac"] as? String)
            let function = "nsenter -t 1 -n ip link set ens10 vf 0"
            try pod.expectChecked(
                checked,
                [
                    ("ip link set net1 down", "ip link set net1 up; \(route)", "down"),
                    ("ip addr add 10.8.0.1/24 dev net1", "ip addr del 10.8.0.1/24 dev net1", ""),
                    ("ip addr del \(address) dev net1", "ip addr add \(address) dev net1; \(route)", address),
                    ("ip route del 10.99.0.0/16", route, "10.99.0.0/16"),
                    ("ip link set net1 name other", "ip link set other name net1", "net1"),
                    (
                        "ip link set net1 address 02:00:00:00:07:66", "ip link set net1 address \(mac); \(route)",
                        "02:00:00:00:07:66"
                    ), ("\(function) vlan 8", "\(function) vlan 7", "vlan"),
                    ("\(function) trust on", "\(function) trust off", "trust"),
                    ("\(function) spoofchk off", "\(function) spoofchk on", "spoofCheck"),
                ])
            // The namespace goes before DEL comes.
            let second = try Pod.configuration(["deviceID": "\(addresses[1])", "vlan": 9])
            _ = try gone.add(second)
            try Lab.run(["ip", "netns", "del", "gone"])
            try Pod.delete(second, container: "container-gone")
            // A container that its runtime has forgotten.
            let info = "/var/run/k8s.cni.cncf.io/devinfo/cni/demo-lost-net1-device.json"
            let third = try Pod.configuration(
                ["deviceID": "\(addresses[2])", "runtimeConfig": ["CNIDeviceInfoFile": info]], version: "1.1.0",
                isAddressed: false)
            _ = try lost.add(third)
            #expect(try LiveFileTree().text(info) != nil)
            let valid = [["containerID": "container-checked", "ifname": "net1"]]
            let collecting = try Pod.configuration(
                ["cni.dev/valid-attachments": valid], version: "1.1.0", isAddressed: false)
            #expect(try Pod.reply(Pod.start("GC", collecting)).status == 0)
            #expect(try PodHost.leases().count == 1 && lost.run("ip", "link", "show", "net1").status != 0)
            #expect(try LiveFileTree().text(info) == nil)
            // Of another network it takes nothing.
            let others = try Pod.configuration(
                ["cni.dev/valid-attachments": [Any]()], version: "1.1.0", network: "others", isAddressed: false)
            #expect(try Pod.reply(Pod.start("GC", others)).status == 0)
            #expect(try PodHost.leases().count == 1 && pod.call("CHECK", checked).status == 0)
            #expect(try pod.call("DEL", configuration).status == 0)
            try PodHost.expectClean()
            _ = try agent.stop()
        }
    }
}
