internal import Glibc

/// SEEK_DATA: for /dev/kmsg what came after the last clearing (Documentation/ABI/testing/dev-kmsg).
private let seekPastCleared: Int32 = 3

/// The kernel's log, /dev/kmsg.
public enum KernelLog {
    /// One of its messages.
    public struct Message: Sendable, Hashable {
        /// Its number since the boot.
        public var sequence: UInt64
        /// Its text, without what programs add to it.
        public var text: String

        /// A message of a number; 0 is one whose number is not known.
        public init(sequence: UInt64, text: String) {
            self.sequence = sequence
            self.text = text
        }
    }

    /// The newest messages, oldest first; empty where they cannot be read (not root, or dmesg_restrict).
    public static func lines(last count: Int) -> [String] {
        var lines: [String] = []
        read(waits: false) { message in
            lines.append(message.text)
            if lines.count > 2 * count { lines.removeFirst(count) }
            return true
        }
        return Array(lines.suffix(count))
    }

    /// The newest message.
    public static func lastLine() -> String? { lines(last: 1).last }

    /// Calls a closure with each message, those that are there first; on the calling thread, which returns only when the
    /// log cannot be read.
    public static func follow(_ each: (Message) -> Void) {
        read(waits: true) { message in
            each(message)
            return true
        }
    }

    /// The messages since the boot that are wanted, oldest first. What the kernel's ring has forgotten the journal knows.
    public static func sinceBoot(where isWanted: (String) -> Bool) -> [String] {
        forgotten(where: isWanted) + lines(last: 10_000).filter(isWanted)
    }

    /// The messages since the boot that are wanted and that the kernel's ring has overwritten, oldest first.
    public static func forgotten(where isWanted: (String) -> Bool) -> [String] {
        // What somebody has cleared is to be forgotten, as long as the kernel knows that it was.
        guard clearedBefore() == 0, first(from: SEEK_SET)?.sequence ?? 0 > 0 else { return [] }
        let known = Set(lines(last: 10_000))
        return KernelJournal.lines { isWanted($0) && !known.contains($0) }
    }

    /// The number of the first message that has not been cleared (dmesg -C); 0 where none of those that are there was.
    public static func clearedBefore() -> UInt64 {
        guard let oldest = first(from: SEEK_SET)?.sequence else { return 0 }
        // All of it was, when nothing is left.
        guard let left = first(from: seekPastCleared)?.sequence else {
            var newest = oldest
            read(waits: false, from: SEEK_SET) { message in
                newest = message.sequence
                return true
            }
            // What was said in the meantime was not cleared.
            return first(from: seekPastCleared)?.sequence ?? newest + 1
        }
        return left > oldest ? left : 0
    }

    private static func first(from place: Int32) -> Message? {
        var found: Message?
        read(waits: false, from: place) { message in
            found = message
            return false
        }
        return found
    }

    /// Reads until the closure returns false; without waiting, until there is no more.
    private static func read(waits: Bool, from place: Int32 = seekPastCleared, _ each: (Message) -> Bool) {
        let descriptor = open("/dev/kmsg", O_RDONLY | O_CLOEXEC | (waits ? 0 : O_NONBLOCK))
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        // What somebody has cleared (dmesg -C) is over.
        lseek(descriptor, 0, place)
        var buffer = [UInt8](repeating: 0, count: 8192)
        while true {
            let got = Glibc.read(descriptor, &buffer, buffer.count)
            if got < 0, errno == EPIPE || errno == EINTR { continue }  // EPIPE: overwritten while we read
            guard got > 0, each(message(in: buffer[..<got])) else { return }
        }
    }

    /// A record is `PRIORITY,SEQUENCE,TIME,FLAGS;TEXT`, then lines of `KEY=VALUE`.
    static func message(in record: ArraySlice<UInt8>) -> Message {
        let header = record.prefix { $0 != UInt8(ascii: ";") }.split(separator: UInt8(ascii: ","))
        let text = record.drop { $0 != UInt8(ascii: ";") }.dropFirst().prefix { $0 != 10 }
        let number = header.dropFirst().first.flatMap { UInt64(String(decoding: $0, as: UTF8.self)) }
        return Message(sequence: number ?? 0, text: String(decoding: text, as: UTF8.self))
    }
}
