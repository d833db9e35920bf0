import Synchronization
import Testing

@testable import SRIOV

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

    @Test("At each thing one task has its turn; others are not waited for")
    func manyThings() async {
        let turnstiles = Turnstiles<Int>()
        let log = Log()
        await turnstiles.passing(-1) {
            await withTaskGroup { group in
                for number in 0..<100 {
                    group.addTask {
                        await turnstiles.passing(number % 2) {
                            if number % 2 == 0 {
                                log.inside.withLock { $0 += 1 }
                                await Task.yield()
                                #expect(log.inside.withLock { $0 } == 1)
                                log.inside.withLock { $0 -= 1 }
                            }
                            log.served.withLock { $0.append(number) }
                        }
                    }
                }
            }
        }
        #expect(log.served.withLock { Set($0) } == Set(0..<100))
    }
}
