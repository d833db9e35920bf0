internal import Glibc
internal import HostFile
internal import Netlink
internal import PCI
internal import SRIOV

/// What is fed to a parser: hostile input must be answered, and never trap, hang or read beyond its end.
enum FuzzTarget: String, CaseIterable {
    /// A datagram of the kernel, and its link messages.
    case netlink
    /// A PCI address, and the other short notations.
    case address
    /// A host file.
    case hostfile
    /// A recording of umockdev, read as a whole host.
    case recording
    /// pci.ids.
    case pciids

    /// The target that SLUICE_FUZZ_TARGET names.
    static let selected: FuzzTarget = {
        guard let target = getenv("SLUICE_FUZZ_TARGET").flatMap({ FuzzTarget(rawValue: String(cString: $0)) }) else {
            print("SLUICE_FUZZ_TARGET is one of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))")
            exit(64)
        }
        return target
    }()

    func run(_ bytes: [UInt8]) {
        switch self {
        case .netlink: netlink(bytes)
        case .address: address(String(decoding: bytes, as: UTF8.self))
        case .hostfile: _ = try? HostFile.parse(String(decoding: bytes, as: UTF8.self), file: "fuzz")
        case .recording: recording(bytes)
        case .pciids:
            _ = PCINames(
                bytes, for: [PCIModel(vendor: 0x8086, device: 0x10c9), PCIModel(vendor: 0x144d, device: 0xa80a)])
        }
    }

    private func netlink(_ bytes: [UInt8]) {
        for message in Message.all(in: bytes) {
            _ = message.acknowledgement
            _ = Link(message.payload)
            _ = LinkAddress(message.payload)?.description
            _ = defaultRouteOutputs(message.payload)
        }
        // The same as one message's payload, so that the fuzzer need not find the header first.
        _ = Link(ByteReader(bytes))
        _ = LinkAddress(ByteReader(bytes))?.description
        _ = LinkMonitor.events(in: bytes)
        _ = defaultRouteOutputs(ByteReader(bytes))
        _ = Devlink.Port(ByteReader(bytes).attributes)
        _ = DeviceEvent(bytes)
    }

    private func address(_ text: String) {
        // What is read is written, and read again the same.
        if let address = PCIAddress(text) { precondition(PCIAddress(address.description) == address) }
        if let address = MACAddress(text) { precondition(MACAddress(address.description) == address) }
        if let guid = GUID(text) { precondition(GUID(guid.description) == guid) }
        if let model = PCIModel(text) { precondition(PCIModel(model.description) == model) }
        if let set = NumberSet(text) { precondition(NumberSet(set.description) == set) }
        _ = PCIAddress(text)?.virtualFunction(text.count, offset: text.count, stride: text.count)
        _ = ConfigurationSpace(bytes: Array(text.utf8)).deviceSerialNumber
        _ = VitalProductData(Array(text.utf8))
    }

    private func recording(_ bytes: [UInt8]) {
        guard let tree = try? RecordedTree(bytes),
            let host = try? HostReader(kernel: RecordedKernel(files: tree)).read()
        else { return }
        var declared = DeclaredHost()
        var identity = Identity()
        identity.netdev = "eno49"
        let position = SourcePosition(file: "fuzz", line: 1, column: 1)
        declared.physicalFunctions = [
            DeclaredPhysicalFunction(identity: identity, virtualFunctions: 3, position: position)
        ]
        _ = Planner(host: host, files: tree).plan(to: declared)
        for function in host.functions { _ = try? PCIReader(files: tree).details(function.pci.address) }
    }
}

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
func fuzzerTestOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
    FuzzTarget.selected.run(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
}
