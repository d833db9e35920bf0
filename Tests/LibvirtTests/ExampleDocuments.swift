import Glibc
import PCI
import Testing

@testable import Libvirt

/// Run by scripts/test-libvirt-documents, which gets libvirt's own documents and compares what comes out with another
/// XML library.
@Suite(
    "libvirt's own example documents",
    .enabled(if: getenv("SLUICE_LIBVIRT_DOCUMENTS") != nil, "run by scripts/test-libvirt-documents"))
struct ExampleDocuments {
    @Test("Each is read, changed, changed back and written")
    func roundTrips() throws {
        let source = String(cString: try #require(getenv("SLUICE_LIBVIRT_DOCUMENTS")))
        let target = String(cString: try #require(getenv("SLUICE_LIBVIRT_DOCUMENTS_OUT")))
        let files = LiveFileTree()
        var count = 0
        for folder in try #require(try files.entries(source)) {
            mkdir("\(target)/\(folder)", 0o755)
            for name in try files.entries("\(source)/\(folder)") ?? [] where name.hasSuffix(".xml") {
                let text = try #require(try files.wholeText("\(source)/\(folder)/\(name)"))
                // Some are no XML, for libvirt's own tests; one that should be read and was not, is missed afterwards.
                guard let element = try? XMLElement(parsing: text) else { continue }
                let written = try Self.changedAndBack(element).document()
                let file = try #require(fopen("\(target)/\(folder)/\(name)", "w"), "\(name)")
                fputs(written, file)
                fclose(file)
                count += 1
            }
        }
        #expect(count > 1000)
    }

    /// What Sluice does to documents, and the opposite of it.
    private static func changedAndBack(_ element: XMLElement) throws(LibvirtError) -> XMLElement {
        switch element.name {
        case "domain" where element.first("name") != nil && element.first("devices") != nil:
            var domain = try DomainDescription(element)
            let mac = "52:54:00:5c:1c:e5"
            var interface = XMLElement("interface", ["type": "network"], [XMLElement("mac", ["address": mac])])
            interface.vlan = 42
            domain.append([interface])
            domain.element.change("devices") { devices in
                devices.removeElements { $0.first("mac")?["address"] == mac && $0.vlan == 42 }
            }
            // What is looked at must not end the program, whatever a document has.
            _ = (
                domain.functions, domain.placement, domain.memoryKiB, domain.migrationBlockers([]), HotplugPorts(domain)
            )
            return domain.element
        case "network" where element.first("name") != nil:
            var network = try NetworkDescription(element)
            let pool = network.pool
            network.pool = "tenant"
            network.pool = pool
            _ = (network.addresses, network.vlan, network.port, network.handsOutDevices)
            return network.element
        default: return element
        }
    }
}
