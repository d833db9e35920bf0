import AgentAPI
import CDispatch
import CoreFoundation
import Glibc
import Leasing
import Netlink
import PCI
import SRIOV
import Synchronization
import Testing

extension LabSuite {
    @Suite(
        "The agent on the real kernel", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct AgentTests {
        init() throws { try Lab.reset() }

        private func settings(_ address: String) throws -> VirtualFunctionSettings {
            try #require(try Lab.host()[Lab.address(address)]?.settings)
        }

        @Test(
            "It creates the VFs at its start, gives them out, and nothing of one tenant reaches the next; FLR happens")
        func tenants() throws {
            let agent = try AgentProcess()
            let clean = try Lab.host().functions.compactMap(\.settings)
            #expect(clean.count == 8)
            let trace = try FunctionLevelResets()
            let grant = try agent.acquire {
                var settings = SettingsView()
                settings.mac = "52:54:00:00:00:07"
                (settings.trust, settings.spoofCheck, settings.maxTxRateMbps) = (true, false, 300)
                settings.vlan = .init(id: 77, qos: 5)
                $0.settings = settings
            }
            let lease = try #require(grant.leases.first)
            let set = try settings(lease.address)
            #expect(set.mac == MACAddress("52:54:00:00:00:07") && set.vlans == [VLAN(id: 77, qos: 5)])
            #expect(set.trust == true && set.spoofCheck == false && set.maxTxRateMbps == 300)
            #expect(try trace.count() == 0)
            #expect(try agent.release(lease.id).state == "free")
            #expect(try Lab.host().functions.compactMap(\.settings) == clean)
            #expect(try trace.count() == 1)
            // The next tenant asks for nothing, and gets nothing but the pool's VLAN.
            let next = try #require(try agent.acquire().leases.first)
            let given = try settings(next.address)
            #expect(next.address == lease.address && given.vlans == [VLAN(id: 42)] && given.trust == false)
            #expect(given.mac?.isZero == true && given.spoofCheck == true && given.maxTxRateMbps == 0)
        }

        @Test("A lease whose process dies is scrubbed and free within 2 s, also when the process had the VF open")
        func deadHolder() throws {
            let agent = try AgentProcess()
            let sleeper = try Command(["sleep", "600"])
            let lease = try #require(try agent.acquire { $0.consumer = "process:\(sleeper.pid)" }.leases.first)
            let duration = try agent.event(within: 2) {
                sleeper.kill(SIGKILL)
                _ = try sleeper.finish()
            } _: {
                $0.contains(lease.id) && $0.contains("\"to\":\"free\"")
            }
            print("process gone to free: \(duration)")
            #expect(try agent.leases().isEmpty)
        }

        @Test("VFs that are removed by hand are noticed within 1 s; their lease is lost and nobody else gets the VF")
        func removed() throws {
            let agent = try AgentProcess()
            let lease = try #require(try agent.acquire { $0.numaNode = 1 }.leases.first)
            let port = try #require(try Lab.host()[Lab.address(lease.address)]?.pci.physicalFunction)
            let duration = try agent.event(within: 10) {
                try Lab.write("0", to: "\(PCIReader.path(port))/sriov_numvfs")
            } _: {
                $0.contains(lease.id) && $0.contains("\"to\":\"lost\"")
            }
            print("VFs removed to lost, with the removal itself: \(duration)")
            // Who makes them anew before the agent can look has not given them back.
            let other = try #require(try agent.acquire { $0.numaNode = 1 }.leases.first)
            let itsPort = try #require(try Lab.host()[Lab.address(other.address)]?.pci.physicalFunction)
            _ = try agent.event(within: 20) {
                agent.command.kill(SIGSTOP)
                defer { agent.command.kill(SIGCONT) }
                for count in ["0", "7"] { try Lab.write(count, to: "\(PCIReader.path(itsPort))/sriov_numvfs") }
            } _: {
                $0.contains(other.id) && $0.contains("\"to\":\"lost\"")
            }
            #expect(try agent.release(other.id).state == "free")
            // It creates them again, and keeps the lost one from others.
            let all = try agent.acquire { $0.count = 7 }.leases
            #expect(!all.contains { $0.function == lease.function })
            #expect(try agent.release(lease.id).state == "free")
        }

        @Test("What somebody changes on a free VF is mended; on one in use it is told and left alone")
        func drift() throws {
            let agent = try AgentProcess()
            _ = try agent.event(within: 10) {
                try Lab.run(["ip", "link", "set", "ens10", "vf", "1", "trust", "on"])
            } _: {
                $0.contains("\"kind\":\"apply\"")
            }
            #expect(try Lab.host().functions.first { $0.name == "ens10 vf 1" }?.settings?.trust == false)
            let lease = try #require(try agent.acquire { $0.near = "0000:41:00.0" }.leases.first)
            let held = try VFIODevice(Lab.address(lease.address))
            defer { held.close() }
            _ = try agent.event(within: 10) {
                let index = try #require(lease.name.split(separator: " ").last.map(String.init))
                try Lab.run(["ip", "link", "set", "ens10", "vf", index, "vlan", "9"])
            } _: {
                $0.contains("\"kind\":\"drift\"") && $0.contains("vlan")
            }
            #expect(try settings(lease.address).vlans == [VLAN(id: 9)])
        }

        @Test("A VF that somebody has open without a lease is foreign, and never given out")
        func foreign() throws {
            let agent = try AgentProcess()
            let vf = try #require(try Lab.host().functions.first { $0.name == "ens10 vf 0" })
            let held = try VFIODevice(vf.pci.address)
            defer { held.close() }
            let all = try agent.acquire { $0.count = 7 }.leases
            #expect(!all.contains { $0.address == "\(vf.pci.address)" })
            #expect(throws: LeasingError.self) { try agent.acquire() }
            let pool: PoolView = try agent.client().get("/v1/pools/tenant")
            #expect(pool.functions.first { $0.name == "ens10 vf 0" }?.state == "foreign")
        }

        @Test("SIGTERM ends it within 2 s, leases stay; SIGHUP takes over a new host file, and none with mistakes")
        func signals() throws {
            let agent = try AgentProcess()
            let lease = try #require(try agent.acquire().leases.first)
            let (result, duration) = try agent.stop()
            #expect(result.status == 0, "\(result.error)")
            #expect(duration < .seconds(2), "it took \(duration)")
            try agent.start()
            #expect(try agent.leases().map(\.id) == [lease.id])
            _ = try Lab.file("agent-\(getpid()).yaml", "pools: 3\n")
            agent.command.kill(SIGHUP)
            try agent.waitFor("READY=1")
            #expect(agent.command.errorSoFar.contains("not taken over"))
            _ = try Lab.file(
                "agent-\(getpid()).yaml", AgentProcess.hostFile().replacing("tenant:", with: "renamed:"))
            agent.command.kill(SIGHUP)
            try agent.waitFor("READY=1")
            let pools: [PoolView] = try agent.client().get("/v1/pools")
            #expect(pools.map(\.name) == ["renamed"])
        }

        @Test("The socket is for root and its group; others of the group may look and change nothing")
        func permissions() throws {
            let agent = try AgentProcess()
            withExtendedLifetime(agent) {}
            var status = stat()
            #expect(stat(AgentProcess.socketPath, &status) == 0 && status.st_mode & 0o777 == 0o660)
            func curl(_ arguments: String...) throws -> String {
                try Lab.run(
                    ["setpriv", "--reuid=65534", "--regid=0", "--clear-groups", "curl", "-s", "--unix-socket"]
                        + [AgentProcess.socketPath] + arguments)
            }
            #expect(try curl("http://localhost/v1/pools").contains("tenant"))
            let refused = try curl("-X", "POST", "-d", "{\"pool\":\"tenant\"}", "http://localhost/v1/leases")
            #expect(refused.contains("request.forbidden") && refused.contains("\"status\":403"), "\(refused)")
            #expect(try agent.leases().isEmpty)
        }

        @Test("Who comes back with the id of the last event gets what was missed, once and in order")
        func resume() throws {
            let agent = try AgentProcess()
            var ids: [String] = []
            func collect(after id: String?, _ count: Int, _ body: () throws -> Void) throws -> [String] {
                var found: [String] = []
                var last: String?
                var isBegun = false
                try agent.client().lines("/v1/events", lastEventID: id, quietSeconds: 120) { line in
                    if !isBegun {
                        isBegun = true
                        try? body()
                    }
                    if line.hasPrefix("id: ") { last = String(line.dropFirst(4)) }
                    if line.hasPrefix("data: ") {
                        found.append(line)
                        ids.append(last ?? "")
                    }
                    return found.count < count
                }
                return found
            }
            let first = try collect(after: nil, 3) { _ = try agent.acquire() }
            #expect(first[2].contains("\"to\":\"active\""))
            let seen = ids[0]
            _ = try agent.release(try #require(try agent.leases().first?.id))
            let missed = try collect(after: seen, 5) {}
            #expect(missed.prefix(2).elementsEqual(first.dropFirst()))
            #expect(missed[4].contains("\"to\":\"free\""))
        }

        @Test("Its figures tell of leases, and on request of what VFs have received")
        func metrics() throws {
            let agent = try AgentProcess()
            _ = try agent.acquire()
            let text = try Lab.run([
                "curl", "-s", "--unix-socket", AgentProcess.socketPath, "http://localhost/metrics?vf=1",
            ])
            #expect(text.contains("sluice_leases{state=\"active\"} 1\n"))
            #expect(text.contains("sluice_lease_acquire_seconds_count 1\n"))
            #expect(text.contains("sluice_vf_receive_packets_total{"))
        }
    }
}

/// Counts function-level resets as they happen in the kernel, by a probe on its pcie_flr.
final class FunctionLevelResets {
    private let folder = "/sys/kernel/tracing"

    init() throws {
        try put("p:sluice_flr pcie_flr\n", "kprobe_events", O_WRONLY | O_TRUNC)
        try put("1", "events/kprobes/sluice_flr/enable", O_WRONLY)
        try put("\n", "trace", O_WRONLY | O_TRUNC)
    }

    deinit {
        try? put("0", "events/kprobes/sluice_flr/enable", O_WRONLY)
        try? put("\n", "kprobe_events", O_WRONLY | O_TRUNC)
    }

    func count() throws -> Int {
        let text = try LiveFileTree().contents("\(folder)/trace", limit: 1 << 20) ?? []
        return String(decoding: text, as: UTF8.self).split(separator: "\n").count { $0.contains("sluice_flr:") }
    }

    private func put(_ text: String, _ name: String, _ flags: Int32) throws {
        let descriptor = open("\(folder)/\(name)", flags)
        try #require(descriptor >= 0, "\(name): \(String(cString: strerror(errno)))")
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
    }
}
