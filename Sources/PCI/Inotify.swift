internal import Glibc

/// The kernel's notices on files (inotify). One thread reads them.
package struct Inotify: ~Copyable {
    private let descriptor: Int32
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    /// What happened to a file of a folder (struct inotify_event).
    package struct Event: Sendable {
        /// Which watch it is of.
        package var watch: Int32
        /// IN_CREATE and the like.
        package var mask: UInt32
        /// The file, without its folder.
        package var name: String
    }

    /// nil, with errno, when the kernel gives none.
    package init?() {
        descriptor = inotify_init1(Int32(IN_CLOEXEC))
        guard descriptor >= 0 else { return nil }
    }

    deinit { close(descriptor) }

    /// Watches a path; nil, with errno, when that cannot be. A path that is watched already keeps its number.
    package func watch(_ path: String, _ mask: UInt32) -> Int32? {
        let number = inotify_add_watch(descriptor, path, mask)
        return number >= 0 ? number : nil
    }

    /// Waits for the next events; nil, with errno, when there will be none.
    package mutating func next() -> [Event]? {
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            return count > 0 ? Self.events(in: buffer[..<count]) : nil
        }
    }

    private static func events(in bytes: ArraySlice<UInt8>) -> [Event] {
        var events: [Event] = []
        var rest = bytes
        while rest.count >= 16 {
            let head = Array(rest.prefix(16))
            func word(_ offset: Int) -> UInt32 {
                head[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
            }
            let length = Int(word(12))
            guard rest.count >= 16 + length else { break }
            let name = rest.dropFirst(16).prefix(length).prefix { $0 != 0 }
            events.append(
                Event(watch: Int32(bitPattern: word(0)), mask: word(4), name: String(decoding: name, as: UTF8.self)))
            rest = rest.dropFirst(16 + length)
        }
        return events
    }
}
