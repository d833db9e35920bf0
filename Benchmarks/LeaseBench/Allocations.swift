internal import Glibc
internal import SluiceTesting

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

/// Takes a port down, and removes its VFs, and prints how long it takes until the kubelet has been told of that, milliseconds,
/// from before the kernel is asked for it (`toldDown`, `toldGone`). The agent mends both; `toldNew` is from the moment when the
/// last of the VFs that it makes anew has its driver.
func tell(of resource: String, port: String, rounds: Int, kubelet folder: String) async throws {
    let device = "/sys/class/net/\(port)/device"
    try await FakeKubelet(in: folder, .registry).run { kubelet in
        func wait(for what: String, _ count: Int? = nil) async {
            // The agent waits longer each time before it mends the same.
            let isSo = await kubelet.wait(for: 120) {
                guard let devices = $0[resource]?.devices, !devices.isEmpty else { return false }
                return devices.values.count(where: \.isHealthy) == count ?? devices.count
            }
            if !isSo { fail("the kubelet is not told that \(what): \(kubelet.resources)") }
        }
        func print(_ name: String, since start: ContinuousClock.Instant) {
            Swift.print("\(name) \(start.duration(to: .now) / .milliseconds(1))")
        }
        await wait(for: "all are healthy")
        let all = kubelet.resources[resource]?.devices.count ?? 0
        var own = 0
        while access("\(device)/virtfn\(own)", F_OK) == 0 { own += 1 }
        guard own > 0 else { fail("\(port) has no VFs") }
        for _ in 0..<rounds {
            var start = ContinuousClock.now
            // Without IFF_UP.
            write("0x1002", to: "/sys/class/net/\(port)/flags")
            await wait(for: "\(port) is down", all - own)
            print("toldDown", since: start)
            await wait(for: "\(port) is up", all)
            start = .now
            write("0", to: "\(device)/sriov_numvfs")
            await wait(for: "\(port) has no VFs", all - own)
            print("toldGone", since: start)
            while access("\(device)/virtfn\(own - 1)/driver", F_OK) != 0 { usleep(1000) }
            start = .now
            await wait(for: "\(port) has VFs", all)
            print("toldNew", since: start)
        }
    }
}

private func write(_ text: String, to path: String) {
    guard let file = fopen(path, "w") else { fail("\(path) cannot be written") }
    guard fputs(text, file) >= 0, fclose(file) == 0 else { fail("\(path) takes no \(text)") }
}
