internal import Glibc
internal import PCI

/// Tells when files of some folders come, go or are written, also of folders that are not there yet.
enum FolderWatch {
    /// Calls a closure whenever something may be different, on the calling thread, which does not return unless the kernel
    /// gives no watch.
    static func run(_ folders: [String], _ each: @Sendable () -> Void) {
        guard var inotify = Inotify() else { return }
        let interest = UInt32(
            IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_CLOSE_WRITE)
        while true {
            for folder in folders { watch(folder, interest, inotify) }
            // What came between the last event and its folder's watch is seen by whoever looks now.
            each()
            guard inotify.next() != nil else { return }
        }
    }

    /// Of a folder that is not there its nearest parent is watched. One that is watched already stays so.
    private static func watch(_ folder: String, _ interest: UInt32, _ inotify: borrowing Inotify) {
        var path = folder
        while inotify.watch(path, interest | UInt32(IN_ONLYDIR)) == nil, let slash = path.lastIndex(of: "/"),
            path != "/"
        {
            path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
    }
}
