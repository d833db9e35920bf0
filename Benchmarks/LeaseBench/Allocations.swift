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
