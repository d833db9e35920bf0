internal import AgentAPI
internal import ArgumentParser
internal import Netlink
internal import PCI
internal import SRIOV

struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show everything about one device.",
        discussion: """
            Examples:
              sluice show eno49                 by netdev or alternative name
              sluice show 0000:04:10.2          by PCI address
              sluice show 94:57:a5:5a:d9:c0     by MAC address
              sluice show S6XPNX0R700001        by serial number
            """)

    @Argument(
        help: "PCI address, netdev, alternative name, MAC address or serial number.",
        completion: .custom { _, _, _ in Completion.devices() })
    var device: String

    @OptionGroup var source: HostOptions
    @OptionGroup var format: OutputOptions
    @OptionGroup var agent: AgentLocation

    func run() throws {
        let (host, kernel) = try source.host(agent)
        switch try DeviceSelector(host: host, files: kernel.files).device(device) {
        case .function(let function): try show(function, host, kernel)
        case .link(let link): try show(link)
        }
    }

    private struct VirtualFunctionView: Encodable {
        var index: UInt32
        var settings: SettingsView
    }

    private struct LinkView: Encodable {
        var netdev: String
        var device: String?
        var virtualFunctions: [VirtualFunctionView]
    }

    private func show(_ link: Link) throws {
        switch format.output {
        case .name: Output.line(link.name)
        case .json, .yaml:
            try Output.encode(
                LinkView(
                    netdev: link.name, device: link.device.map { "\($0.bus)/\($0.name)" },
                    virtualFunctions: link.virtualFunctions.map {
                        VirtualFunctionView(index: $0.index, settings: SettingsView($0.settings))
                    }), as: format.output)
        case .table, .wide:
            Output.line(
                "\(link.name)  \(link.device.map { "\($0.bus)/\($0.name)" } ?? "")  \(link.virtualFunctions.count) VFs")
            var table = Table(["VF", "SETTINGS"])
            for vf in link.virtualFunctions { table.append(["\(vf.index)", vf.settings.text]) }
            Output.line(table.text)
        }
    }

    private func show(_ function: Function, _ host: Host, _ kernel: any HostKernel) throws {
        let reader = PCIReader(files: kernel.files)
        let names = PCINames.load(for: [function.pci.model], files: LiveFileTree())
        let details = try reader.details(function.pci.address)
        let group = try function.pci.iommuGroup.flatMap { number in
            try reader.iommuGroups().first { $0.number == number }
        }
        let report = DeviceReportView(function, host, names, details, group)
        switch format.output {
        case .name: Output.line(function.name)
        case .json, .yaml: try Output.encode(report, as: format.output)
        case .table, .wide: Output.line(report.text(function, host))
        }
    }
}

/// Everything about one function.
private struct DeviceReportView: Encodable {
    struct GroupView: Encodable {
        var functions: [String]
        var type: String?
        var reservedRegions: [String]
    }

    struct DetailsView: Encodable {
        var resetMethods: [String]
        var localCPUs: String?
        var powerState: String?
        var linkSpeed: String?
        var linkWidth: Int?
        var maxLinkSpeed: String?
        var maxLinkWidth: Int?
        var interrupts: Int
        var ariEnabled: Bool?
        var vfTotalMSIX: Int?
        var vfMSIXCount: Int?
        var mediatedTypes: [String]
        var vfioDevice: String?
        var deviceSerialNumber: String?
        var productName: String?
        var productFields: [String: String]?
        var modalias: String?
        var driversAutoprobe: Bool?
        var driverOverride: String?
    }

    var function: FunctionView
    var details: DetailsView
    var iommuGroup: GroupView?
    var virtualFunctions: [FunctionView]?

    init(_ function: Function, _ host: Host, _ names: PCINames, _ details: PCIFunctionDetails, _ group: IOMMUGroup?) {
        self.function = FunctionView(function, names: names)
        self.details = DetailsView(
            resetMethods: details.resetMethods, localCPUs: details.localCPUs?.description,
            powerState: details.powerState,
            linkSpeed: details.currentLinkSpeed, linkWidth: details.currentLinkWidth,
            maxLinkSpeed: details.maxLinkSpeed,
            maxLinkWidth: details.maxLinkWidth, interrupts: details.interrupts, ariEnabled: details.ariEnabled,
            vfTotalMSIX: details.vfTotalMSIX, vfMSIXCount: details.vfMSIXCount, mediatedTypes: details.mediatedTypes,
            vfioDevice: details.vfioDevice, deviceSerialNumber: details.deviceSerialNumber,
            productName: details.vitalProductData?.name, productFields: details.vitalProductData?.fields,
            modalias: details.modalias, driversAutoprobe: function.pci.sriov?.autoprobe,
            driverOverride: details.driverOverride)
        iommuGroup = group.map { group in
            GroupView(
                functions: group.functions.map(\.description), type: group.type,
                reservedRegions: group.reservedRegions.map {
                    "0x\(String($0.start, radix: 16))-0x\(String($0.end, radix: 16)) \($0.kind)"
                })
        }
        if function.pci.sriov != nil {
            virtualFunctions = host.virtualFunctions(of: function.pci.address).map { FunctionView($0, names: names) }
        }
    }

