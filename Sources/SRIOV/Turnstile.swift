internal import Synchronization

/// Lets tasks through one after another, in the order in which they have come.
package final class Turnstile: Sendable {
    private struct State {
        var isTaken = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    package init() {}

    /// How many wait for their turn.
    var waiting: Int { state.withLock { $0.waiting.count } }

    /// Waits for the turn, which is the caller's until it leaves.
    package func enter() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.isTaken { state.waiting.append(continuation) }
                defer { state.isTaken = true }
                return !state.isTaken
            }
            if isFree { continuation.resume() }
        }
    }

    /// Gives the turn to the next.
    package func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
            state.isTaken = false
            return nil
        }
        next?.resume()
    }
}

/// A turnstile for each of many things, there as long as somebody has his turn or waits for it.
package final class Turnstiles<Key: Hashable & Sendable>: Sendable {
    private let turnstiles = Mutex<[Key: (turnstile: Turnstile, users: Int)]>([:])

    package init() {}

    /// Runs a body when nobody else who has come before is at the same thing any more.
    package func passing<Value>(_ key: Key, _ body: () async throws -> Value) async rethrows -> Value {
        let turnstile = turnstiles.withLock { turnstiles in
            turnstiles[key, default: (Turnstile(), 0)].users += 1
            return turnstiles[key, default: (Turnstile(), 1)].turnstile
        }
        await turnstile.enter()
        defer {
            turnstile.leave()
            turnstiles.withLock { turnstiles in
                let users = (turnstiles[key]?.users ?? 1) - 1
                if users == 0 { turnstiles[key] = nil } else { turnstiles[key]?.users = users }
            }
        }
        return try await body()
    }
}
