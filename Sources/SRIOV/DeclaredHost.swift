public import Netlink
public import PCI

/// The declared state of one host: what the host file says, checked.
public struct DeclaredHost: Sendable, Hashable {
    /// The PFs whose VFs are declared.
    public var physicalFunctions: [DeclaredPhysicalFunction] = []
    /// Other functions to pass through.
    public var passthrough: [DeclaredPassthrough] = []
    /// Named sets of functions.
    public var pools: [DeclaredPool] = []

    /// An empty declaration.
    public init() {}
}

/// Where something stands in the host file; lines and columns count from 1.
public struct SourcePosition: Sendable, Hashable, CustomStringConvertible {
    /// The file as the user named it.
    public var file: String
    /// The line.
    public var line: Int
    /// The column.
    public var column: Int

    /// Makes a position.
    public init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    /// `FILE:LINE:COLUMN`, as compilers write it.
    public var description: String { "\(file):\(line):\(column)" }
}

/// The driver that a function is declared to have.
public enum DeclaredDriver: Sendable, Hashable {
    /// vfio-pci or a variant of it, for passing through.
    case vfio(String)
    /// The kernel's own driver; its name where the kernel's choice is not meant.
    case kernel(String?)

    /// Whether a text can be a driver's name: it is written to driver_override and given to modprobe, so it begins with a
    /// letter or a digit.
    package static func isName(_ text: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            UnicodeScalar(byte).isASCII && (Character(UnicodeScalar(byte)).isLetter || (48...57).contains(byte))
        }
        return (1...64).contains(text.utf8.count) && text.utf8.first.map(isAlphanumeric) ?? false
            && text.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
    }
}

/// A PF as the host file declares it.
public struct DeclaredPhysicalFunction: Sendable, Hashable {
    /// Which one.
    public var identity: Identity
    /// How many VFs.
    public var virtualFunctions: Int
    /// The driver of the VFs that no range says otherwise of; nil leaves it to the kernel as it is.
    public var driver: DeclaredDriver?
    /// The settings of the VFs that no range says otherwise of.
    public var defaults = VirtualFunctionSettings()
    /// What single VFs have otherwise, in the order of the file; they do not overlap.
    public var ranges: [Range] = []
    /// MTU of the PF's netdev, bytes.
    public var mtu: UInt32?
    /// The eswitch mode.
    public var eswitchMode: Devlink.EswitchMode?
    /// Where it stands in the file.
    public var position: SourcePosition

    /// What some VFs of a PF have otherwise than the rest.
    public struct Range: Sendable, Hashable {
        /// The VFs' indexes.
        public var virtualFunctions: NumberSet
        /// Their driver; nil is the PF's.
        public var driver: DeclaredDriver?
        /// Their settings; those not given are the PF's defaults.
        public var settings: VirtualFunctionSettings

        /// Makes a range.
        public init(virtualFunctions: NumberSet, driver: DeclaredDriver?, settings: VirtualFunctionSettings) {
            self.virtualFunctions = virtualFunctions
            self.driver = driver
            self.settings = settings
        }
    }

    /// Makes a declaration of a PF with a number of VFs.
    public init(identity: Identity, virtualFunctions: Int, position: SourcePosition) {
        self.identity = identity
        self.virtualFunctions = virtualFunctions
        self.position = position
    }

    /// The driver that a VF is declared to have.
    public func driver(of index: Int) -> DeclaredDriver? {
        ranges.first { $0.virtualFunctions.contains(index) }?.driver ?? driver
    }

    /// The settings that a VF is declared to have.
    public func settings(of index: Int) -> VirtualFunctionSettings {
        let range = ranges.first { $0.virtualFunctions.contains(index) }?.settings
        return (range ?? VirtualFunctionSettings()).filled(from: defaults)
    }
}

/// A function other than a VF that is declared to be passed through, or to be given back.
public struct DeclaredPassthrough: Sendable, Hashable {
    /// Which one.
    public var identity: Identity
    /// The driver it is to have.
    public var driver: DeclaredDriver
    /// Where it stands in the file.
    public var position: SourcePosition

    /// Makes a declaration.
    public init(identity: Identity, driver: DeclaredDriver, position: SourcePosition) {
        self.identity = identity
        self.driver = driver
        self.position = position
    }
}

extension VirtualFunctionSettings {
    /// The settings, with those that are not given taken from others.
    public func filled(from other: VirtualFunctionSettings) -> VirtualFunctionSettings {
        var result = self
        result.mac = mac ?? other.mac
        result.vlans = vlans ?? other.vlans
        result.minTxRateMbps = minTxRateMbps ?? other.minTxRateMbps
        result.maxTxRateMbps = maxTxRateMbps ?? other.maxTxRateMbps
        result.spoofCheck = spoofCheck ?? other.spoofCheck
        result.trust = trust ?? other.trust
        result.linkState = linkState ?? other.linkState
        result.rssQuery = rssQuery ?? other.rssQuery
        result.nodeGUID = nodeGUID ?? other.nodeGUID
        result.portGUID = portGUID ?? other.portGUID
        return result
    }

    /// Of these settings those that differ from what is observed. A rate is never changed without the other one, which
    /// the kernel would set to 0.
    public func differing(from observed: VirtualFunctionSettings) -> VirtualFunctionSettings {
        var result = self
        if mac == observed.mac { result.mac = nil }
        if vlans == observed.vlans { result.vlans = nil }
        let minimum = minTxRateMbps ?? observed.minTxRateMbps
        let maximum = maxTxRateMbps ?? observed.maxTxRateMbps
        if minimum == observed.minTxRateMbps, maximum == observed.maxTxRateMbps {
            result.minTxRateMbps = nil
            result.maxTxRateMbps = nil
        } else if minTxRateMbps != nil, minimum != observed.minTxRateMbps {
            result.maxTxRateMbps = maximum
        } else {
            result.minTxRateMbps = nil
        }
        if spoofCheck == observed.spoofCheck { result.spoofCheck = nil }
        if trust == observed.trust { result.trust = nil }
        if linkState == observed.linkState { result.linkState = nil }
        if rssQuery == observed.rssQuery { result.rssQuery = nil }
        if nodeGUID == observed.nodeGUID { result.nodeGUID = nil }
        if portGUID == observed.portGUID { result.portGUID = nil }
        return result
    }
}
