internal import Netlink
internal import PCI
public import SRIOV
internal import Yams

/// The host file: the declared state of one host, in YAML.
public enum HostFile {
    /// The largest file that is read, bytes.
    public static let maximumSize = 1 << 20

    /// The most aliases (`*name`) that a file may have. Nested, each multiplies what the others stand for, already while
    /// the parser builds its tree: 32 of them stand for some hundred thousand parts at the most.
    public static let maximumAliases = 32

    /// How many words of a text look like an alias.
    private static func aliasCount(_ text: String) -> Int {
        var count = 0
        var previous = UInt8(ascii: "\n")
        for character in text.utf8 {
            if character == UInt8(ascii: "*"), " \t\n\r[]{},:?-".utf8.contains(previous) { count += 1 }
            previous = character
        }
        return count
    }

    /// The text of a host file; the name is what it is called in messages.
    ///
    /// Throws `hostfile.unreadable` when there is none, or it is not text.
    public static func text(of path: String, name: String? = nil) throws -> String {
        let name = name ?? path
        guard let bytes = try LiveFileTree().contents(path, limit: maximumSize + 1) else {
            throw SRIOVError(
                .hostFileUnreadable, "there is no host file \(name)",
                remedy: "write one (Documentation/host-file.md has examples), or name it with -f FILE")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SRIOVError(.hostFileUnreadable, "\(name) is not text in UTF-8", remedy: "save it as UTF-8")
        }
        return text
    }

    /// Parses a host file. Nothing of a file with a mistake is used: all mistakes are thrown together, in the order of
    /// the text.
    public static func parse(_ text: String, file: String) throws(HostFileErrors) -> DeclaredHost {
        guard text.utf8.count <= maximumSize else {
            throw single(file, 1, 1, "the file is larger than 1 MiB")
        }
        guard aliasCount(text) <= maximumAliases else {
            throw single(file, 1, 1, "the file has more than \(maximumAliases) aliases (*name)")
        }
        guard let root = try compose(text, file) else { return DeclaredHost() }
        var checker = Checker(file: file)
        checker.check(root, .host, at: "")
        guard checker.errors.isEmpty else { throw HostFileErrors(errors: sorted(checker.errors)) }
        var builder = Builder(checker: checker)
        let host = builder.host(root)
        guard builder.checker.errors.isEmpty else { throw HostFileErrors(errors: sorted(builder.checker.errors)) }
        return host
    }

    private static func sorted(_ errors: [HostFileError]) -> [HostFileError] {
        errors.sorted { ($0.position.line, $0.position.column) < ($1.position.line, $1.position.column) }
    }

    private static func single(_ file: String, _ line: Int, _ column: Int, _ message: String) -> HostFileErrors {
        HostFileErrors(errors: [HostFileError(SourcePosition(file: file, line: line, column: column), message)])
    }

    private static func compose(_ text: String, _ file: String) throws(HostFileErrors) -> Node? {
        do {
            return try Yams.compose(yaml: text, .basic, .default, .utf8)
        } catch let error as YamlError {
            switch error {
            case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
                .composer(let context, let problem, let mark, _):
                let about = context.map { " (\($0.text.trimmingPrefix(" ")))" } ?? ""
                throw single(file, mark.line, mark.column, "not YAML: \(problem)\(about)")
            case .reader(let problem, let offset, _, _):
                let before = text.prefix(offset ?? 0)
                let line = before.count(where: \.isNewline) + 1
                throw single(file, line, before.reversed().prefix { !$0.isNewline }.count + 1, "not YAML: \(problem)")
            case .duplicatedKeysInMapping(let duplicates, let context):
                let keys = duplicates.map { "\"\($0)\"" }.joined(separator: ", ")
                throw single(file, context.mark.line, context.mark.column, "the key \(keys) is given twice")
            default: throw single(file, 1, 1, "not YAML: \(error)")
            }
        } catch {
            throw single(file, 1, 1, "not YAML: \(error)")
        }
    }
}

/// Makes the declared state of a tree whose form has been checked, and reports what contradicts itself.
private struct Builder {
    var checker: Checker
    private var netdevs: [String: DeclaredPhysicalFunction] = [:]

