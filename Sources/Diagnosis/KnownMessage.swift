internal import PCI
public import SRIOV

/// A message of libvirt, QEMU, the kernel or OpenStack whose cause is known.
///
/// The texts are those of the sources: libvirt's bridge_driver.c, virnetdev.c, virhostdev.c, virpci.c and domain_addr.c,
/// QEMU's hw/vfio, Linux' drivers/pci/iov.c, drivers/vfio and drivers/iommu, Nova's nova/exception.py.
public struct KnownMessage: Sendable {
    /// Parts of its text; all must occur, upper and lower case alike.
    public let parts: [String]
    /// What is wrong, where it is more than the fault's title.
    let title: String?
    /// Why it comes, where it is not for the fault's own cause.
    let cause: String?
    /// What to do, where it is not the fault's own remedies.
    let remedies: [String]?
    /// Whether it is the kernel's own word for what others then fail with: pasted together, it is what counts.
    let isCause: Bool

    init(
        _ parts: String..., title: String? = nil, cause: String? = nil, remedies: [String]? = nil, isCause: Bool = false
    ) {
        self.parts = parts
        self.title = title
        self.cause = cause
        self.remedies = remedies
        self.isCause = isCause
    }

    /// How much of a text has to agree: the more, the surer.
    private var weight: Int { parts.reduce(isCause ? 1000 : 0) { $0 + $1.utf8.count } }

    private func isIn(_ text: String) -> Bool { parts.allSatisfy { text.hasBytes(of: $0.lowercased()) } }

    /// The fault that a pasted or caught message means, with what a host knows of the devices that it names; nil when the
    /// message is not known.
    public static func fault(in message: String, on host: Host? = nil, _ facts: HostFacts? = nil) -> Fault? {
        // Terminals and logs break lines where they please.
        let text = message.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
        let known = FaultKind.all.flatMap { kind in kind.messages.filter { $0.isIn(text) }.map { (kind, $0) } }
        guard let (kind, found) = known.max(by: { $0.1.weight < $1.1.weight }) else { return nil }
        let mentioned = host.map { MessageEvidence(message, on: $0, facts ?? HostFacts()).lines } ?? []
        return Fault(
            kind, found.title, evidence: ["the message: \(message)"] + mentioned, cause: found.cause,
            remedies: found.remedies, severity: .error)
    }
}
