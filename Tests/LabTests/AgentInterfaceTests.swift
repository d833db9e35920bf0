import AgentAPI
import Glibc
import Leasing
import Netlink
import PCI
import SRIOV
import Testing

extension LabSuite {
    @Suite(
        "The agent's interfaces", .serialized,
        .enabled(if: Lab.isVariant("default"), "runs in the lab's default variant"))
    struct AgentInterfaceTests {
        init() throws { try Lab.reset() }

        @Test("The command line says the same through the agent and alone, and leases are holders for both")
        func sameOutput() throws {
            let agent = try AgentProcess()
            let file = agent.file
            let acquired = try Lab.sluice("lease", "acquire", "--pool", "tenant", "--numa-node", "1", "--explain")
            #expect(acquired.status == 0 && acquired.output.contains("chosen  ens12 vf 0: node 1"), "\(acquired)")
            let id = try #require(try agent.leases().first?.id)
            let resized = try Lab.file(
                "resized.yaml",
                AgentProcess.hostFile().replacing("ens12 }, virtualFunctions: 2", with: "ens12 }, virtualFunctions: 1"))
            let commands: [[String]] = [
                ["pool", "list", "-f", file], ["pool", "show", "tenant", "-f", file], ["lease", "list"],
                ["lease", "show", id, "-o", "json"], ["lease", "history", "ens12 vf 0"], ["list", "-o", "json"],
                ["topology", "-f", file], ["plan", "-f", file], ["plan", "-f", resized], ["events", "-o", "wide"],
            ]
            func run() throws -> [Command.Result] { try commands.map { try Command(["sluice"] + $0).finish() } }
            let through = try run()
            _ = try agent.stop()
            let alone = try run()
            for (command, (one, other)) in zip(commands, zip(through, alone)) {
                #expect(one.output == other.output && one.status == other.status, "\(command):\n\(one)\n\(other)")
            }
            // A leased VF is nobody's to remove, also before its tenant uses it.
            #expect(through[8].status == 3 && through[8].output.contains("lease \(id) of person:root"), "\(through[8])")
            let refused = try Lab.sluice("apply", "-f", resized, "--yes")
            #expect(refused.status == 3 && refused.output.contains("lease \(id)"), "\(refused)")
            #expect(try Lab.sluice("lease", "release", id, "-f", file).status == 0)
            #expect(try Lab.sluice("lease", "list").output.split(separator: "\n").count == 1)
        }

        @Test("An apply through the agent tells its steps; another file than the agent's is refused")
        func applyThroughAgent() throws {
            let agent = try AgentProcess()
            let changed = AgentProcess.hostFile().replacing(
                "netdev: ens11 }, virtualFunctions: 2, driver: vfio-pci",
                with: "netdev: ens11 }, virtualFunctions: 2, driver: vfio-pci, defaults: { vlan: { id: 9 } }")
            let other = try Lab.file("other.yaml", changed)
            let refused = try Lab.sluice("apply", "-f", other, "--yes")
            #expect(refused.status == 1 && refused.error.contains("hostfile.foreign"), "\(refused)")
            _ = try Lab.file("agent-\(getpid()).yaml", changed)
            let applied = try Lab.sluice("apply", "-f", agent.file, "--yes")
            #expect(applied.status == 0 && applied.output.contains("ens11  1/1  settings of 2 VFs: done"), "\(applied)")
            #expect(applied.output.contains("ens11  2 functions as declared, verified"), "\(applied)")
            let again = try Lab.sluice("apply", "-f", agent.file, "--yes")
            #expect(again.status == 0 && again.output == "Nothing to do: the host is as declared.\n", "\(again)")
            let mistaken = try Lab.sluice("plan", "-f", try Lab.file("mistake.yaml", "pools: 3\n"))
            #expect(mistaken.status == 65 && mistaken.error.contains("mistake.yaml:1:8:"), "\(mistaken)")
        }

        @Test("Following events shows what happens, from a place on and from now on")
        func followEvents() throws {
            let agent = try AgentProcess()
            let lease = try #require(try agent.acquire().leases.first)
            let follower = try Command(["sluice", "events", "--follow", "--after", "0-0"])
            // What was before it asked, and what comes while it listens.
            try Lab.wait(for: "the past") { follower.outputSoFar.contains("preparing → active") }
            _ = try agent.release(lease.id)
            try Lab.wait(for: "what happens") { follower.outputSoFar.contains("scrubbing → free") }
            follower.kill(SIGTERM)
            #expect(try follower.finish().output.contains("lease \(lease.id)"))
            _ = try agent.stop()
            let recorded = try Lab.sluice("events", "-o", "json", "--last", "3")
            #expect(recorded.output.split(separator: "\n").count == 3 && recorded.output.contains("\"to\":\"free\""))
        }

