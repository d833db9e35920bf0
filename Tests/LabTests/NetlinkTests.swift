import Glibc
import Netlink
import SRIOV
import SystemPackage
import Testing

extension LabSuite {
    @Suite(
        "rtnetlink and devlink on netdevsim", .serialized,
        .enabled(if: Lab.isVariant("netdevsim"), "runs in the lab's netdevsim variant"))
    struct NetdevsimTests {
        private let name = "eni7np1"
        private let device = "/sys/bus/netdevsim/devices/netdevsim7"

        init() throws {
            if try !FileTreeProbe.exists(device) { try Lab.write("7 1", to: "/sys/bus/netdevsim/new_device") }
            try Lab.settle()
        }

        private func make(_ count: Int) throws -> (connection: RouteNetlinkBox, index: Int32) {
            try Lab.write("0", to: device + "/sriov_numvfs")
            try Lab.write("\(count)", to: "/sys/kernel/debug/netdevsim/netdevsim7/max_vfs")
            if count > 0 { try Lab.write("\(count)", to: device + "/sriov_numvfs") }
            let connection = try RouteNetlinkBox()
            return (connection, try connection.link(named: name).index)
        }

        @Test("1,000 VFs are listed, each with its own MAC and VLAN")
        func thousand() throws {
            let (connection, index) = try make(1000)
            var changes: [VirtualFunctionChange] = []
            for number in 0..<1000 {
                var settings = VirtualFunctionSettings()
                settings.mac = MACAddress(rawValue: 0x5254_0000_0000 + UInt64(number))
                settings.vlans = [VLAN(id: UInt16(number + 1), qos: UInt8(number % 8))]
                changes.append(VirtualFunctionChange(index: UInt32(number), settings: settings))
            }
            try connection.set(changes, of: index)
            let link = try connection.link(index: index, .virtualFunctions)
            #expect(link.virtualFunctionCount == 1000)
            #expect(link.virtualFunctions.map(\.index) == Array(0..<1000))
            for (report, change) in zip(link.virtualFunctions, changes) {
                #expect(report.settings.mac == change.settings.mac && report.settings.vlans == change.settings.vlans)
            }
            #expect(link.device == .init(bus: "netdevsim", name: "netdevsim7"))
            let listed = try #require(try connection.links(.virtualFunctions).first { $0.index == index })
            #expect(listed.virtualFunctions == link.virtualFunctions)
            _ = try make(0)
        }

        @Test("Every setting is read back as it was set")
        func setters() throws {
            let (connection, index) = try make(4)
            var settings = VirtualFunctionSettings()
            settings.mac = MACAddress(rawValue: 0x5254_005c_0001)
            settings.vlans = [VLAN(id: 4094, qos: 7, protocol: .dot1ad)]
            (settings.minTxRateMbps, settings.maxTxRateMbps) = (10, 2000)
            (settings.spoofCheck, settings.trust, settings.rssQuery) = (true, true, true)
            settings.linkState = .disable
            try connection.set([VirtualFunctionChange(index: 2, settings: settings)], of: index)
            let read = try connection.link(index: index, .virtualFunctions).virtualFunctions
            #expect(settings.mac == read[2].settings.mac && settings.vlans == read[2].settings.vlans)
            #expect(read[2].settings.minTxRateMbps == 10 && read[2].settings.maxTxRateMbps == 2000)
            #expect(read[2].settings.spoofCheck == true && read[2].settings.trust == true)
            #expect(read[2].settings.rssQuery == true && read[2].settings.linkState == .disable)
            #expect(read[1].settings.mac?.isZero == true && read[1].settings.vlans == [])
            // The limit alone leaves the guarantee as it is.
            var limit = VirtualFunctionSettings()
            limit.maxTxRateMbps = 3000
            try connection.set([VirtualFunctionChange(index: 2, settings: limit)], of: index)
            let limited = try connection.link(index: index, .virtualFunctions).virtualFunctions[2].settings
            #expect(limited.minTxRateMbps == 10 && limited.maxTxRateMbps == 3000)
            for state in VirtualFunctionSettings.LinkState.allCases {
                var change = VirtualFunctionSettings()
                change.linkState = state
                try connection.set([VirtualFunctionChange(index: 0, settings: change)], of: index)
                #expect(
                    try connection.link(index: index, .virtualFunctions).virtualFunctions[0].settings.linkState == state
                )
            }
            _ = try make(0)
        }

