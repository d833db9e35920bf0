import AgentAPI
import Foundation
import Glibc
import Leasing
import Netlink
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

    /// Takes an interface away as a runtime does: again and again, for as long as it is told to come later.
    static func delete(
        _ configuration: String, container: String, netns: String = "", _ location: SourceLocation = #_sourceLocation
    ) throws {
        var said = ""
        try Lab.wait(for: "DEL: \(said)") {
            let reply = try reply(start("DEL", configuration, container: container, netns: netns))
            #expect(reply.status == 0 || reply.code == 11, "\(reply)", sourceLocation: location)
            said = reply.text
            return reply.status == 0
        }
    }

    func delete(_ configuration: String, _ location: SourceLocation = #_sourceLocation) throws {
        try Self.delete(configuration, container: "container-\(name)", netns: path, location)
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

    /// Does damage in the container, which CHECK names with a word (none: it is no damage), and undoes it.
    func expectChecked(
        _ configuration: String, _ damages: [(damage: String, repair: String, word: String)],
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        #expect(try call("CHECK", configuration).status == 0, sourceLocation: location)
        for (damage, repair, word) in damages {
            #expect(try run("sh", "-c", damage).status == 0, "\(damage)", sourceLocation: location)
            let told = try call("CHECK", configuration)
            #expect(told.status == (word.isEmpty ? 0 : 1), "\(damage): \(told)", sourceLocation: location)
            let isNamed = word.isEmpty || "\(told.object["msg"] ?? "")".contains(word)
            #expect(isNamed, "\(damage): \(told)", sourceLocation: location)
            #expect(try run("sh", "-c", repair).status == 0, "\(repair)", sourceLocation: location)
            #expect(try call("CHECK", configuration).status == 0, "\(repair)", sourceLocation: location)
        }
    }

    func reaches(_ address: String) throws -> Bool { try run("ping", "-c", "1", "-W", "10", address).status == 0 }
}

/// The host that pods are on: VFs with their kernel driver, in one pool.
enum PodHost {
    static let file = file(virtualFunctions: 4, ports: 1)

    static func file(virtualFunctions count: Int, ports: Int) -> String {
        let names = (0..<ports).map { "ens1\($0)" }
        return "physicalFunctions:\n"
            + names.map { "  - { match: { netdev: \($0) }, virtualFunctions: \(count), driver: kernel }\n" }.joined()
            + "pools:\n  pods: { for: kubernetes, functions: ["
            + names.map { "{ physicalFunction: \($0) }" }.joined(separator: ", ") + "] }\n"
    }

    static func reset() throws {
        try Lab.reset()
        try Lab.run(["rm", "-rf", "/tmp/cni-addresses", "/tmp/cni-plugins"])
    }

    /// The VFs with their addresses, in order.
    static func functions(ports: Int = 1) throws -> [PCIAddress] {
        let host = try Lab.host()
        return try (0..<ports).flatMap { number in
            let port = try #require(host.physicalFunctions.first { $0.name == "ens1\(number)" })
            return host.virtualFunctions(of: port.pci.address).map(\.pci.address)
        }
    }

    /// What a VF of the first port is set to.
    static func settings(_ index: Int) throws -> VirtualFunctionSettings {
        let port = try #require(try Lab.host().physicalFunctions.first { $0.name == "ens10" }?.link?.index)
        let reports = try Lab.kernel().link(index: port, .virtualFunctions).virtualFunctions
        return try #require(reports.first { $0.index == UInt32(index) }).settings
    }

    static func leases() throws -> [LeaseView] { try AgentProcess.connect().get("/v1/leases") }

    /// Every VF is at home, with its driver, and nothing of a tenant is left.
    static func expectClean(
        _ what: String = "", ports: Int = 1, of count: Int = 4, _ location: SourceLocation = #_sourceLocation
    ) throws {
        let comment = Comment(rawValue: what)
        let leases = try leases().map { "\($0.id) \($0.state) \($0.reason ?? "")" }
        #expect(leases.isEmpty, comment, sourceLocation: location)
        try Lab.settle()
        let host = try Lab.host()
        let addresses = try functions(ports: ports)
        #expect(addresses.count == count, comment, sourceLocation: location)
        for address in addresses {
            let function = try #require(host[address])
            #expect(function.pci.driver == "igbvf" && function.link != nil, comment, sourceLocation: location)
            let settings = try #require(function.settings)
            #expect(
                settings.vlans?.isEmpty ?? true && settings.spoofCheck == true && settings.trust == false, comment,
                sourceLocation: location)
            #expect(
                settings.mac.map { !"\($0)".hasPrefix("02:00:00:00:07") } ?? true, comment, sourceLocation: location)
            let name = function.link?.name ?? ""
            #expect(!name.hasPrefix("sluice") && name != "net1", comment, sourceLocation: location)
        }
    }
}
