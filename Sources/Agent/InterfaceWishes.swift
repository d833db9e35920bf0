internal import AgentAPI
internal import FoundationEssentials
internal import Libvirt
internal import SRIOV

/// What interfaces of a domain are to be set to beyond what libvirt can say: kept in the domain's own metadata, by MAC
/// address, so that it goes where the domain goes.
extension DomainDescription {
    private static let name = "sluice:interface"

    /// The settings of its interfaces, by MAC address in lower case. What cannot be understood is not taken for a wish.
    var wishes: [String: SettingsView] {
        let entries = element.first("metadata", "sluice:interfaces")?.elements(Self.name) ?? []
        return Dictionary(
            entries.compactMap { entry in
                guard let mac = entry["mac"]?.lowercased(), let text = entry["settings"],
                    let settings = try? JSONDecoder().decode(SettingsView.self, from: Data(text.utf8))
                else { return nil }
                return (mac, settings)
            }, uniquingKeysWith: { first, _ in first })
    }

    /// Notes what an interface is to be set to; nil forgets it.
    mutating func wish(_ settings: SettingsView?, for mac: String) {
        var wishes = wishes
        wishes[mac.lowercased()] = settings
        element.change("metadata") { metadata in
            metadata.removeElements { $0.name == "sluice:interfaces" }
            guard !wishes.isEmpty else { return }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            let entries = wishes.sorted { $0.key < $1.key }.compactMap { mac, settings -> XMLElement? in
                guard let data = try? encoder.encode(settings) else { return nil }
                return XMLElement(
                    Self.name, ["mac": mac, "settings": String(decoding: data, as: UTF8.self)])
            }
            metadata.append(
                XMLElement("sluice:interfaces", ["xmlns:sluice": NetworkDescription.nameSpace], entries))
        }
        if element.first("metadata")?.elements.isEmpty ?? false {
            element.removeElements { $0.name == "metadata" }
        }
    }

    /// Takes the interfaces of a MAC address away, with what they were to be set to.
    mutating func removeInterfaces(mac: String) {
        element.change("devices") { devices in
            devices.removeElements {
                $0.name == "interface" && $0.first("mac")?["address"]?.lowercased() == mac.lowercased()
            }
        }
        wish(nil, for: mac)
    }
}
