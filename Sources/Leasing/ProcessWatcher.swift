internal import CLinux
internal import Glibc
internal import SRIOV
internal import Synchronization

/// Tells when processes end, by their pidfds: no polling, and a number that is used again is not mistaken.
public final class ProcessWatcher: Sendable {
    private let wake: Int32
    private let set: Int32
    private let watched = Mutex<[Int32: Int32]>([:])
    private let onExit: @Sendable () -> Void

    /// Starts the thread that waits; the closure is called on it.
    ///
    /// Throws `state.unusable` when the process is out of descriptors.
    public init(onExit: @escaping @Sendable () -> Void) throws {
        self.onExit = onExit
        wake = eventfd(0, Int32(EFD_CLOEXEC))
        set = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard wake >= 0, set >= 0 else {
            throw SRIOVError(.state, "cannot watch processes: \(String(cString: strerror(errno)))")
        }
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(fd: wake))
        epoll_ctl(set, EPOLL_CTL_ADD, wake, &event)
        let (set, wake) = (set, wake)
        let hasStarted = startThread { [weak self] in
            var events = [epoll_event](repeating: epoll_event(), count: 16)
            while true {
                let count = epoll_wait(set, &events, 16, -1)
                if count < 0, errno == EINTR { continue }
                guard count > 0, let self else { break }
                let ready = events.prefix(Int(count)).map(\.data.fd)
                if ready.contains(wake) { break }
                self.ended(ready)
            }
            close(set)
            close(wake)
        }
        guard hasStarted else { throw SRIOVError(.state, "cannot watch processes: no thread can be started") }
    }

    deinit {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
    }

    /// Watches a process; false when there is none of that number.
    public func watch(_ pid: Int32) -> Bool {
        watched.withLock { watched in
            guard watched[pid] == nil else { return true }
            let descriptor = sluice_pidfd_open(pid)
            guard descriptor >= 0 else { return errno != ESRCH }
            watched[pid] = descriptor
            var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(fd: descriptor))
            epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event)
            return true
        }
    }

    private func ended(_ descriptors: [Int32]) {
        watched.withLock { watched in
            for (pid, descriptor) in watched where descriptors.contains(descriptor) {
                watched[pid] = nil
                epoll_ctl(set, EPOLL_CTL_DEL, descriptor, nil)
                close(descriptor)
            }
        }
        onExit()
    }
}
