/// Functions that the IOMMU cannot tell apart: they are given to one holder together.
public struct IOMMUGroup: Sendable, Hashable {
    /// The group's number, which changes from boot to boot and must never be stored.
    public var number: Int
    /// Its members.
    public var functions: [PCIAddress]
    /// The domain type: `DMA`, `DMA-FQ`, `identity`.
    public var type: String?
    /// Address ranges that the platform has reserved.
    public var reservedRegions: [Region]

    /// An address range that a group must not use, or must map one to one.
    public struct Region: Sendable, Hashable {
        /// The first address.
        public var start: UInt64
        /// The last address.
        public var end: UInt64
        /// `direct` and `direct-relaxable` (RMRR), `msi`, `reserved`.
        public var kind: String

        /// Parses the lines `0x… 0x… KIND` of `reserved_regions`; a line of another form is left out.
        static func list(_ text: String) -> [Region] {
            text.split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ")
                guard words.count == 3, words[0].hasPrefix("0x"), words[1].hasPrefix("0x"),
                    let start = UInt64(words[0].dropFirst(2), radix: 16),
                    let end = UInt64(words[1].dropFirst(2), radix: 16)
                else { return nil }
                return Region(start: start, end: end, kind: String(words[2]))
            }
        }
    }
}

/// A NUMA node of the host.
public struct NUMANode: Sendable, Hashable {
    /// Its number.
    public var number: Int
    /// Its CPUs.
    public var cpus: NumberSet

    /// Makes a node.
    public init(number: Int, cpus: NumberSet) {
        self.number = number
        self.cpus = cpus
    }
}
