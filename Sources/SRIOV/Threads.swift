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

/// Starts a closure on a thread that nobody waits for.
package func startThread(_ body: @escaping @Sendable () -> Void) {
    if let thread = Job(body).start() { pthread_detach(thread) }
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