        @Test("Refusals arrive as errnos, with the kernel's own text where it gives one")
        func errors() throws {
            let (connection, index) = try make(1)
            func error(_ body: () throws -> Void) -> NetlinkError? {
                do { try body() } catch { return error as? NetlinkError }
                return nil
            }
            #expect(error { try connection.setUp(true, link: 9999) }?.errno == Errno(rawValue: ENODEV))
            #expect(error { _ = try connection.link(named: "no-such-link") }?.errno == Errno(rawValue: ENODEV))
            var settings = VirtualFunctionSettings()
            settings.nodeGUID = GUID(rawValue: 1)
            let guid = error { try connection.set([VirtualFunctionChange(index: 0, settings: settings)], of: index) }
            #expect(
                guid?.errno == Errno(rawValue: EOPNOTSUPP) || guid?.errno == .invalidArgument,
                "\(String(describing: guid))")
            let mtu = error { try connection.setMTU(1 << 30, link: index) }
            #expect(mtu?.errno == .invalidArgument && mtu?.text?.contains("mtu") == true, "\(String(describing: mtu))")
            let name = error { try connection.rename(link: index, to: String(repeating: "n", count: 20)) }
            #expect(name?.errno == Errno(rawValue: ERANGE) && name?.text != nil, "\(String(describing: name))")
            let refused = onOtherUser { error { try connection.setMTU(1400, link: index) } }
            #expect(refused?.errno == .notPermitted, "\(String(describing: refused))")
            _ = try make(0)
        }

        /// Runs a closure without the right to change the network.
        private func onOtherUser<Result>(_ body: () -> Result) -> Result {
            seteuid(65534)
            defer { seteuid(0) }
            return body()
        }

        @Test("The eswitch goes to switchdev, VFs get representors, and back")
        func eswitch() throws {
            _ = try make(2)
            let handle = Devlink.Handle(bus: "netdevsim", name: "netdevsim7")
            var devlink = try Devlink.open()
            #expect(try devlink.eswitchMode(of: handle) == .legacy)
            try devlink.setEswitchMode(.switchdev, of: handle)
            #expect(try devlink.eswitchMode(of: handle) == .switchdev)
            let ports = try devlink.ports().filter { $0.device == handle && $0.flavour == .pcivf }
            #expect(ports.map(\.vfNumber) == [0, 1] && ports.allSatisfy { $0.netdev != nil }, "\(ports)")
            try devlink.setEswitchMode(.legacy, of: handle)
            let info = try devlink.info(of: handle)
            #expect(info.driver == "netdevsim" && info.versions["fw.mgmt"] == "10.20.30", "\(info)")
            _ = try make(0)
        }

        @Test("Names, alternative names, MTU, flags, masters and namespaces")
        func links() throws {
            let (connection, _) = try make(0)
            try Lab.run(["ip", "link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b"])
            try Lab.run(["ip", "link", "add", "br-t", "type", "bridge"])
            try Lab.run([
                "ip", "link", "property", "add", "dev", "veth-a", "altname", "an-alternative-name-of-some-length",
            ])
            try Lab.run(["ip", "netns", "add", "other"])
            defer {
                _ = try? Lab.run(["ip", "netns", "delete", "other"])
                _ = try? Lab.run(["ip", "link", "delete", "br-t"])
            }
            var link = try connection.link(named: "an-alternative-name-of-some-length")
            #expect(link.name == "veth-a" && link.kind == "veth" && !link.isUp)
            try connection.setUp(true, link: link.index)
            try connection.setMTU(1400, link: link.index)
            try connection.setMaster(try connection.link(named: "br-t").index, link: link.index)
            link = try connection.link(index: link.index)
            #expect(link.isUp && link.mtu == 1400 && link.slaveKind == "bridge")
            try connection.setMaster(0, link: link.index)
            try connection.setUp(false, link: link.index)
            try connection.rename(link: link.index, to: "renamed")
            #expect(try connection.link(index: link.index).name == "renamed")
            let namespace = open("/run/netns/other", O_RDONLY | O_CLOEXEC)
            defer { close(namespace) }
            try connection.move(link: link.index, toNamespace: namespace, newName: "net1")
            #expect(try Lab.run(["ip", "netns", "exec", "other", "ip", "-o", "link"]).contains("net1@"))
            #expect(
                try Lab.kernel().otherNamespaces().first { $0.name == "other" }?.links.contains { $0.name == "net1" }
                    == true)
        }

        @Test("Changes of links arrive as events; a reader that falls behind is told to read anew")
        func events() async throws {
            try await LinkMonitor.withEvents { events in
                var iterator = events.makeAsyncIterator()
                #expect(await iterator.next() == .resync)
                try Lab.run(["ip", "link", "add", "dummy-t", "type", "bridge"])
                try Lab.run(["ip", "link", "delete", "dummy-t"])
                var seen: Set<String> = []
                while seen.count < 2, let event = await iterator.next() {
                    if case .changed(let link) = event, link.name == "dummy-t" { seen.insert("changed") }
                    if case .removed(_, "dummy-t") = event { seen.insert("removed") }
                }
                #expect(seen == ["changed", "removed"])
            }
            try await LinkMonitor.withEvents(capacity: 4) { events in
                let batch = (0..<200).map { "link add bridge-\($0) type bridge\nlink delete bridge-\($0)" }.joined(
                    separator: "\n")
                try Lab.run(["ip", "-batch", try Lab.file("batch", batch + "\n")])
                var resyncs = 0
                for await event in events {
                    if event == .resync { resyncs += 1 }
                    if case .removed(_, "bridge-199") = event { break }
                }
                #expect(resyncs > 0)
            }
        }
    }
}

/// Whether a path is there.
enum FileTreeProbe {
    static func exists(_ path: String) throws -> Bool { access(path, F_OK) == 0 }
}

/// A connection that tests can pass around.
final class RouteNetlinkBox {
    private var connection: RouteNetlink

    init() throws { connection = try RouteNetlink.open() }

    func links(_ detail: RouteNetlink.Detail) throws -> [Link] { try connection.links(detail) }
    func link(named name: String) throws -> Link { try connection.link(named: name) }
    func link(index: Int32, _ detail: RouteNetlink.Detail = .linksOnly) throws -> Link {
        try connection.link(index: index, detail)
    }
    func set(_ changes: [VirtualFunctionChange], of index: Int32) throws { try connection.set(changes, of: index) }
    func setUp(_ isUp: Bool, link index: Int32) throws { try connection.setUp(isUp, link: index) }
    func setMTU(_ mtu: UInt32, link index: Int32) throws { try connection.setMTU(mtu, link: index) }
    func setMaster(_ master: Int32, link index: Int32) throws { try connection.setMaster(master, link: index) }
    func rename(link index: Int32, to name: String) throws { try connection.rename(link: index, to: name) }
    func move(link index: Int32, toNamespace descriptor: Int32, newName: String) throws {
        try connection.move(link: index, toNamespace: descriptor, newName: newName)
    }
}
