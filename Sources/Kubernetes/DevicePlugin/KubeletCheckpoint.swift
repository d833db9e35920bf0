internal import PCI

/// The kubelet's own record of what it has allocated (pkg/kubelet/cm/devicemanager/checkpoint). It is older than what its API
/// tells, and it is whole where that is not: of a kubelet that does not know its pods yet, and of containers that run before
/// the others.
struct KubeletCheckpoint: Sendable {
    let path: String

    /// The devices that are down as allocated, by resource; none when there is no record. nil when it cannot be understood.
    func devices() -> [String: Set<String>]? {
        do {
            guard let bytes = try LiveFileTree().contents(path, limit: 16 << 20) else { return [:] }
            return Self.devices(String(decoding: bytes, as: UTF8.self))
        } catch {
            return nil
        }
    }

    static func devices(_ text: String) -> [String: Set<String>]? {
        guard case .object(let root)? = try? JSONValue.parse(text), case .object(let data)? = root["Data"] else {
            return nil
        }
        guard case .array(let entries)? = data["PodDeviceEntries"] else { return [:] }
        var devices: [String: Set<String>] = [:]
        for case .object(let entry) in entries {
            guard case .string(let resource)? = entry["ResourceName"], let ids = entry["DeviceIDs"] else { continue }
            devices[resource, default: []].formUnion(texts(in: ids))
        }
        return devices
    }

    /// Lists by NUMA node, or one list as older kubelets have it.
    private static func texts(in value: JSONValue) -> [String] {
        switch value {
        case .string(let text): [text]
        case .array(let list): list.flatMap(texts)
        case .object(let nodes): nodes.values.flatMap(texts)
        case .null, .bool, .number: []
        }
    }
}
