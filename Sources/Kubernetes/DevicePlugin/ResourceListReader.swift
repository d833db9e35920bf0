internal import PCI
internal import SRIOV

/// Reads a list of resources: names of members in any case (encoding/json), and whatever is wrong with its place.
struct ResourceListReader {
    let defaultPrefix: String
    private(set) var findings: [String] = []

    init(defaultPrefix: String) { self.defaultPrefix = defaultPrefix }

    private mutating func tell(_ place: String, _ text: String) { findings.append("\(place): \(text)") }

    mutating func resources(_ root: JSONValue) throws(ResourceListError) -> [ResourceList.Resource] {
        guard case .object(let top) = root else { throw ResourceListError(message: "it is no JSON object") }
        let members = members(top, ["resourceList"], "")
        guard case .array(let entries)? = members["resourceList"] else {
            throw ResourceListError(message: "resourceList is missing, or no list")
        }
        var resources: [ResourceList.Resource] = []
        for (index, entry) in entries.enumerated() {
            let place = "resourceList[\(index)]"
            guard let resource = resource(entry, place) else { continue }
            if resources.contains(where: { $0.name == resource.name }) {
                tell(place, "\(resource.name) is there already; it is left out")
            } else {
                resources.append(resource)
            }
        }
        return resources
    }

    private mutating func resource(_ entry: JSONValue, _ place: String) -> ResourceList.Resource? {
        guard case .object(let object) = entry else {
            tell(place, "it is no object; it is left out")
            return nil
        }
        let known = ["resourceName", "resourcePrefix", "deviceType", "excludeTopology", "selectors", "additionalInfo"]
        let members = members(object, known, place)
        let prefix = string(members["resourcePrefix"], "\(place).resourcePrefix")
        guard let name = string(members["resourceName"], "\(place).resourceName"),
            let resourceName = ResourceName(
                prefix: prefix.flatMap { $0.isEmpty ? nil : $0 } ?? defaultPrefix, name: name)
        else {
            tell(place, "its resourceName and resourcePrefix are no name of a resource; it is left out")
            return nil
        }
        let type = string(members["deviceType"], "\(place).deviceType") ?? ""
        guard let kind = type.isEmpty ? .network : ResourceList.Kind(rawValue: type) else {
            tell(
                place,
                "deviceType \"\(type.prefix(100))\" is not netDevice, accelerator or auxNetDevice; it is left out")
            return nil
        }
        var resource = ResourceList.Resource(name: resourceName, kind: kind)
        resource.excludesTopology = bool(members["excludeTopology"], "\(place).excludeTopology") ?? false
        resource.additionalInfo = additionalInfo(members["additionalInfo"], "\(place).additionalInfo")
        guard let selectors = selectors(members["selectors"], kind, "\(place).selectors") else { return nil }
        resource.selectors = selectors
        return resource
    }

    /// One object or a list of them; nil, which is told, leaves the resource out.
    private mutating func selectors(
        _ value: JSONValue?, _ kind: ResourceList.Kind, _ place: String
    ) -> [ResourceSelector]? {
        switch value {
        // Without any it takes every device that no other has, as there.
        case nil, .null?: return selector(.object([:]), kind, place).map { [$0] }
        case .object?: return value.flatMap { selector($0, kind, place) }.map { [$0] }
        case .array(let list)? where !list.isEmpty:
            var selectors: [ResourceSelector] = []
            for (index, entry) in list.enumerated() {
                guard let selector = selector(entry, kind, "\(place)[\(index)]") else { return nil }
                selectors.append(selector)
            }
            return selectors
        default:
            tell(place, "they are one object or a list of some; the resource is left out")
            return nil
        }
    }

