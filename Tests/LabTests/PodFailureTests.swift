import AgentAPI
import Glibc
import Leasing
import Netlink
import PCI
import SRIOV
import Testing

extension LabSuite {
    @Suite(
        "Pods when something ends in the middle, and many at once", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct PodFailureTests {
        init() throws { try PodHost.reset() }

        private enum Victim: CaseIterable { case plugin, agent, namespace }

        @Test("Plugin, agent or namespace end during ADD and DEL: after the runtime's DEL every VF is home and clean")
        func killed() throws {
            let agent = try AgentProcess(PodHost.file)
            try Lab.settle()
            let address = try #require(try PodHost.functions().first)
            let configuration = try Pod.configuration([
                "deviceID": "\(address)", "vlan": 7, "mac": "02:00:00:00:07:01", "trust": "on",
            ])
            var random = SystemRandomNumberGenerator()
            let clock = ContinuousClock()
            var lasts: [String: Duration] = ["ADD": .zero, "DEL": .zero]
            for round in 0..<(Lab.isSoak ? 60 : 6) {
                let victim = Victim.allCases[round % 3]
                let pod = try Pod("killed\(round)")
                let container = "container-\(pod.name)"
                var began = clock.now
                // How long it takes where nothing happens is where the moments are taken from.
                let command = round % 2 == 0 ? "ADD" : "DEL"
                if command == "DEL" || round < 2 {
                    _ = try pod.add(configuration)
                    lasts["ADD"] = clock.now - began
                    if round < 2 {
                        began = clock.now
                        #expect(try pod.call("DEL", configuration).status == 0)
                        lasts["DEL"] = clock.now - began
                        if command == "DEL" { _ = try pod.add(configuration) }
                    }
                }
                let running = try Pod.start(command, configuration, container: container, netns: pod.path)
                let length = lasts[command] ?? .zero
                let moment = UInt32(Double.random(in: 0...1, using: &random) * length.microseconds)
                usleep(moment)
                switch victim {
                case .plugin: running.kill(SIGKILL)
                case .agent: agent.command.kill(SIGKILL)
                case .namespace: try Lab.run(["ip", "netns", "del", pod.name])
                }
                let reply = try Pod.reply(running)
                if victim == .agent {
                    #expect(reply.status == 0 || reply.code == 11, "\(reply)")
                    try agent.restartAfterCrash()
                }
                try Pod.delete(configuration, container: container, netns: pod.path)
                try PodHost.expectClean("round \(round): \(command), \(victim) after \(moment) µs, \(reply)")
            }
            _ = try agent.stop()
        }

        /// A system call that fails in the agent, or in the process that writes for it.
        private struct Injection {
            var call: String
            var error: String
            /// Which call of each thread fails: a thread that enters a namespace or writes to a device does that once.
            var numbers: [Int]
            var inWriter = false
        }

        @Test("The kernel refuses one step of ADD or DEL, or the disk does: after the runtime's DEL every VF is clean")
        func refused() throws {
            let agent = try AgentProcess(PodHost.file)
            try Lab.settle()
            let address = try #require(try PodHost.functions().first)
            let configuration = try Pod.configuration([
                "deviceID": "\(address)", "vlan": 7, "mac": "02:00:00:00:07:01", "trust": "on",
            ])
            let steps = Lab.isSoak ? Array(1...8) : [2]
            let injections = [
                Injection(call: "sendto", error: "EOPNOTSUPP", numbers: steps),
                Injection(call: "setns", error: "EPERM", numbers: [1]),
                Injection(call: "pwrite64", error: "ENOSPC", numbers: steps),
                Injection(call: "write", error: "EBUSY", numbers: [1], inWriter: true),
            ]
            let writer = try #require(
                try Lab.run(["pgrep", "-x", "sluice-writer"]).split(separator: "\n").first.map(String.init))
            let log = "/tmp/refused.strace"
            var failures = 0
            for injection in injections {
                var injected = 0
                for number in injection.numbers {
                    let what = "\(injection.call) \(injection.error), number \(number)"
                    let pod = try Pod("refused-\(injection.call)-\(number)")
                    for command in ["ADD", "DEL"] {
                        if command == "DEL" { _ = try pod.add(configuration) }
                        let target = injection.inWriter ? writer : "\(agent.command.pid)"
                        let tracer = try Command([
                            "strace", "-f", "-q", "-o", log, "-p", target, "-e", "trace=\(injection.call)", "-e",
                            "inject=\(injection.call):error=\(injection.error):when=\(number)",
                        ])
                        try Lab.wait(for: "the tracer") {
                            try LiveFileTree().text("/proc/\(target)/status")?.contains("TracerPid:\t\(tracer.pid)")
                                ?? false
                        }
                        let reply = try pod.call(command, configuration)
                        tracer.kill(SIGTERM)
                        _ = try tracer.finish()
                        injected += (try LiveFileTree().text(log) ?? "").ranges(of: "(INJECTED)").count
                        if reply.status != 0 { failures += 1 }
                        #expect(reply.status == 0 || reply.code != nil, "\(what): \(reply)")
                        try Pod.delete(configuration, container: "container-\(pod.name)", netns: pod.path)
                        try PodHost.expectClean("\(command), \(what): \(reply)")
                    }
                }
                #expect(injected > 0, "\(injection.call)")
            }
            // Where nothing fails nothing is proved.
            #expect(failures > 0, "\(failures)")
            _ = try agent.stop()
        }

        @Test(
            "Many more pods than there are VFs ask at once: each VF is one's, and the others are told whose (50 and 28 in soak)"
        )
        func many() throws {
            let (perPort, ports, asking) = Lab.isSoak ? (7, 4, 50) : (4, 2, 14)
            let all = perPort * ports
            let agent = try AgentProcess(PodHost.file(virtualFunctions: perPort, ports: ports))
            try Lab.settle()
            let addresses = try PodHost.functions(ports: ports)
            try #require(addresses.count == all)
            let pods = try (0..<asking).map { try Pod("many\($0)") }
            let configurations = try pods.indices.map { index in
                try Pod.configuration(["deviceID": "\(addresses[index % all])", "vlan": 100 + index % all])
            }
            func call(_ command: String) throws -> [Pod.Reply] {
                try zip(pods, configurations).map { pod, configuration in
                    try Pod.start(command, configuration, container: "container-\(pod.name)", netns: pod.path)
                }.map { try Pod.reply($0) }
            }
            let added = try call("ADD")
            let refused = added.filter { $0.status != 0 }
            #expect(added.count { $0.status == 0 } == all && refused.count == asking - all, "\(refused.map(\.text))")
            for reply in refused {
                #expect(
                    reply.code == 11 && "\(reply.object["details"] ?? "")".contains("namespace:/run/netns/many"),
                    "\(reply)")
            }
            #expect(Set(added.compactMap(\.address)).count == all)
            let deleted = try call("DEL")
            #expect(deleted.allSatisfy { $0.status == 0 }, "\(deleted.filter { $0.status != 0 })")
            try PodHost.expectClean("many at once", ports: ports, of: all)
            _ = try agent.stop()
        }
    }
}

extension Duration {
    fileprivate var microseconds: Double { Double(components.seconds) * 1e6 + Double(components.attoseconds) / 1e12 }
}
