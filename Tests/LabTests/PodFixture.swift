import Foundation
import Glibc
import PCI
import SRIOV
import Testing

/// A network namespace like a pod's, and the plugin called for it as a container runtime calls it.
final class Pod {
    let name: String
    var path: String { "/run/netns/\(name)" }
    /// Where Debian's plugins for addresses are, and those of the test.
    private static let plugins = "/tmp/cni-plugins:/usr/lib/cni"

    init(_ name: String) throws {
        self.name = name
        try Lab.run(["ip", "netns", "add", name])
        try Lab.run(["ip", "-n", name, "link", "set", "lo", "up"])
    }

    deinit { _ = try? Command(["ip", "netns", "del", name]).finish() }

    /// A network's configuration: the members that are given, beside those that are always there.
    static func configuration(
        _ members: [String: Any] = [:], version: String = "1.0.0", network: String = "tenants", isAddressed: Bool = true
    ) throws -> String {
        var all: [String: Any] = ["cniVersion": version, "name": network, "type": "sluice-cni"]
        if isAddressed {
            all["ipam"] = [
                "type": "host-local", "ranges": [[["subnet": "10.7.0.0/24", "gateway": "10.7.0.1"]]],
                "routes": [["dst": "10.99.0.0/16"]], "dataDir": "/tmp/cni-addresses",
            ]
        }
        all.merge(members) { $1 }
        return String(decoding: try JSONSerialization.data(withJSONObject: all), as: UTF8.self)
    }

    /// A configuration as CHECK and DEL get it: with the result of ADD.
    static func adding(_ reply: Reply, to configuration: String) throws -> String {
        var all = try JSONSerialization.jsonObject(with: Data(configuration.utf8)) as? [String: Any] ?? [:]
        all["prevResult"] = reply.object
        return String(decoding: try JSONSerialization.data(withJSONObject: all), as: UTF8.self)
    }

    /// What the plugin has answered.
    struct Reply {
        var status: Int32
        var text: String
        var error: String
        var object: [String: Any] {
            (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [String: Any] ?? [:]
        }
        var code: Int? { object["code"] as? Int }
        var interface: [String: Any] { (object["interfaces"] as? [[String: Any]])?.last ?? [:] }
        var address: String? { ((object["ips"] as? [[String: Any]])?.first)?["address"] as? String }
    }

    /// Starts the plugin; `reply` waits for it.
    static func start(
        _ command: String, _ configuration: String, container: String = "", netns: String = "",
        interface: String = "net1",
        arguments: String = ""
    ) throws -> Command {
        let file = try Lab.file("cni-\(UInt64.random(in: 0 ... .max)).json", configuration)
        return try Command([
            "env", "CNI_COMMAND=\(command)", "CNI_CONTAINERID=\(container)", "CNI_NETNS=\(netns)",
            "CNI_IFNAME=\(interface)", "CNI_ARGS=\(arguments)", "CNI_PATH=\(plugins)", "sh", "-c",
            "exec 3<\(file); rm \(file); exec sluice-cni <&3",
        ])
    }

    static func reply(_ command: Command) throws -> Reply {
        let result = try command.finish()
        return Reply(status: result.status, text: result.output, error: result.error)
    }

    func call(
        _ command: String, _ configuration: String, interface: String = "net1", arguments: String = ""
    ) throws -> Reply {
        try Self.reply(
            Self.start(
                command, configuration, container: "container-\(name)", netns: path, interface: interface,
                arguments: arguments))
    }

    /// Adds an interface that must come about.
    func add(_ configuration: String) throws -> Reply {
        let reply = try call("ADD", configuration)
        try #require(reply.status == 0, "\(reply)")
        return reply
    }

    /// The output of a program in the namespace, and whether it has succeeded.
    func run(_ arguments: String...) throws -> Command.Result {
        try Command(["ip", "netns", "exec", name] + arguments).finish()
    }

    func reaches(_ address: String) throws -> Bool { try run("ping", "-c", "1", "-W", "10", address).status == 0 }
}