    private mutating func selector(
        _ value: JSONValue, _ kind: ResourceList.Kind, _ place: String
    ) -> ResourceSelector? {
        guard case .object(let object) = value else {
            tell(place, "it is no object; the resource is left out")
            return nil
        }
        let members = members(object, ResourceSelector.keys(of: kind), place)
        var selector = ResourceSelector()
        selector.vendors = numbers(members["vendors"], "\(place).vendors")
        selector.devices = numbers(members["devices"], "\(place).devices")
        selector.drivers = strings(members["drivers"], "\(place).drivers")
        selector.addresses = strings(members["pciAddresses"], "\(place).pciAddresses")?.compactMap { text in
            guard let address = PCIAddress(text) else {
                tell("\(place).pciAddresses", "\"\(text.prefix(100))\" is no PCI address; it selects nothing")
                return nil
            }
            return address
        }
        selector.acpiIndexes = strings(members["acpiIndexes"], "\(place).acpiIndexes")
        selector.ports = ports(members["pfNames"], "\(place).pfNames")
        selector.rootDevices = ports(members["rootDevices"], "\(place).rootDevices")
        selector.linkTypes = strings(members["linkTypes"], "\(place).linkTypes")
        for type in selector.linkTypes ?? [] where !["ether", "infiniband"].contains(type) {
            tell("\(place).linkTypes", "\"\(type.prefix(100))\" is not ether or infiniband; it selects nothing")
        }
        selector.pKeys = strings(members["pKeys"], "\(place).pKeys")
        selector.profiles = strings(members["ddpProfiles"], "\(place).ddpProfiles")
        selector.isRDMA = bool(members["isRdma"], "\(place).isRdma") ?? false
        if kind == .subfunction {
            let types = strings(members["auxTypes"], "\(place).auxTypes") ?? []
            guard types.contains("sf") else {
                tell(place, "auxTypes is to be [\"sf\"]; the resource is left out")
                return nil
            }
            for type in types where type != "sf" {
                tell("\(place).auxTypes", "\"\(type.prefix(100))\" is not sf; it selects nothing")
            }
        }
        selector.needsVhostNet = bool(members["needVhostNet"], "\(place).needVhostNet") ?? false
        if let type = string(members["vdpaType"], "\(place).vdpaType"), !type.isEmpty {
            guard !selector.isRDMA else {
                tell(place, "a device is selected by isRdma or by vdpaType, not by both; the resource is left out")
                return nil
            }
            if VDPADevice.Use(rawValue: type) == nil {
                tell("\(place).vdpaType", "\"\(type.prefix(100))\" is not vhost or virtio; it selects nothing")
            }
            selector.vdpaType = type
        }
        return selector
    }

    // MARK: Values

    /// The members that are known, by their usual names; others are told.
    private mutating func members(
        _ object: [String: JSONValue], _ known: [String], _ place: String
    ) -> [String: JSONValue] {
        let names = Dictionary(known.map { ($0.lowercased(), $0) }, uniquingKeysWith: { first, _ in first })
        var members: [String: JSONValue] = [:]
        for (key, value) in object.sorted(by: { $0.key < $1.key }) {
            guard let name = names[key.lowercased()] else {
                tell(place.isEmpty ? "the file" : place, "\"\(key.prefix(100))\" is no key of it, and means nothing")
                continue
            }
            // The exact name counts more than one in another case.
            if members[name] == nil || key == name { members[name] = value }
        }
        return members
    }

    private mutating func string(_ value: JSONValue?, _ place: String) -> String? {
        switch value {
        case nil, .null?: return nil
        case .string(let text)?: return text
        default:
            tell(place, "it is no text")
            return nil
        }
    }

    private mutating func bool(_ value: JSONValue?, _ place: String) -> Bool? {
        switch value {
        case nil, .null?: return nil
        case .bool(let bool)?: return bool
        default:
            tell(place, "it is not true or false")
            return nil
        }
    }

    /// nil where nothing is given; so an empty list is taken.
    private mutating func strings(_ value: JSONValue?, _ place: String) -> [String]? {
        switch value {
        case nil, .null?, .array([])?: return nil
        case .array(let list)?:
            return list.enumerated().compactMap { index, entry in string(entry, "\(place)[\(index)]") }
        case .string(let text)?:
            tell(place, "it is a list; \"\(text.prefix(100))\" is taken for one of one")
            return [text]
        default:
            tell(place, "it is no list of texts")
            return []
        }
    }

    /// Four hexadecimal digits, in any case, also after 0x.
    private mutating func numbers(_ value: JSONValue?, _ place: String) -> [UInt16]? {
        strings(value, place)?.compactMap { text in
            let digits = text.lowercased().hasPrefix("0x") ? text.dropFirst(2) : text[...]
            guard digits.utf8.count == 4, let number = UInt16(digits, radix: 16) else {
                tell(place, "\"\(text.prefix(100))\" is not four hexadecimal digits; it selects nothing")
                return nil
            }
            return number
        }
    }

    private mutating func ports(_ value: JSONValue?, _ place: String) -> [ResourceSelector.Port]? {
        strings(value, place)?.compactMap { text in
            guard let port = ResourceSelector.Port(text) else {
                tell(place, "\"\(text.prefix(100))\" is not PORT or PORT#0-3,6; it selects nothing")
                return nil
            }
            return port
        }
    }

    private mutating func additionalInfo(_ value: JSONValue?, _ place: String) -> [String: [String: String]] {
        switch value {
        case nil, .null?: return [:]
        case .object(let devices)?:
            var info: [String: [String: String]] = [:]
            for (device, value) in devices {
                guard case .object(let entries) = value else {
                    tell("\(place).\(device.prefix(100))", "it is no object")
                    continue
                }
                for (key, value) in entries {
                    if let text = string(value, "\(place).\(device.prefix(100)).\(key.prefix(100))") {
                        info[device, default: [:]][key] = text
                    }
                }
            }
            return info
        default:
            tell(place, "it is no object")
            return [:]
        }
    }
}
