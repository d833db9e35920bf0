import Leasing
import PCI
import SRIOV
import Testing

@Suite struct LeaseStateTests {
    @Test("A free lease is over: no event brings it back", arguments: LeaseEvent.allCases)
    func freeIsFinal(_ event: LeaseEvent) { #expect(LeaseState.free.after(event) == nil) }

    @Test("Whatever was prepared is scrubbed before it is free: no path goes round it")
    func noWayRound() {
        // From every state in which the function may have been touched, free is reached only from scrubbing, or when
        // the function has vanished on its way back, or when another lease of it begins with the same commit.
        for state in LeaseState.allCases {
            for event in LeaseEvent.allCases where state.after(event) == .free {
                let isUntouched = state == .reserved
                let isCleaned = state == .scrubbing && event == .scrubbed
                let isGone = [.releasing, .scrubbing].contains(state) && event == .vanished
                let isHandedOver = state == .active && event == .handedOver
                #expect(isUntouched || isCleaned || isGone || isHandedOver, "\(state) \(event)")
            }
        }
    }

    @Test("Any order of events keeps to the states, and every open state can still end")
    func anyOrder() {
        var random = SplitMix(state: 7)
        for _ in 0..<2_000 {
            var state = LeaseState.reserved
            for _ in 0..<30 {
                guard let event = LeaseEvent.allCases.randomElement(using: &random) else { break }
                let next = state.after(event)
                if state == .quarantined { #expect(next == nil || next == .releasing || next == .lost) }
                if next == .active { #expect(state == .preparing && event == .prepared) }
                state = next ?? state
            }
            #expect(canEnd(state))
        }
    }

    private func canEnd(_ state: LeaseState) -> Bool {
        var seen: Set<LeaseState> = [state]
        var queue = [state]
        while let next = queue.popLast() {
            if next == .free { return true }
            for event in LeaseEvent.allCases {
                if let after = next.after(event), seen.insert(after).inserted { queue.append(after) }
            }
        }
        return false
    }

    @Test(
        "What is read of a consumer is what was written; anything else is nil",
        arguments: [
            "domain:1b2c3d4e-0000-4000-8000-000000000001", "namespace:/run/netns/blue@4026532001", "process:4711@99",
            "port:1b2c3d4e-0000-4000-8000-000000000002", "person:alice",
        ])
    func consumers(_ text: String) throws {
        #expect(try #require(Consumer(text)).description == text)
    }

    @Test(
        "A consumer that cannot be is nil",
        arguments: [
            "", "domain", "domain:", "domain:vm-1", "process:0", "process:-3", "process:99999999999", "process:07",
            "namespace:blue", "person:", "person:a b", "person:\u{1b}[2J", "robot:1", "port:zzzz",
        ])
    func noConsumers(_ text: String) { #expect(Consumer(text) == nil) }

    @Test("A clock that jumps neither ends a lease early nor lets it live for ever")
    func clockJumps() {
        let clock = TestClock()
        let end = clock.deadline(seconds: 60)
        clock.advance(seconds: 10, wallSeconds: -100_000)
        #expect(clock.remaining(until: end, length: 60_000) == 50_000)
        clock.advance(seconds: 10, wallSeconds: 500_000)
        #expect(clock.remaining(until: end, length: 60_000) == 40_000)
        clock.advance(seconds: 40, wallSeconds: 0)
        #expect(clock.remaining(until: end, length: 60_000) == 0)
        // After a reboot only the wall clock is left; one that is far behind leaves the whole length at most.
        clock.reboot(wall: 0)
        #expect(clock.remaining(until: end, length: 60_000) == 60_000)
        clock.reboot(wall: end.wall - 5_000)
        #expect(clock.remaining(until: end, length: 60_000) == 5_000)
    }
}
