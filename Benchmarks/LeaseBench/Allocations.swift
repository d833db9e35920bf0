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

/// Takes a port's link away and gives it back, and removes its VFs and makes them anew, and prints how long it takes until the
/// kubelet has been told of that, milliseconds; of new VFs from the moment when the kernel has them.
func tell(of resource: String, port: String, rounds: Int, kubelet folder: String) async throws {
    try await FakeKubelet(in: folder, .registry).run { kubelet in
        func isSo(_ count: Int) async -> Bool {
            await kubelet.wait { $0[resource]?.devices.values.count(where: \.isHealthy) == count }
        }
        let isThere = await kubelet.wait { $0[resource]?.devices.values.contains(where: \.isHealthy) ?? false }
        guard isThere, let devices = kubelet.resources[resource]?.devices else { fail("there is no \(resource)") }
        let all = devices.values.count(where: \.isHealthy)
        let count = contents(of: "/sys/class/net/\(port)/device/sriov_numvfs")
        guard let own = Int(count), own > 0 else { fail("\(port) has no VFs") }
        func time(_ name: String, _ expected: Int, _ path: String, _ text: String) async throws {
            write(text, to: path)
            let start = ContinuousClock.now
            guard await isSo(expected) else { fail("\(name): the kubelet is not told: \(kubelet.resources)") }
            print("\(name) \(start.duration(to: .now) / .milliseconds(1))")
        }
        for _ in 0..<rounds {
            // IFF_UP is bit 0.
            try await time("toldDown", all - own, "/sys/class/net/\(port)/flags", "0x1002")
            try await time("toldUp", all, "/sys/class/net/\(port)/flags", "0x1003")
        }
        for _ in 0..<(rounds + 3) / 4 {
            try await time("toldGone", all - own, "/sys/class/net/\(port)/device/sriov_numvfs", "0")
            try await time("toldNew", all, "/sys/class/net/\(port)/device/sriov_numvfs", count)
        }
    }
}

private func contents(of path: String) -> String {
    guard let file = fopen(path, "r") else { fail("\(path) cannot be read") }
    defer { fclose(file) }
    var bytes = [CChar](repeating: 0, count: 64)
    guard fgets(&bytes, 64, file) != nil else { return "" }
    return String(decoding: bytes.prefix { $0 > 0x20 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private func write(_ text: String, to path: String) {
    guard let file = fopen(path, "w") else { fail("\(path) cannot be written") }
    guard fputs(text, file) >= 0, fclose(file) == 0 else { fail("\(path) takes no \(text)") }
}
