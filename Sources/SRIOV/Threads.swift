internal import Glibc
internal import Synchronization

/// Runs a closure on a thread of its own and waits for it.
package func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) -> Result {
    inParallel([body]) { $0() }[0]
}

/// Runs a closure for each element on a thread of its own, and returns the results in order when all have ended.
///
/// Device work blocks; on the shared pool of a host with two cores, two stuck devices would stop everything else.
package func inParallel<Element: Sendable, Result: Sendable>(
    _ elements: [Element], _ body: @escaping @Sendable (Element) -> Result
) -> [Result] {
    let results = Mutex<[Int: Result]>([:])
    var threads: [pthread_t] = []
    var undone: [Int] = []
    for (index, element) in elements.enumerated() {
        let job = Job {
            let result = body(element)
            results.withLock { $0[index] = result }
        }
        if let thread = job.start() {
            threads.append(thread)
        } else {
            undone.append(index)
        }
    }
    // Without a thread (the process is at its limit) the work is done here.
    for index in undone {
        let result = body(elements[index])
        results.withLock { $0[index] = result }
    }
    for thread in threads { pthread_join(thread, nil) }
    return results.withLock { results in elements.indices.compactMap { results[$0] } }
}

/// Starts a closure on a thread that nobody waits for; false when the process is at its limit of threads.
@discardableResult
package func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    guard let thread = Job(body).start() else { return false }
    pthread_detach(thread)
    return true
}

/// Runs closures one after another on a thread of its own, which is there as long as there is work: a program at rest
/// has no threads that wait for some.
package final class SerialQueue: Sendable {
    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var isRunning = false
    }

    private let state = Mutex(State())

    package init() {}

    /// Runs a closure after those that came before, and does not wait for it.
    package func add(_ body: @escaping @Sendable () -> Void) {
        let isFirst = state.withLock { state in
            state.waiting.append(body)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        // Without a thread the work is late, and done.
        if isFirst, !startThread({ self.work() }) { work() }
    }

    /// Runs a closure after those that came before, and waits for it without keeping a thread of the shared pool.
    package func run<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Value, Failure>, Never>) in
            add { continuation.resume(returning: Result(catching: body)) }
        }
        return try result.get()
    }

    private func work() {
        while true {
            let batch = state.withLock { state in
                defer { state.waiting = [] }
                if state.waiting.isEmpty { state.isRunning = false }
                return state.waiting
            }
            guard !batch.isEmpty else { return }
            for body in batch { body() }
        }
    }
}

/// A closure on its way to a thread.
private final class Job {
    private let work: @Sendable () -> Void

    init(_ work: @escaping @Sendable () -> Void) { self.work = work }

    func start() -> pthread_t? {
        var thread = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let failed = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Job>.fromOpaque(argument).takeRetainedValue().work() }
                return nil
            }, argument.toOpaque())
        guard failed == 0 else {
            argument.release()
            return nil
        }
        return thread
    }
}
