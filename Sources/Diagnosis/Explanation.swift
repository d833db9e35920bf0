/// What a fault is, whether a host has it or not: what `sluice doctor --explain` says.
public struct Explanation: Sendable, Hashable {
    /// The fault's identifier.
    public var id: String
    /// What is wrong, in a few words.
    public var title: String
    /// Why it is so, or what follows from it; one sentence for each way in which it comes.
    public var causes: [String]
    /// What to do.
    public var remedies: [String]
    /// Parts of messages that mean it.
    public var messages: [String]

    /// All faults that are known, by identifier.
    public static let all: [Explanation] = {
        var found = Dictionary(
            ofHosts.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        for message in KnownMessage.all {
            var explanation =
                found[message.id]
                ?? Explanation(id: message.id, title: message.title, causes: [], remedies: [], messages: [])
            explanation.messages.append(message.parts.joined(separator: " … "))
            if !explanation.causes.contains(message.cause) { explanation.causes.append(message.cause) }
            explanation.remedies += message.remedies.filter { !explanation.remedies.contains($0) }
            found[message.id] = explanation
        }
        return found.values.sorted { $0.id < $1.id }
    }()

    /// Those that no message means: they are found on a host.
    private static let ofHosts = [
        Explanation(
            id: "bridge.filtered",
            title: "a bridge passes the frames of virtual machines through the host's packet filter",
            causes: ["rules that are meant for the host (Docker's, ufw's) drop what machines send each other"],
            remedies: [
                "sysctl -w net.bridge.bridge-nf-call-iptables=0",
                "the same in /etc/sysctl.d, to be applied when the bridge module is loaded",
            ], messages: []),
        Explanation(
            id: "host.unsafeInterrupts", title: "guests may send interrupts as they like",
            causes: ["interrupts are not remapped, so a guest with a device can send any interrupt of the host"],
            remedies: [
                "enable VT-d with interrupt remapping in the firmware (x2APIC)",
                "then take allow_unsafe_interrupts=1 out of /etc/modprobe.d and off the kernel's command line",
            ], messages: []),
        Explanation(
            id: "lease.lost", title: "a function was taken away while it was leased",
            causes: ["its VFs were removed and made again, or its card was"],
            remedies: ["sluice lease release LEASE", "sluice lease history FUNCTION tells when and by whom"],
            messages: []),
        Explanation(
            id: "storage.takenAtBoot", title: "a drive of the host may be given to vfio-pci at the next boot",
            causes: ["vfio-pci.ids takes all devices of a model, and which driver comes first is chance"],
            remedies: [
                "take the model out of vfio-pci.ids",
                "name the drives that are for guests by serial number: passthrough in the host file",
            ], messages: []),
        Explanation(
            id: "vf.quarantined", title: "a function could not be cleaned after its lease",
            causes: ["it may still carry what its last tenant has set, so nobody gets it"],
            remedies: ["mend what the lease's reason names, then: sluice lease repair LEASE"], messages: []),
    ]
}
