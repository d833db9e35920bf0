import Synchronization
import Testing

@testable import Agent

@Suite struct TurnstileTests {
    private final class Log: Sendable {
        let served = Mutex<[Int]>([])
        let inside = Mutex(0)
    }

    @Test("A hundred tasks have their turn one after another, in the order in which they came")
    func order() async {
        let turnstile = Turnstile()
        let log = Log()
        await turnstile.enter()
        await withTaskGroup { group in
            for number in 0..<100 {
                group.addTask {
                    await turnstile.enter()
                    log.inside.withLock { $0 += 1 }
                    await Task.yield()
                    #expect(log.inside.withLock { $0 } == 1)
                    log.inside.withLock { $0 -= 1 }
                    log.served.withLock { $0.append(number) }
                    turnstile.leave()
                }
                // It is in the queue before the next comes.
                while turnstile.waiting <= number { await Task.yield() }
            }
            turnstile.leave()
        }
        #expect(log.served.withLock { $0 } == Array(0..<100))
        // The last one has left it open.
        await turnstile.enter()
        turnstile.leave()
    }
}