    init(checker: Checker) { self.checker = checker }

    mutating func host(_ root: Node) -> DeclaredHost {
        var host = DeclaredHost()
        for node in list(root["physicalFunctions"]) { host.physicalFunctions.append(physicalFunction(node)) }
        for node in list(root["passthrough"]) {
            host.passthrough.append(
                DeclaredPassthrough(
                    identity: identity(node["match"]), driver: driver(node["driver"]) ?? .kernel(nil),
                    position: checker.position(node)))
        }
        checkClaims(list(root["physicalFunctions"]) + list(root["passthrough"]))
        for entry in host.physicalFunctions { if let name = entry.identity.netdev { netdevs[name] = entry } }
        if case .mapping(let pools)? = root["pools"] {
            for (key, node) in pools { host.pools.append(pool(key.scalar?.string ?? "", node)) }
            checkOverlaps(host, pools)
            checkResources(host, pools)
        }
        return host
    }

    // MARK: Parts

    private mutating func physicalFunction(_ node: Node) -> DeclaredPhysicalFunction {
        var entry = DeclaredPhysicalFunction(
            identity: identity(node["match"]), virtualFunctions: integer(node["virtualFunctions"]) ?? 0,
            position: checker.position(node))
        entry.driver = driver(node["driver"])
        if let defaults = node["defaults"] { entry.defaults = settings(defaults) }
        entry.mtu = integer(node["mtu"]).map { UInt32($0) }
        entry.eswitchMode = text(node["eswitchMode"]).map { $0 == "switchdev" ? .switchdev : .legacy }
        var taken = Set<Int>()
        // Two ports may give the same address: a guest bonds such VFs. One port cannot deliver it to two.
        var macs: [MACAddress: Int] = [:]
        for range in list(node["ranges"]) {
            guard let place = range["virtualFunctions"], let set = text(place).flatMap({ NumberSet($0) }) else {
                continue
            }
            if let beyond = set.numbers.last, beyond >= entry.virtualFunctions {
                checker.report(place, "vf \(beyond) does not exist: \(entry.virtualFunctions) are declared, from 0")
            }
            let twice = NumberSet(taken.intersection(set.numbers))
            if twice.count > 0 { checker.report(place, "vf \(twice) is in an earlier range already") }
            taken.formUnion(set.numbers)
            let settings = settings(range)
            if let mac = settings.mac, let node = range["mac"] {
                if let line = macs[mac] { checker.report(node, "mac \(mac) is given already in line \(line)") }
                macs[mac] = checker.position(node).line
            }
            for key in ["mac", "nodeGUID", "portGUID"] where range[key] != nil && set.count > 1 {
                checker.report(range[key] ?? range, "\(key) is one VF's, and this range has \(set.count)")
            }
            entry.ranges.append(.init(virtualFunctions: set, driver: driver(range["driver"]), settings: settings))
        }
        return entry
    }

    private mutating func settings(_ node: Node) -> VirtualFunctionSettings {
        var settings = VirtualFunctionSettings()
        settings.mac = text(node["mac"]).flatMap { MACAddress($0) }
        if let vlan = node["vlan"] {
            let (id, qos) = (integer(vlan["id"]) ?? 0, integer(vlan["qos"]) ?? 0)
            let tag = VLAN(
                id: UInt16(id), qos: UInt8(qos), protocol: text(vlan["protocol"]) == "802.1ad" ? .dot1ad : .dot1Q)
            if id == 0, qos != 0 { checker.report(vlan, "qos needs a VLAN: id 0 means none") }
            settings.vlans = id == 0 ? [] : [tag]
        }
        settings.minTxRateMbps = integer(node["minTxRateMbps"]).map { UInt32($0) }
        settings.maxTxRateMbps = integer(node["maxTxRateMbps"]).map { UInt32($0) }
        if let minimum = settings.minTxRateMbps, let maximum = settings.maxTxRateMbps, maximum > 0, minimum > maximum {
            checker.report(node["minTxRateMbps"] ?? node, "minTxRateMbps \(minimum) is above maxTxRateMbps \(maximum)")
        }
        settings.spoofCheck = text(node["spoofCheck"]).flatMap { Checker.onOff($0) }
        settings.trust = text(node["trust"]).flatMap { Checker.onOff($0) }
        settings.rssQuery = text(node["rssQuery"]).flatMap { Checker.onOff($0) }
        settings.linkState = text(node["linkState"]).flatMap { word in
            VirtualFunctionSettings.LinkState.allCases.first { "\($0)" == word }
        }
        settings.nodeGUID = text(node["nodeGUID"]).flatMap { GUID($0) }
        settings.portGUID = text(node["portGUID"]).flatMap { GUID($0) }
        return settings
    }

