internal import NIOCore
internal import Synchronization

/// Calls that change devices in several steps, each of which the kernel tells of. A look at the whole host in the middle of
/// them takes the processors from them, and sees what is so for a moment.
final class Calls: Sendable {
    /// What may be between two steps of one call: another program's turn.
    private static let pause = TimeAmount.milliseconds(150)
    /// How long a look is put off at most.
    private static let patience = TimeAmount.milliseconds(500)

    private struct State {
        var running = 0
        /// Counts the calls, so that a pause after one knows of the next.
        var begun = 0
        var isPausing = false
        var waiting: [EventLoopPromise<Void>] = []
    }

    private let state = Mutex(State())
    private let loop: any EventLoop

    init(loop: any EventLoop) { self.loop = loop }

    /// Runs a call.
    func during<Value>(_ body: () async throws -> Value) async rethrows -> Value {
        state.withLock { state in
            state.running += 1
            state.begun += 1
        }
        defer { finish() }
        return try await body()
    }

    private func finish() {
        let begun = state.withLock { state -> Int? in
            state.running -= 1
            guard state.running == 0 else { return nil }
            state.isPausing = true
            return state.begun
        }
        guard let begun else { return }
        loop.scheduleTask(in: Self.pause) { [self] in
            let waiting = state.withLock { state -> [EventLoopPromise<Void>] in
                guard state.begun == begun else { return [] }
                state.isPausing = false
                defer { state.waiting = [] }
                return state.waiting
            }
            for promise in waiting { promise.succeed() }
        }
    }

    /// Waits until no call is under way, for half a second at most.
    func haveEnded() async {
        let promise = loop.makePromise(of: Void.self)
        let isBusy = state.withLock { state in
            guard state.running > 0 || state.isPausing else { return false }
            state.waiting.append(promise)
            return true
        }
        guard isBusy else { return promise.succeed() }
        let timer = loop.scheduleTask(in: Self.patience) { promise.succeed() }
        defer { timer.cancel() }
        try? await promise.futureResult.get()
    }
}
