// The CNI plugin that a container runtime runs: /opt/cni/bin/sluice-cni. It passes environment and standard input on to
// the agent, which does everything, and prints what the agent answers. What gives out addresses is another plugin, which it
// runs when the agent says so: here, where the runtime's own paths and privileges are.
internal import AgentWire
internal import Glibc

/// The versions of the specification that the agent speaks (ContainerNetwork.versions).
let versions = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]

func variable(_ name: String) -> String { getenv(name).map { String(cString: $0) } ?? "" }

/// Prints what the runtime reads, and ends.
func finish(_ text: String, status: Int32) -> Never {
    _ = writeAll(1, Array((text.isEmpty ? "" : text + "\n").utf8))
    exit(status)
}

/// Fails as the specification has it (section "Error").
func fail(_ code: Int, _ message: String, _ details: String) -> Never {
    finish(
        "{\"cniVersion\":\(quoted(version)),\"code\":\(code),\"msg\":\(quoted(message)),\"details\":\(quoted(details))}",
        status: 1)
}

signal(SIGPIPE, SIG_IGN)
let command = variable("CNI_COMMAND")
guard !command.isEmpty else {
    _ = writeAll(
        2,
        Array(
            """
            sluice-cni is run by container runtimes, with CNI_COMMAND set; Documentation/kubernetes-node.md says how.
            It speaks CNI \(versions.joined(separator: ", ")).

            """.utf8))
    exit(CommandLine.arguments.contains("--version") || CommandLine.arguments.contains("--help") ? 0 : 1)
}
// Larger ones are nobody's.
let config = readAll(0, limit: 1 << 20)
/// The version in the configuration, as far as it is needed without reading the whole.
let version: String = {
    guard let key = find("\"cniVersion\"", in: config) else { return "0.1.0" }
    let parts = config[key.upperBound...].utf8.prefix(64).split(
        separator: UInt8(ascii: "\""), maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count > 2, !parts[1].isEmpty, parts[0].allSatisfy({ ": \t\r\n".utf8.contains($0) }) else {
        return "0.1.0"
    }
    return String(Substring(parts[1]))
}()
// The agent does not say so; a configuration that does would start programs without end.
guard variable(Plugin.mark).isEmpty else {
    fail(7, "sluice-cni gives out no addresses", "→ ipam.type is another plugin")
}
if command == "VERSION" {
    let list = versions.map(quoted).joined(separator: ",")
    finish("{\"cniVersion\":\(quoted(version)),\"supportedVersions\":[\(list)]}", status: 0)
}

var fields = [
    ("command", command), ("containerID", variable("CNI_CONTAINERID")), ("netns", variable("CNI_NETNS")),
    ("ifname", variable("CNI_IFNAME")), ("args", variable("CNI_ARGS")), ("config", config),
]
// A runtime gives up after some minutes; a VF whose driver hangs takes half a minute.
let agent = AgentSocket(patience: 110, accepts: "application/cni+json")
var answer = agent.post("/v1/cni", fields)
// 202 is the name of the plugin that gives out addresses.
if let name = answer, name.status == 202 {
    let (output, status) = Plugin.run(name.text, input: config, path: variable("CNI_PATH"))
    fields += [("ipamOutput", output), ("ipamStatus", "\(status)")]
    answer = agent.post("/v1/cni", fields)
    // What was given out for an interface that has not come about is given back.
    if command == "ADD", [0, Plugin.tookTooLong].contains(status), answer?.status != 200 {
        setenv("CNI_COMMAND", "DEL", 1)
        _ = Plugin.run(name.text, input: config, path: variable("CNI_PATH"))
    }
}
guard let answer else {
    fail(
        command == "STATUS" ? 50 : 11, "no agent answers at /run/sluice/sluice.sock",
        "→ systemctl status sluiced says why; nothing was changed that the next DEL does not undo")
}
switch answer.status {
// Whatever keeps the agent from adding interfaces.
case _
where command == "STATUS" && answer.status != 200
    && ["50", "51"].allSatisfy { find("\"code\":\($0),", in: answer.text) == nil }:
    fail(50, "no interface can be added at the moment", answer.text)
case 200: finish(answer.text, status: 0)
case _ where answer.text.hasPrefix("{"): finish(answer.text, status: 1)
default: fail(100, "the agent's answer is not understood (\(answer.status))", answer.text)
}