    private mutating func identity(_ node: Node?) -> Identity {
        guard let node else { return Identity() }
        var identity = Identity()
        func number(_ key: String) -> UInt16? {
            text(node[key]).flatMap { PCIModel("\($0.hasPrefix("0x") ? String($0.dropFirst(2)) : $0):0000")?.vendor }
        }
        identity.netdev = text(node["netdev"])
        identity.permanentMAC = text(node["permanentMAC"]).flatMap { MACAddress($0) }
        identity.serial = text(node["serial"])
        identity.label = text(node["label"])
        identity.acpiIndex = integer(node["acpiIndex"])
        identity.address = text(node["address"]).flatMap { PCIAddress($0) }
        identity.vendor = number("vendor")
        identity.device = number("device")
        if identity.isEmpty {
            checker.report(node, "match is empty: give netdev, permanentMAC, serial, label or address")
        }
        return identity
    }

    private mutating func pool(_ name: String, _ node: Node) -> DeclaredPool {
        var pool = DeclaredPool(name: name, members: [])
        for entry in list(node["functions"]) {
            if let member = member(entry) { pool.members.append(member) }
        }
        pool.purpose = text(node["for"]) ?? "any"
        pool.settings = node["settings"].map { settings($0) } ?? VirtualFunctionSettings()
        pool.numa = text(node["placement"]?["numa"]).flatMap { .init(rawValue: $0) } ?? .prefer
        pool.spread = text(node["placement"]?["spread"]).flatMap { .init(rawValue: $0) } ?? .physicalFunction
        pool.leasesPerConsumer = integer(node["limits"]?["leasesPerConsumer"])
        pool.resource = text(node["resource"]).flatMap(ResourceName.init)
        pool.deviceNodes = Set(list(node["deviceNodes"]).compactMap { text($0).flatMap { .init(rawValue: $0) } })
        return pool
    }

    private mutating func member(_ entry: Node) -> DeclaredPool.Member? {
        let set = text(entry["virtualFunctions"]).flatMap { NumberSet($0) }
        let kinds = ["physicalFunction", "match", "passthrough"].filter { entry[$0] != nil }
        guard kinds.count == 1 else {
            checker.report(
                entry,
                kinds.isEmpty
                    ? "give physicalFunction, match or passthrough"
                    : "\(kinds.joined(separator: " and ")) exclude each other: make two members of them")
            return nil
        }
        if let place = entry["physicalFunction"] {
            guard let netdev = text(place) else { return nil }
            if let port = netdevs[netdev] {
                if let beyond = set?.numbers.last, beyond >= port.virtualFunctions {
                    checker.report(
                        entry["virtualFunctions"] ?? entry,
                        "vf \(beyond) does not exist: \(netdev) has \(port.virtualFunctions), from 0")
                }
            } else {
                checker.report(
                    place,
                    "\(netdev) is not the netdev of a port above" + suggestion(netdev, among: netdevs.keys.sorted()))
            }
            return .port(netdev: netdev, virtualFunctions: set)
        }
        if let place = entry["match"] { return .ports(selector(place), virtualFunctions: set) }
        if let place = entry["virtualFunctions"] {
            checker.report(place, "a function that is passed through whole has no VFs")
        }
        return entry["passthrough"].map { .passthrough(selector($0)) }
    }

