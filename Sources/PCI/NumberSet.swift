/// A set of small numbers in the notation of the kernel's CPU lists, `0-5,12-17`.
public struct NumberSet: Sendable, Hashable {
    /// The ranges, in order, apart from one another.
    public let ranges: [ClosedRange<Int>]

    /// Makes a set of any numbers.
    public init(_ numbers: some Sequence<Int>) {
        var ranges: [ClosedRange<Int>] = []
        for number in Set(numbers).sorted() {
            if let last = ranges.last, last.upperBound + 1 == number {
                ranges[ranges.count - 1] = last.lowerBound...number
            } else {
                ranges.append(number...number)
            }
        }
        self.ranges = ranges
    }

    /// How many numbers it has.
    public var count: Int { ranges.reduce(0) { $0 + $1.count } }

    /// The numbers in ascending order.
    public var numbers: [Int] { ranges.flatMap(Array.init) }

    /// Whether a number belongs to it.
    public func contains(_ number: Int) -> Bool { ranges.contains { $0.contains(number) } }
}

extension NumberSet: LosslessStringConvertible {
    /// Parses numbers and ranges separated by commas, each at most 65,535. Blank text is the empty set; anything else,
    /// and a range whose end is below its start, is nil.
    public init?(_ text: some StringProtocol) {
        var numbers: [Int] = []
        let trimmed = String(text.filter { !$0.isWhitespace })
        if !trimmed.isEmpty {
            for part in trimmed.split(separator: ",", omittingEmptySubsequences: false) {
                let ends = part.split(separator: "-", omittingEmptySubsequences: false)
                guard (1...2).contains(ends.count), ends.allSatisfy({ (1...5).contains($0.utf8.count) }),
                    ends.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } }),
                    let first = Int(ends[0]), let last = Int(ends[ends.count - 1]), first <= last, last <= 0xffff
                else { return nil }
                numbers.append(contentsOf: first...last)
                // Overlapping ranges could repeat; the kernel never does.
                guard numbers.count <= 0x1_0000 else { return nil }
            }
        }
        self.init(numbers)
    }

    /// Ranges and numbers separated by commas.
    public var description: String {
        ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
    }
}