        @Test("On TCP only a client with a certificate gets in, and SIGHUP takes over a new certificate")
        func tls() throws {
            let folder = "/tmp/tls-\(getpid())"
            try Lab.run(["mkdir", "-p", folder])
            try Lab.run([
                "bash", "-euc",
                """
                cd \(folder)
                openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=authority -days 2 -keyout ca.key -out ca.pem
                for name in agent client; do
                    openssl req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name.key -out $name.csr
                    printf 'subjectAltName=IP:127.0.0.1\\n' >$name.ext
                    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.pem
                done
                """,
            ])
            let agent = try AgentProcess(arguments: [
                "--listen", "127.0.0.1:8443", "--certificate", "\(folder)/agent.pem", "--key", "\(folder)/agent.key",
                "--client-ca", "\(folder)/ca.pem",
            ])
            func curl(_ arguments: String...) throws -> Command.Result {
                try Command(
                    ["curl", "-sS", "--cacert", "\(folder)/ca.pem"] + arguments + ["https://127.0.0.1:8443/v1/pools"]
                )
                .finish()
            }
            let certificate = ["--cert", "\(folder)/client.pem", "--key", "\(folder)/client.key"]
            let allowed = try curl(certificate[0], certificate[1], certificate[2], certificate[3])
            #expect(allowed.status == 0 && allowed.output.contains("tenant"), "\(allowed)")
            let refused = try curl()
            #expect(refused.status != 0 && refused.output.isEmpty, "\(refused)")
            func serial() throws -> String {
                try Lab.run([
                    "bash", "-c",
                    """
                    openssl s_client -connect 127.0.0.1:8443 -cert \(folder)/client.pem -key \(folder)/client.key \
                    </dev/null 2>/dev/null | openssl x509 -noout -serial
                    """,
                ])
            }
            let before = try serial()
            try Lab.run([
                "bash", "-euc",
                """
                cd \(folder)
                openssl x509 -req -in agent.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile agent.ext -out agent.pem
                """,
            ])
            agent.command.kill(SIGHUP)
            try agent.waitFor("READY=1")
            #expect(try serial() != before)
        }

        @Test("systemd may open the socket, and hears of the agent's health")
        func socketActivation() throws {
            setenv("WATCHDOG_USEC", "2000000", 1)
            defer { unsetenv("WATCHDOG_USEC") }
            let agent = try AgentProcess(
                prefix: [
                    "systemd-socket-activate", "-E", "LD_LIBRARY_PATH", "-E", "PATH", "-E", "NOTIFY_SOCKET", "-E",
                    "WATCHDOG_USEC", "-l",
                    AgentProcess.socketPath,
                ],
                wakeUp: {
                    // systemd's program listens as soon as it has started; the first request starts the agent.
                    try? Lab.wait(for: "an answer") {
                        (try? AgentProcess.connect().get("/v1/pools", as: [PoolView].self)) != nil
                    }
                })
            let pools: [PoolView] = try agent.client().get("/v1/pools")
            #expect(pools.map(\.name) == ["tenant"])
            try agent.waitFor("WATCHDOG=1")
        }

        @Test("What cannot be understood is answered with what is wrong, and nothing is changed")
        func badRequests() throws {
            let agent = try AgentProcess()
            func ask(_ method: String, _ target: String, _ body: String) throws -> String {
                try Lab.run([
                    "curl", "-s", "--unix-socket", AgentProcess.socketPath, "-X", method, "-d", body,
                    "http://localhost\(target)",
                ])
            }
            for (body, words) in [
                ("{", "the body is not the JSON object"), ("[]", "wrong type"),
                (#"{"pool":3}"#, "pool has the wrong type"),
                (#"{"pol":"tenant"}"#, #"unknown member \"pol\""#),
                (#"{"pool":"tenant","settings":{"vlanId":5}}"#, #"unknown member \"settings.vlanId\""#),
                (#"{"pool":"tenant","settings":{"vlan":{"id":5000}}}"#, "out of range"),
                (#"{"pool":"tenant","count":0}"#, "count 0 is out of range"),
                (#"{"pool":"none"}"#, "there is no pool none"), (#"{}"#, "pool or of one function"),
                (#"{"pool":"tenant","consumer":"process:99999"}"#, "there is no process 99999"),
                (#"{"pool":"tenant","consumer":"robot:1"}"#, "consumer"),
            ] {
                let answer = try ask("POST", "/v1/leases", body)
                #expect(answer.contains(words) && answer.contains("\"status\":4"), "\(body): \(answer)")
            }
            #expect(try ask("POST", "/v1/plans", #"{"hostFile":"pools: 3"}"#).contains("hostfile.invalid"))
            #expect(try ask("PUT", "/v1/leases", "").contains("request.method"))
            #expect(try ask("GET", "/v1/nothing", "").contains("request.notFound"))
            #expect(try ask("GET", "/v1/events?after=x", "").contains("is not the id of an event"))
            #expect(try agent.leases().isEmpty)
        }
    }
}
