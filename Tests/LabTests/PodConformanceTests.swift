import AgentAPI
import Foundation
import Glibc
import Netlink
import PCI
import SRIOV
import Testing

extension LabSuite {
    @Suite(
        "Pods: what runtimes and other plugins may ask and answer", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct PodConformanceTests {
        init() throws { try PodHost.reset() }

        /// A plugin for addresses that answers each command with a shell's commands.
        private func plugin(_ name: String, _ commands: [String: String]) throws {
            try Lab.run(["mkdir", "-p", "/tmp/cni-plugins"])
            let cases = commands.sorted { $0.key < $1.key }.map { "\($0)) \($1);;" }.joined(separator: "\n")
            let path = try Lab.file(name, "#!/bin/sh\ncat >/dev/null\ncase $CNI_COMMAND in\n\(cases)\nesac\n")
            try Lab.run(["install", "-m", "755", path, "/tmp/cni-plugins/\(name)"])
        }

        private let address = #"{"cniVersion":"1.0.0","ips":[{"address":"10.7.0.9/24"}],"dns":{"domain":"ipam"}}"#

        @Test("Every version gets its own form of the result, and is taken away again")
        func versions() throws {
            let agent = try AgentProcess(PodHost.file)
            try Lab.settle()
            let device = try #require(try PodHost.functions().first)
            try plugin("scripted", ["ADD": "echo '\(address)'"])
            let pod = try Pod("versions")
            for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0", nil] {
                // Debian's host-local does not speak 1.1.0.
                let ipam: [String: Any] = version == "1.1.0" ? ["ipam": ["type": "scripted"]] : [:]
                let configuration = try Pod.configuration(
                    ipam.merging(["deviceID": "\(device)"]) { $1 }, version: version ?? "")
                let reply = try pod.add(configuration)
                let object = reply.object
                #expect(object["cniVersion"] as? String == version ?? "0.1.0", "\(reply.text)")
                if ["0.1.0", "0.2.0"].contains(version ?? "0.1.0") {
                    let ip = (object["ip4"] as? [String: Any])?["ip"] as? String
                    #expect(ip?.hasPrefix("10.7.0.") ?? false && object["interfaces"] == nil, "\(reply.text)")
                    #expect(try pod.run("ip", "route").output.contains("10.99.0.0/16 via 10.7.0.1 dev net1"))
                } else {
                    let ip = (object["ips"] as? [[String: Any]])?.first
                    #expect((ip?["version"] as? String == "4") == (version?.hasPrefix("0.") ?? false), "\(reply.text)")
                    #expect(reply.interface["name"] as? String == "net1" && ip?["interface"] as? Int == 0)
                    #expect((reply.interface["pciID"] as? String == "\(device)") == (version == "1.1.0"))
                }
                let checked = try Pod.adding(reply, to: configuration)
                let isChecked = ["0.4.0", "1.0.0", "1.1.0"].contains(version)
                let told = try pod.call("CHECK", isChecked ? checked : configuration)
                #expect(told.status == (isChecked ? 0 : 1) && (isChecked || told.code == 1), "\(told)")
                try pod.delete(configuration)
            }
            try PodHost.expectClean()
            _ = try agent.stop()
        }

        @Test(
            "In a chain what was there is handed on; the runtime's MAC address and device come first; an altname is no name"
        )
        func chained() throws {
            let agent = try AgentProcess(
                PodHost.file.replacing("for: kubernetes,", with: "for: kubernetes, settings: { vlan: { id: 42 } },"))
            try Lab.settle()
            let devices = try PodHost.functions()
            try plugin("scripted", ["ADD": "echo '\(address)'"])
            let pod = try Pod("chained")
            // The name that the pod's interface is to have is another name of the VF's in the host.
            let netdev = try #require(try Lab.host()[devices[1]]?.link?.name)
            try Lab.run(["ip", "link", "property", "add", "dev", netdev, "altname", "net1"])
            let previous: [String: Any] = [
                "cniVersion": "1.0.0", "interfaces": [["name": "eth0", "sandbox": pod.path]],
                "ips": [["address": "10.244.0.5/24", "interface": 0]], "dns": ["nameservers": ["10.96.0.10"]],
            ]
            let configuration = try Pod.configuration([
                "deviceID": "", "runtimeConfig": ["deviceID": "\(devices[1])"], "mac": "02:00:00:00:07:01",
                "ipam": ["type": "scripted"], "prevResult": previous, "vlan": 0, "spoofchk": "off", "max_tx_rate": 100,
            ])
            let reply = try pod.call(
                "ADD", configuration, arguments: "IgnoreUnknown=1;K8S_POD_NAME=a;MAC=02:00:00:00:07:02")
            try #require(reply.status == 0, "\(reply)")
            let interfaces = reply.object["interfaces"] as? [[String: Any]] ?? []
            #expect(interfaces.map { $0["name"] as? String } == ["eth0", "net1"], "\(reply.text)")
            #expect(reply.interface["mac"] as? String == "02:00:00:00:07:02", "\(reply.text)")
            let ips = reply.object["ips"] as? [[String: Any]] ?? []
            #expect(ips.map { $0["address"] as? String } == ["10.244.0.5/24", "10.7.0.9/24"])
            #expect(ips.map { $0["interface"] as? Int } == [0, 1], "\(reply.text)")
            #expect((reply.object["dns"] as? [String: Any])?["nameservers"] as? [String] == ["10.96.0.10"])
            let settings = try PodHost.settings(1)
            #expect(settings.mac == MACAddress("02:00:00:00:07:02") && settings.spoofCheck == false, "\(settings)")
            // Not the pool's VLAN.
            #expect(settings.vlans == [] && settings.maxTxRateMbps == 100, "\(settings)")
            try pod.delete(configuration)
            let after = try PodHost.settings(1)
            #expect(after.maxTxRateMbps == 0 && after.spoofCheck == true, "\(after)")
            // Its own dns counts where nobody in the chain has one; a tenant's address, set by the tenant, goes with it.
            let alone = try Pod.configuration(["deviceID": "\(devices[1])", "ipam": ["type": "scripted"]])
            let second = try pod.add(alone)
            #expect((second.object["dns"] as? [String: Any])?["domain"] as? String == "ipam", "\(second.text)")
            #expect(try PodHost.settings(1).vlans == [VLAN(id: 42)])
            let given = second.interface["mac"] as? String
            #expect(given != nil && given != "02:00:00:00:07:02")
            try pod.delete(alone)
            #expect(try pod.add(alone).interface["mac"] as? String != "02:00:00:00:07:02")
            try pod.delete(alone)
            try PodHost.expectClean()
            _ = try agent.stop()
        }

        @Test(
            "A plugin for addresses that fails, says nothing sensible or is killed leaves nothing; its own errors are passed on"
        )
        func addresses() throws {
            let agent = try AgentProcess(PodHost.file)
            try Lab.settle()
            let device = try #require(try PodHost.functions().first)
            let pod = try Pod("addresses")
            let marks = "/tmp/cni-plugins/marks"
            let error = #"echo '{"cniVersion":"1.0.0","code":51,"msg":"out of addresses","details":"d"}'; exit 1"#
            let cases: [(name: String, add: String, code: Int, word: String)] = [
                ("fails", error, 51, "out of addresses"), ("garbage", "echo nonsense", 6, "garbage"),
                ("empty", "echo '{}'", 100, "no address"), ("killed", "kill -9 $$", 100, "killed"),
                ("wrong", #"echo '{"ips":[{"address":"10.7.0"}]}'"#, 6, "10.7.0"),
            ]
            for (name, add, code, word) in cases {
                try plugin(name, ["ADD": "echo \(name) ADD >>\(marks); \(add)", "DEL": "echo \(name) DEL >>\(marks)"])
                let configuration = try Pod.configuration(["deviceID": "\(device)", "vlan": 7, "ipam": ["type": name]])
                let reply = try pod.call("ADD", configuration)
                let said = "\(reply.object["msg"] ?? "") \(reply.object["details"] ?? "")"
                #expect(reply.status == 1 && reply.code == code && said.contains(word), "\(name): \(reply)")
                #expect(try pod.run("ip", "-o", "link").output.split(separator: "\n").count == 1, "\(name)")
                try pod.delete(configuration)
            }
            let told = try LiveFileTree().text(marks) ?? ""
            // What was given out for nothing is given back at once, and by DEL.
            for name in ["garbage", "empty", "wrong"] {
                #expect(told.components(separatedBy: "\(name) DEL").count == 3, "\(told)")
            }
            try PodHost.expectClean("addresses")
            // STATUS and GC ask the plugin too.
            try plugin(
                "asked",
                [
                    "STATUS": #"echo '{"cniVersion":"1.1.0","code":51,"msg":"few left"}'; exit 1"#,
                    "GC": "echo GC >>\(marks)",
                ])
            let asked = try Pod.configuration(["ipam": ["type": "asked"]], version: "1.1.0")
            let status = try Pod.reply(Pod.start("STATUS", asked))
            #expect(status.status == 1 && status.code == 51, "\(status)")
            let collecting = try Pod.configuration(
                ["ipam": ["type": "asked"], "cni.dev/attachments": [Any]()], version: "1.1.0")
            #expect(try Pod.reply(Pod.start("GC", collecting)).status == 0)
            #expect(try (LiveFileTree().text(marks) ?? "").contains("GC"))
            let wrong = try Pod.configuration(
                ["cni.dev/valid-attachments": [7]], version: "1.1.0", isAddressed: false)
            #expect(try Pod.reply(Pod.start("GC", wrong)).code == 6)
            // DEL fails for the addresses' sake, and the VF comes back all the same.
            try plugin("late", ["ADD": "echo '\(address)'", "DEL": error])
            let late = try Pod.configuration(["deviceID": "\(device)", "ipam": ["type": "late"]])
            _ = try pod.add(late)
            let failed = try pod.call("DEL", late)
            #expect(failed.status == 1 && failed.code == 51, "\(failed)")
            try PodHost.expectClean("late")
            _ = try agent.stop()
        }

        @Test(
            "A plugin for addresses ends with the one that runs it, and after its time; what it leaves behind is not waited for"
        )
        func ended() throws {
            let agent = try AgentProcess(PodHost.file)
            try Lab.settle()
            let device = try #require(try PodHost.functions().first)
            let pod = try Pod("ended")
            let mark = "/tmp/cni-plugins/pid"
            func configuration(_ name: String, _ add: String) throws -> String {
                try Lab.run(["rm", "-f", mark])
                try plugin(name, ["ADD": add])
                return try Pod.configuration(["deviceID": "\(device)", "ipam": ["type": name]])
            }
            let slow = try configuration("slow", "echo $$ >\(mark); exec sleep 600")
            let running = try Pod.start("ADD", slow, container: "container-ended", netns: pod.path)
            try Lab.wait(for: "the plugin") { try LiveFileTree().text(mark)?.isEmpty == false }
            running.kill(SIGKILL)
            _ = try running.finish()
            let pid = try #require(try LiveFileTree().text(mark))
            try Lab.wait(for: "its end") { try LiveFileTree().entries("/proc/\(pid)/task") == nil }
            try pod.delete(slow)
            // Somebody who keeps its output open; the address is there all the same.
            let forked = try configuration("forked", "sleep 600 & echo $! >\(mark); echo '\(address)'")
            #expect(try pod.add(forked).address == "10.7.0.9/24")
            let child = try #require(try LiveFileTree().text(mark))
            try Lab.run(["kill", child])
            try pod.delete(forked)
            // Its output has an end, and so has it: nobody reads on.
            let endless = try pod.call("ADD", try configuration("endless", "exec yes"))
            #expect(endless.status == 1 && endless.text.contains("endless"), "\(endless.text.prefix(500))")
            try pod.delete(forked)
            if Lab.isSoak {
                // It closes its output, and goes on.
                let reply = try pod.call("ADD", try configuration("closed", "exec >&-; exec sleep 600"))
                #expect(reply.status == 1 && reply.text.contains("within 90 s"), "\(reply)")
                try pod.delete(slow)
            }
            try PodHost.expectClean()
            _ = try agent.stop()
        }

        @Test("CHECK compares the MTU, and of routes all that the result says of them")
        func checked() throws {
            let agent = try AgentProcess(PodHost.file)
            try Lab.settle()
            let device = try #require(try PodHost.functions().first)
            let result = """
                {"cniVersion":"1.1.0","ips":[{"address":"10.7.0.9/24"}],"routes":[{"dst":"10.98.0.0/16"},\
                {"dst":"10.97.0.0/16","gw":"10.7.0.1","mtu":1400,"advmss":1300,"priority":50},\
                {"dst":"10.96.0.0/16","scope":253,"table":7}]}
                """
            try plugin("routes", ["ADD": "echo '\(result)'"])
            let configuration = try Pod.configuration(
                ["deviceID": "\(device)", "ipam": ["type": "routes"]], version: "1.1.0")
            let pod = try Pod("routes")
            let reply = try pod.add(configuration)
            #expect(reply.interface["mtu"] as? Int == 1500, "\(reply.text)")
            let (direct, table) = ("10.98.0.0/16 dev net1 scope link", "10.96.0.0/16 dev net1 scope link table 7")
            let measured = "10.97.0.0/16 via 10.7.0.1 metric 50"
            let replaced = "ip route replace \(measured) mtu 1400 advmss 1300"
            try pod.expectChecked(
                try Pod.adding(reply, to: configuration),
                [
                    ("ip link set net1 mtu 1400", "ip link set net1 mtu 1500", "MTU 1400"),
                    ("ip route del \(direct)", "ip route add \(direct)", "10.98.0.0/16"),
                    ("ip route replace \(measured) mtu 1300 advmss 1300", replaced, "10.97.0.0/16"),
                    ("ip route replace \(measured) mtu 1400 advmss 1200", replaced, "10.97.0.0/16"),
                    ("ip route del \(table)", "ip route add \(table)", "10.96.0.0/16"),
                    (
                        "ip route del \(measured); ip route add 10.97.0.0/16 via 10.7.0.1 metric 51",
                        "ip route del 10.97.0.0/16; \(replaced)", "10.97.0.0/16"
                    ),
                ])
            try pod.delete(configuration)
            try PodHost.expectClean()
            _ = try agent.stop()
        }

        @Test("Namespaces by a process, the host's own, and none; devices that are no pod's; what CHECK needs")
        func namespaces() throws {
            let file =
                PodHost.file(virtualFunctions: 4, ports: 1).replacing(
                    "functions: [{ physicalFunction: ens10 }]",
                    with: "functions: [{ physicalFunction: ens10, virtualFunctions: 0-1 }]")
                + "  machines: { for: libvirt, functions: [{ physicalFunction: ens10, virtualFunctions: 2 }] }\n"
            let agent = try AgentProcess(file.replacing(", driver: kernel", with: ""))
            try Lab.settle()
            let devices = try PodHost.functions()
            func configuration(_ device: String) throws -> String {
                try Pod.configuration(["deviceID": device], isAddressed: false)
            }
            let pod = try Pod("process")
            let process = try Command(["ip", "netns", "exec", "process", "sleep", "600"])
            defer {
                process.kill(SIGTERM)
                _ = try? process.finish()
            }
            try Lab.wait(for: "the process") {
                try LiveFileTree().link("/proc/\(process.pid)/ns/net") != LiveFileTree().link("/proc/self/ns/net")
            }
            func call(_ command: String, _ text: String, _ netns: String) throws -> Pod.Reply {
                try Pod.reply(Pod.start(command, text, container: "c", netns: netns))
            }
            let good = try configuration("\(devices[0])")
            for own in ["/proc/1/ns/net", "/proc/\(getpid())/ns/net"] {
                let reply = try call("ADD", good, own)
                #expect(reply.code == 4 && "\(reply.object["msg"] ?? "")".contains("host's own"), "\(reply)")
            }
            #expect(try call("ADD", good, "").code == 4)
            #expect(try call("CHECK", good, "").code == 4)
            for device in ["\(devices[2])", "0000:43:00.0"] {
                #expect(try call("ADD", try configuration(device), pod.path).code == 7, "\(device)")
            }
            let reply = try call("ADD", good, "/proc/\(process.pid)/ns/net")
            try #require(reply.status == 0, "\(reply)")
            #expect(try call("CHECK", good, pod.path).code == 7, "prevResult is missing")
            let checked = try Pod.adding(reply, to: good)
            #expect(try call("CHECK", checked, "/proc/\(process.pid)/ns/net").status == 0)
            #expect(try call("CHECK", checked, "/proc/1/ns/net").code == 101)
            #expect(try call("CHECK", checked.replacing("\"net1\"", with: "\"net9\""), pod.path).code == 7)
            // The process ends before DEL; the namespace has another path by now.
            process.kill(SIGTERM)
            _ = try process.finish()
            try Lab.wait(for: "DEL") { try call("DEL", good, pod.path).status == 0 }
            #expect(try PodHost.leases().isEmpty)
            _ = try agent.stop()
        }

        @Test("A program that has a VF by way of UIO is told as its holder, and keeps it")
        func uio() throws {
            try Lab.run(["modprobe", "uio_pci_generic"])
            let agent = try AgentProcess(PodHost.file.replacing(", driver: kernel", with: ""))
            try Lab.settle()
            let device = try #require(try PodHost.functions().first)
            let kernel = try Lab.kernel()
            func bind(_ driver: DriverBinding.Target) throws {
                let outcome = DriverBinding(files: kernel.files, writer: kernel.writer)
                    .bind([.init(address: device, target: driver)])
                #expect(outcome.first?.error == nil, "\(outcome)")
            }
            try bind(.driver("uio_pci_generic"))
            let node = try #require(try kernel.files.entries("/sys/bus/pci/devices/\(device)/uio")?.first)
            let descriptor = open("/dev/\(node)", O_RDWR)
            #expect(descriptor >= 0, "errno \(errno)")
            let holders = try #require(try Lab.host()[device]).holders.map(\.description)
            #expect(holders.contains { $0.contains("pid \(getpid())") }, "\(holders)")
            let pod = try Pod("uio")
            let configuration = try Pod.configuration(["deviceID": "\(device)"], isAddressed: false)
            let refused = try pod.call("ADD", configuration)
            #expect(
                refused.code == 11 && "\(refused.object["details"] ?? "")".contains("pid \(getpid())"), "\(refused)")
            close(descriptor)
            try Lab.wait(for: "ADD") { try pod.call("ADD", configuration).status == 0 }
            // A pod's program has it, and then not any more.
            let again = open("/dev/\(node)", O_RDWR)
            let busy = try pod.call("DEL", configuration)
            #expect(busy.code == 11 && "\(busy.object["msg"] ?? "")".contains("pid \(getpid())"), "\(busy)")
            close(again)
            try pod.delete(configuration)
            try bind(.kernel("igbvf"))
            try PodHost.expectClean()
            _ = try agent.stop()
        }
    }
}
