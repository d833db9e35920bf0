internal import Netlink
internal import PCI
internal import SRIOV

/// What a host knows of the devices that a message names: VFIO nodes, PCI addresses, ports.
struct MessageEvidence {
    /// A sentence for each.
    let lines: [String]

    init(_ message: String, on host: Host, _ facts: HostFacts) {
        let words = message.split { !($0.isLetter || $0.isNumber || "/:._-".contains($0)) }.map(String.init)
        var lines: [String] = []
        func add(_ line: String) { if !lines.contains(line) { lines.append(line) } }
        for word in words {
            let word = word.trimmed(of: ":.")
            if word.hasPrefix("/dev/vfio/"), let group = Int(word.dropFirst("/dev/vfio/".count)) {
                let members = host.functions.filter { $0.pci.iommuGroup == group }
                add(
                    members.isEmpty
                        ? "there is no IOMMU group \(group) on this host; the number changes from boot to boot"
                        : "\(word) is IOMMU group \(group): \(members.map(Self.describe).joined(separator: "; "))")
                for line in facts.log where line.contains("\(word)\"") { add("kernel log: \(line)") }
            } else if let address = PCIAddress(word) {
                add(
                    host[address].map(Self.describe)
                        ?? "there is no \(address) on this host, as far as can be seen")
            } else if let port = host.physicalFunctions.first(where: { $0.link?.name == word }) {
                let state = port.link?.isUp ?? false ? "up" : "down"
                add("\(word) (\(port.pci.address)) is \(state), \(port.pci.sriov?.enabledVFs ?? 0) VFs are enabled")
            }
        }
        self.lines = lines
    }

    private static func describe(_ function: Function) -> String {
        let driver = function.pci.driver.map { "driver \($0)" } ?? "no driver"
        let holders = function.holders.map { ", used by \($0.description)" }.joined()
        return "\(function.pci.address) is \(function.name), \(driver)\(holders)"
    }
}

extension String {
    fileprivate func trimmed(of characters: String) -> String {
        var text = self[...]
        while let last = text.last, characters.contains(last) { text.removeLast() }
        return String(text)
    }
}
