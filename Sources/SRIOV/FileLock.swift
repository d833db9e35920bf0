internal import Glibc

/// Takes a lock on an open file (flock), and waits for it at most as long as the deadline. The lock is given up when the
/// descriptor is closed.
package func waitForLock(_ descriptor: Int32, deadline: Duration) -> Bool {
    if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
    guard errno == EWOULDBLOCK, deadline > .zero else { return false }
    // flock knows no deadline, so a thread waits; one that waits in vain ends with the process. It has a descriptor of
    // its own, and the lock belongs to the open file behind both.
    let theirs = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    var pair: [Int32] = [-1, -1]
    guard theirs >= 0, socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair) == 0 else {
        return false
    }
    let (ours, signal) = (pair[0], pair[1])
    let hasStarted = startThread {
        while flock(theirs, LOCK_EX) != 0, errno == EINTR {}
        close(theirs)
        close(signal)
    }
    defer { close(ours) }
    guard hasStarted else {
        close(theirs)
        close(signal)
        return false
    }
    var entry = pollfd(fd: ours, events: Int16(POLLIN), revents: 0)
    let milliseconds = deadline.components.seconds * 1000 + deadline.components.attoseconds / 1_000_000_000_000_000
    return poll(&entry, 1, Int32(clamping: milliseconds)) > 0
}