    func text(_ function: Function, _ host: Host) -> String {
        let view = self.function
        var lines: [(String, String?)] = [
            ("name", function.name), ("address", view.address),
            ("model", "\(view.model)  \(view.vendor):\(view.device)"),
            ("driver", (view.driver ?? "none") + (details.driverOverride.map { ", reserved for \($0)" } ?? "")),
            ("NUMA node", view.numaNode.map { "\($0)" + (details.localCPUs.map { ", CPUs \($0)" } ?? "") }),
            (
                "IOMMU group",
                view.iommuGroup.map { number in
                    let others = (iommuGroup?.functions ?? []).filter { $0 != view.address }
                    let shared = others.isEmpty ? "of its own" : "shared with \(others.joined(separator: ", "))"
                    return "\(number), \(shared)" + (iommuGroup?.type.map { ", \($0)" } ?? "")
                } ?? (host.hasIOMMU ? "none" : "none: the kernel uses no IOMMU")
            ),
        ]
        if let regions = iommuGroup?.reservedRegions, !regions.isEmpty {
            lines.append(("reserved regions", regions.joined(separator: "\n")))
        }
        if let link = function.link {
            lines.append(("netdev", "\(link.name), \(function.linkText), MTU \(link.mtu)"))
            if !link.alternativeNames.isEmpty {
                lines.append(("also called", link.alternativeNames.joined(separator: ", ")))
            }
            let permanent = view.permanentMAC.flatMap { $0 == view.mac ? nil : " (permanent \($0))" } ?? ""
            lines.append(("MAC", view.mac.map { $0 + permanent }))
        }
        lines += [
            (
                "physical function",
                function.physicalFunctionName.map {
                    "\($0) \(view.physicalFunction ?? ""), vf \(view.index.map(String.init) ?? "?")"
                }
            ),
            ("settings", function.settings.map { $0.text.isEmpty ? "none" : $0.text }),
            ("serial", view.serial), ("device serial", details.deviceSerialNumber), ("product", details.productName),
            (
                "part, serial",
                details.productFields?.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(
                    separator: ", ")
            ),
            ("label", view.label),
            ("reset", details.resetMethods.isEmpty ? "none" : details.resetMethods.joined(separator: " ")),
            (
                "PCIe link",
                details.linkSpeed.map { speed in
                    "\(speed) x\(details.linkWidth ?? 0)"
                        + (details.maxLinkSpeed.map { " of \($0) x\(details.maxLinkWidth ?? 0)" } ?? "")
                }
            ),
            ("VFIO device", details.vfioDevice.map { "/dev/vfio/devices/\($0)" }),
            (
                "holders",
                function.holders.isEmpty ? "none" : function.holders.map(\.description).joined(separator: "\n")
            ),
            ("VFs", view.virtualFunctions.map { "\($0) of \(view.totalVirtualFunctions ?? 0)" }),
        ]
        let width = lines.map(\.0.count).max() ?? 0
        let margin = String(repeating: " ", count: width + 2)
        var text = lines.compactMap { label, value in
            value.map {
                label + String(repeating: " ", count: width - label.count + 2)
                    + $0.split(separator: "\n").joined(separator: "\n" + margin)
            }
        }.joined(separator: "\n")
        let vfs = host.virtualFunctions(of: function.pci.address)
        if !vfs.isEmpty {
            var table = Table(["VF", "ADDRESS", "DRIVER", "GROUP", "SETTINGS", "HOLDER"])
            for vf in vfs {
                table.append([
                    vf.index.map(String.init) ?? "?", "\(vf.pci.address)", vf.pci.driver ?? "",
                    vf.pci.iommuGroup.map(String.init) ?? "", vf.settingsText, vf.holderText,
                ])
            }
            text += "\n" + table.text
        }
        return text
    }
}
