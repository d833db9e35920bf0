internal import Libvirt
internal import Netlink
internal import PCI

/// An interface that is to be made, the same in a domain's two documents.
struct NewInterface {
    let mac: String
    let alias: String
    let standbyAlias: String

    init(_ settings: VirtualFunctionSettings) {
        // QEMU's own prefix, and the rest at random, as libvirt does it.
        mac =
            settings.mac.map(\.description)
            ?? "\(MACAddress(rawValue: 0x5254_0000_0000 | UInt64.random(in: 0...0xff_ffff)))"
        // Without the colons: an alias has letters, digits, - and _.
        let name = mac.filter { $0 != ":" }
        alias = "ua-sluice-\(name)"
        standbyAlias = "ua-sluice-standby-\(name)"
    }

    /// For the running domain: a function that was chosen.
    func live(_ address: PCIAddress, _ settings: VirtualFunctionSettings, failover: String?) -> [XMLElement] {
        var element = XMLElement(
            "interface", ["type": "hostdev", "managed": "yes"],
            [
                XMLElement("mac", ["address": mac]), XMLElement("driver", ["name": "vfio"]),
                XMLElement("source", [:], [address.element]),
            ])
        if let vlan = settings.vlans?.first, vlan.id > 0 { element.vlan = vlan.id }
        return standby(failover) + [finished(element, failover)]
    }

    /// For the next start: whatever the pool's network has then.
    func config(_ network: String, _ vlan: VLAN?, failover: String?) -> [XMLElement] {
        var element = XMLElement(
            "interface", ["type": "network"],
            [XMLElement("mac", ["address": mac]), XMLElement("source", ["network": network])])
        if let vlan, vlan.id > 0 { element.vlan = vlan.id }
        return standby(failover) + [finished(element, failover)]
    }

    /// The model is always said: without it libvirt takes the interface for an rtl8139 on the conventional bus
    /// (qemuDomainDeviceCalculatePCIConnectFlags).
    private func finished(_ element: XMLElement, _ failover: String?) -> XMLElement {
        var element = element
        element.append(XMLElement("model", ["type": "virtio"]))
        if failover != nil {
            element.append(XMLElement("teaming", ["type": "transient", "persistent": standbyAlias]))
        }
        element.append(XMLElement("alias", ["name": alias]))
        return element
    }

    private func standby(_ failover: String?) -> [XMLElement] {
        guard let failover else { return [] }
        return [
            XMLElement(
                "interface", ["type": "network"],
                [
                    XMLElement("mac", ["address": mac]), XMLElement("source", ["network": failover]),
                    XMLElement("model", ["type": "virtio"]), XMLElement("teaming", ["type": "persistent"]),
                    XMLElement("alias", ["name": standbyAlias]),
                ])
        ]
    }
}
