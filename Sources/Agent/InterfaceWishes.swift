internal import AgentAPI
internal import FoundationEssentials
internal import Libvirt
internal import SRIOV

/// What is wished for an interface of a domain beyond what libvirt can say: kept in the domain's own metadata, by MAC
/// address, so that it goes where the domain goes.
struct InterfaceWish: Sendable, Hashable {
    /// What its function is to be set to.
    var settings: SettingsView?
    /// What the functions of its group must not share: `pf` or `card`.
    var spread: String?
    /// How the domain's NUMA nodes count.
    var numa: String?
    /// The interfaces that were attached together.
    var group: String?
    /// Whether its settings are of the form that they are written in: somebody may have edited them.
    var isUnderstood = true

    /// Whether nothing is wished.
    var isEmpty: Bool { settings == nil && spread == nil && numa == nil && isUnderstood }
}

extension DomainDescription {
    private static let name = "sluice:interface"

    /// What is wished for its interfaces, by MAC address in lower case.
    var wishes: [String: InterfaceWish] {
        let entries = element.first("metadata", "sluice:interfaces")?.elements(Self.name) ?? []
        return Dictionary(
            entries.compactMap { entry in
                guard let mac = entry["mac"]?.lowercased() else { return nil }
                let settings = entry["settings"].flatMap {
                    try? JSONDecoder().decode(SettingsView.self, from: Data($0.utf8))
                }
                var wish = InterfaceWish(
                    settings: settings, spread: entry["spread"], numa: entry["numa"], group: entry["group"])
                wish.isUnderstood = settings != nil || entry["settings"] == nil
                return (mac, wish)
            }, uniquingKeysWith: { first, _ in first })
    }

    /// Notes what is wished for an interface; nil forgets it.
    mutating func wish(_ wish: InterfaceWish?, for mac: String) {
        var wishes = wishes
        wishes[mac.lowercased()] = wish?.isEmpty ?? true ? nil : wish
        element.changeMetadata { metadata in
            metadata.removeElements { $0.name == "sluice:interfaces" }
            guard !wishes.isEmpty else { return }
            let entries = wishes.sorted { $0.key < $1.key }.map { Self.entry($0.key, $0.value) }
            metadata.append(
                XMLElement("sluice:interfaces", ["xmlns:sluice": NetworkDescription.nameSpace], entries))
        }
    }

    private static func entry(_ mac: String, _ wish: InterfaceWish) -> XMLElement {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        var entry = XMLElement(name, ["mac": mac])
        entry["settings"] = wish.settings.flatMap { try? encoder.encode($0) }.map {
            String(decoding: $0, as: UTF8.self)
        }
        entry["spread"] = wish.spread
        entry["numa"] = wish.numa
        entry["group"] = wish.group
        return entry
    }

    /// Takes the interfaces of a MAC address away, with what was wished for them.
    mutating func removeInterfaces(mac: String) {
        element.change("devices") { devices in
            devices.removeElements {
                $0.name == "interface" && $0.first("mac")?["address"]?.lowercased() == mac.lowercased()
            }
        }
        wish(nil, for: mac)
    }
}
