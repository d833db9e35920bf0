internal import Libvirt
internal import PCI

/// What libvirt writes down of the domains that run, so that it finds them again when it is started anew
/// (virDomainObjSave in src/conf/domain_conf.c). Read while the daemon is away: it will set a domain's functions as they
/// were when it finds that the domain has ended meanwhile, and until then they are nobody else's.
enum StatusFiles {
    private static let folder = "/run/libvirt/qemu"

    /// Whether libvirt has a domain down as running with a function.
    static func have(_ address: PCIAddress, in uuid: String) -> Bool {
        let files = LiveFileTree()
        for name in ((try? files.entries(folder)) ?? nil) ?? [] where name.hasSuffix(".xml") {
            guard let text = (try? files.wholeText("\(folder)/\(name)")) ?? nil,
                let status = try? XMLElement(parsing: text), let element = status.first("domain"),
                let domain = try? DomainDescription(element), domain.uuid == uuid
            else { continue }
            return domain.functions.contains(address)
        }
        return false
    }
}
