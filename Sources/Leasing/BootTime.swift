internal import Glibc
public import PCI

/// A moment on the clock that counts from boot and does not jump (CLOCK_BOOTTIME), together with the boot it belongs to.
///
/// A lease's end must not depend on the wall clock: one that jumps back would let it live for ever, one that jumps
/// ahead would end it early.
public struct BootTime: Sendable, Hashable {
    /// The kernel's name of the boot (/proc/sys/kernel/random/boot_id).
    public var boot: String
    /// Milliseconds since that boot.
    public var milliseconds: Int64
    /// The same moment on the wall clock, milliseconds since 1970; used only after another boot.
    public var wall: Int64

    /// Makes a moment of its parts.
    public init(boot: String, milliseconds: Int64, wall: Int64) {
        self.boot = boot
        self.milliseconds = milliseconds
        self.wall = wall
    }
}

/// Tells the time.
public protocol LeaseClock: Sendable {
    /// Now.
    func now() -> BootTime
}

extension LeaseClock {
    /// A moment some seconds from now; the clock's end for a time beyond it.
    public func deadline(seconds: Int64) -> BootTime {
        let (length, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return deadline(milliseconds: overflow ? .max : length)
    }

    /// A moment some milliseconds from now; the clock's end for a time beyond it.
    public func deadline(milliseconds: Int64) -> BootTime {
        var time = now()
        let bounded = min(max(milliseconds, 0), Int64.max / 4)
        time.milliseconds += bounded
        time.wall += bounded
        return time
    }

    /// How long it is until a moment, milliseconds; 0 when it has come.
    ///
    /// After another boot only the wall clock can tell, and it may be wrong by then: what is left is never more than the
    /// whole length that the lease was given.
    public func remaining(until deadline: BootTime, length: Int64) -> Int64 {
        let time = now()
        if time.boot == deadline.boot { return max(0, deadline.milliseconds - time.milliseconds) }
        return min(max(0, deadline.wall &- time.wall), length)
    }
}

/// This host's clock.
public struct HostClock: LeaseClock {
    private let boot: String

    /// Reads which boot it is.
    public init(files: any FileTree) {
        boot = ((try? files.text("/proc/sys/kernel/random/boot_id")) ?? nil) ?? "unknown"
    }

    /// See `LeaseClock`.
    public func now() -> BootTime {
        BootTime(boot: boot, milliseconds: read(CLOCK_BOOTTIME), wall: read(CLOCK_REALTIME))
    }

    private func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
