internal import Netlink
internal import PCI
public import SRIOV

/// What a function is called in the ledger: its hardware, not its place. A card that moves to another slot keeps its
/// leases; another card in the same slot does not get them.
public struct FunctionIdentity: Sendable, Hashable, RawRepresentable, CustomStringConvertible {
    /// `mac:94:57:a5:5a:d9:c0/vf3`, `serial:S6XPNX0R700001`, or `address:0000:04:00.0` of hardware without either.
    public var rawValue: String

    /// Makes an identity of its text.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The text.
    public var description: String { rawValue }

    /// Whether it names a place, because the hardware does not say who it is.
    public var isPlace: Bool { rawValue.hasPrefix("address:") }

    /// The identity of a function of a host; a VF's is its port's and its index.
    public init(_ function: Function, in host: Host) {
        if let parent = function.pci.physicalFunction, let index = function.index, let port = host[parent] {
            rawValue = Self.hardware(port, host) + "/vf\(index)"
        } else {
            rawValue = Self.hardware(function, host)
        }
    }

    /// The identity that a VF of a port has or will have.
    init(virtualFunction index: Int, of port: Function, in host: Host) {
        rawValue = Self.hardware(port, host) + "/vf\(index)"
    }

    /// Whether it is a VF of a port, one that is there or not.
    func isVirtualFunction(of port: Function, in host: Host) -> Bool {
        rawValue.hasPrefix(Self.hardware(port, host) + "/vf")
    }

    private static func hardware(_ function: Function, _ host: Host) -> String {
        // The address that somebody has set is not the hardware's.
        if let mac = function.link?.permanentAddress?.mac, !mac.isZero {
            return "mac:\(mac)"
        }
        if let serial = function.pci.serial { return "serial:\(serial)" }
        return "address:\(function.pci.address)"
    }
}
