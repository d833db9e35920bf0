/// The difference of two texts, as `diff -u` shows it.
public enum LineDiff {
    /// The lines of a unified difference, without the names of the files; none when the texts are the same.
    ///
    /// - Parameters:
    ///   - before: The old text.
    ///   - after: The new text.
    ///   - context: How many lines around a change are shown.
    public static func lines(_ before: String, _ after: String, context: Int = 3) -> [String] {
        let old = split(before)
        let new = split(after)
        let difference = new.difference(from: old)
        guard !difference.isEmpty else { return [] }
        var removed: Set<Int> = []
        var inserted: Set<Int> = []
        for change in difference {
            switch change {
            case .remove(let offset, _, _): removed.insert(offset)
            case .insert(let offset, _, _): inserted.insert(offset)
            }
        }
        // One list of all lines, in order, with what becomes of each.
        var all: [(mark: Character, text: Substring, old: Int, new: Int)] = []
        var (left, right) = (0, 0)
        while left < old.count || right < new.count {
            if removed.contains(left) {
                all.append(("-", old[left], left, right))
                left += 1
            } else if inserted.contains(right) {
                all.append(("+", new[right], left, right))
                right += 1
            } else {
                all.append((" ", old[left], left, right))
                left += 1
                right += 1
            }
        }
        return hunks(all, context)
    }

    private static func split(_ text: String) -> [Substring] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last == "" {
            lines.removeLast()
        } else if !lines.isEmpty {
            lines.append("\\ No newline at end of file")
        }
        return lines
    }

    private static func hunks(_ all: [(mark: Character, text: Substring, old: Int, new: Int)], _ context: Int)
        -> [String]
    {
        let changed = all.indices.filter { all[$0].mark != " " }
        var ranges: [Range<Int>] = []
        for index in changed {
            let range = max(0, index - context)..<min(all.count, index + context + 1)
            if let last = ranges.last, last.upperBound >= range.lowerBound {
                ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
            } else {
                ranges.append(range)
            }
        }
        return ranges.flatMap { range -> [String] in
            let lines = all[range]
            let (olds, news) = (lines.count { $0.mark != "+" }, lines.count { $0.mark != "-" })
            let first = all[range.lowerBound]
            let (start, begin) = (first.old + (olds > 0 ? 1 : 0), first.new + (news > 0 ? 1 : 0))
            return ["@@ -\(start),\(olds) +\(begin),\(news) @@"] + lines.map { "\($0.mark)\($0.text)" }
        }
    }
}
