internal import Libvirt
internal import PCI

/// What libvirt writes down of the domains that run, so that it finds them again when it is started anew
/// (virDomainObjSave in src/conf/domain_conf.c). Read while the daemon is away: it will set a domain's functions as they
/// were when it finds that the domain has ended meanwhile, and until then they are nobody else's.
enum StatusFiles {
    private static let folder = "/run/libvirt/qemu"

    /// The functions of the domains that libvirt has down as running, by UUID.
    static func functions() -> [String: Set<PCIAddress>] {
        let files = LiveFileTree()
        var functions: [String: Set<PCIAddress>] = [:]
        for name in ((try? files.entries(folder)) ?? nil) ?? [] where name.hasSuffix(".xml") {
            guard let text = (try? files.wholeText("\(folder)/\(name)")) ?? nil,
                let status = try? XMLElement(parsing: text), let element = status.first("domain"),
                let domain = try? DomainDescription(element)
            else { continue }
            functions[domain.uuid] = Set(domain.functions)
        }
        return functions
    }
}