    private mutating func selector(_ node: Node) -> FunctionSelector {
        let limits = (integer(node["numaNode"]), integer(node["minLinkSpeedMbps"]))
        // What the selector adds to an identity makes an identity of nothing legal.
        let isLimited = limits.0 != nil || limits.1 != nil
        let hasIdentity = Schema.identity.contains { node[$0.key] != nil }
        return FunctionSelector(
            identity: hasIdentity || !isLimited ? identity(node) : Identity(), numaNode: limits.0,
            minLinkSpeedMbps: limits.1)
    }

    // MARK: Contradictions

    /// Two entries that name the same device; those that only turn out to be the same are found when it is looked for.
    private mutating func checkClaims(_ entries: [Node]) {
        var claimed: [String: Int] = [:]
        for node in entries {
            guard let match = node["match"] else { continue }
            for key in ["netdev", "permanentMAC", "serial", "address"] {
                guard let place = match[key], var value = text(place) else { continue }
                // The same address can be written in several ways.
                if key == "address" { value = PCIAddress(value)?.description ?? value }
                if key == "permanentMAC" { value = MACAddress(value)?.description ?? value }
                if let line = claimed["\(key) \(value)"] {
                    checker.report(place, "\(key) \(value) is matched already by line \(line)")
                } else {
                    claimed["\(key) \(value)"] = checker.position(place).line
                }
            }
        }
    }

    private mutating func checkOverlaps(_ host: DeclaredHost, _ nodes: Node.Mapping) {
        var owners: [String: String] = [:]
        for pool in host.pools {
            guard let node = nodes[Node(pool.name)] else { continue }
            for (member, place) in zip(pool.members, list(node["functions"])) {
                // What selectors mean is known only on the host; overlaps are looked for there again.
                guard case .port(let netdev, let set) = member else { continue }
                let indexes = set?.numbers ?? Array(0..<(netdevs[netdev]?.virtualFunctions ?? 0))
                var twice: [String: [Int]] = [:]
                for index in indexes {
                    let key = "\(netdev) \(index)"
                    if let owner = owners[key] {
                        twice[owner, default: []].append(index)
                    } else {
                        owners[key] = pool.name
                    }
                }
                for (owner, indexes) in twice.sorted(by: { $0.key < $1.key }) {
                    checker.report(
                        place,
                        "vf \(NumberSet(indexes)) of \(netdev) is in pool \(owner) already; a function is in one pool"
                    )
                }
            }
        }
    }

    private mutating func checkResources(_ host: DeclaredHost, _ nodes: Node.Mapping) {
        var owners: [ResourceName: String] = [:]
        for pool in host.pools {
            guard let node = nodes[Node(pool.name)] else { continue }
            let place = node["resource"] ?? node
            if pool.resource != nil, !["kubernetes", "any"].contains(pool.purpose) {
                checker.report(place, "pool \(pool.name) is for \(pool.purpose), and resources are Kubernetes'")
            }
            guard let resource = pool.kubernetesResource else {
                if pool.purpose != "kubernetes", let nodes = node["deviceNodes"] {
                    checker.report(nodes, "pool \(pool.name) is no resource of Kubernetes, whose pods they are for")
                }
                if pool.purpose == "kubernetes", node["resource"] == nil {
                    checker.report(
                        place,
                        "\(ResourceName.defaultPrefix)/\(pool.name) is no resource of Kubernetes; name one with resource:"
                    )
                }
                continue
            }
            if let owner = owners.updateValue(pool.name, forKey: resource) {
                checker.report(place, "the resource \(resource) is pool \(owner)'s already; name another")
            }
        }
    }

    // MARK: Values

    private func list(_ node: Node?) -> [Node] {
        guard case .sequence(let sequence)? = node else { return [] }
        return Array(sequence)
    }

    private func text(_ node: Node?) -> String? { node?.scalar?.string }

    private func integer(_ node: Node?) -> Int? { text(node).flatMap { Int($0) } }

    private func driver(_ node: Node?) -> DeclaredDriver? {
        guard let name = text(node) else { return nil }
        if name == "kernel" { return .kernel(nil) }
        return PCIFunction.isVFIODriver(name) ? .vfio(name) : .kernel(name)
    }
}
