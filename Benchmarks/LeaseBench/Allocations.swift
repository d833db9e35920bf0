internal import Glibc
internal import SRIOV
internal import SluiceTesting
internal import Synchronization

/// Allocates devices as the kubelet does, and prints how long that takes, milliseconds: `allocate` of one that is free,
/// `allocateAgain` of one that a pod had, which is reset before.
func allocate(of resource: String, rounds: Int, kubelet folder: String) async throws {
    try await FakeKubelet(in: folder, .registry).run { kubelet in
        let isThere = await kubelet.wait { $0[resource]?.devices.values.contains(where: \.isHealthy) ?? false }
        guard isThere, let devices = kubelet.resources[resource]?.devices else { fail("there is no \(resource)") }
        let ids = devices.filter(\.value.isHealthy).keys.sorted()
        func time(_ name: String, _ id: String) async throws {
            let start = ContinuousClock.now
            _ = try await kubelet.allocate([id], of: resource)
            print("\(name) \(start.duration(to: .now) / .milliseconds(1))")
        }
        for id in ids { try await time("allocate", id) }
        for _ in 0..<rounds { try await time("allocateAgain", ids[0]) }
    }
}

/// Prints how many devices a resource has, and how many of them are healthy, whenever that changes; allocates the devices that
/// are read, until there are no more lines.
func follow(_ resource: String, kubelet folder: String) async throws {
    let (lines, line) = AsyncStream.makeStream(of: String.self)
    let hasStarted = startThread {
        while let text = readLine() { line.yield(text) }
        line.finish()
    }
    guard hasStarted else { fail("there is no thread") }
    try await FakeKubelet(in: folder, .registry).run { kubelet in
        let following = Task {
            let last = Mutex("")
            // It ends when it is cancelled.
            _ = await kubelet.wait(for: 86_400) { resources in
                let devices = resources[resource]?.devices ?? [:]
                let counts = "\(devices.count) \(devices.values.count(where: \.isHealthy))"
                last.withLock { last in
                    if counts != last {
                        // At once: somebody waits for it.
                        let line = Array("\(microseconds()) \(counts)\n".utf8)
                        _ = write(STDOUT_FILENO, line, line.count)
                    }
                    last = counts
                }
                return false
            }
        }
        for await id in lines { _ = try await kubelet.allocate([id], of: resource) }
        following.cancel()
    }
}

/// As the shell's EPOCHREALTIME.
private func microseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return time.tv_sec * 1_000_000 + time.tv_nsec / 1000
}
