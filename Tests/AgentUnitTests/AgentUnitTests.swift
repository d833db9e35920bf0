import AgentAPI
import Leasing
import PCI
import SRIOV
import Testing

@testable import Agent

@Suite struct AttemptsTests {
    @Test("A plan that was tried is tried again after a second, then ever later, and forgotten when it stays quiet")
    func backOff() {
        let start = SuspendingClock.now
        var attempts = Attempts()
        func isDue(_ plan: String, _ time: Duration) -> Bool { attempts.isDue(plan, at: start + time) }
        #expect(isDue("a", .zero))
        attempts.add("a", at: start)
        #expect(!isDue("a", .milliseconds(999)) && attempts.next == start + .seconds(1))
        #expect(isDue("b", .zero) && isDue("a", .seconds(1)))
        attempts.add("a", at: start + .seconds(1))
        #expect(!isDue("a", .milliseconds(2_999)) && isDue("a", .seconds(3)))
        for _ in 0..<20 { attempts.add("a", at: start) }
        #expect(!isDue("a", .seconds(299)) && isDue("a", .seconds(300)))
        attempts.settle(at: start + .seconds(601))
        #expect(attempts.count(of: "a") == 0 && attempts.next == nil)
    }
}

@Suite struct EventHubTests {
    private func transition(_ number: Int64) throws -> Transition {
        Transition(
            number: number, time: number, lease: "L", function: FunctionIdentity(rawValue: "serial:1"),
            address: try #require(PCIAddress("0000:01:00.0")), from: .active, to: .releasing,
            cause: Cause(actor: "test", "test"), consumer: Consumer(.person, "p"), before: nil, after: nil)
    }

    @Test("Every listener gets every event in order, each with its place")
    func order() async throws {
        let hub = EventHub()
        hub.start(at: EventPosition(transition: 10, note: 5))
        let (events, end) = hub.listen()
        hub.publish([try transition(11), try transition(12)], [])
        hub.publish([], [Note(time: 1, kind: "apply", subject: "s", text: "t")])
        end()
        var ids: [String] = []
        for await event in events { ids.append("\(event.position)") }
        // A note's number is the ledger's; this one has none.
        #expect(ids == ["11-5", "12-5", "12-0"])
    }

    @Test("A listener that falls far behind is ended, not cheated of events")
    func overflow() async throws {
        let hub = EventHub()
        let (events, _) = hub.listen()
        for number in 1...5_000 { hub.publish([try transition(Int64(number))], []) }
        var last: Int64 = 0
        for await event in events {
            #expect(event.position.transition == last + 1)
            last = event.position.transition
        }
        #expect(last == 4_096)
    }
}

@Suite struct ResponseReaderTests {
    /// Reads a response that arrives in pieces of some size.
    private func read(_ text: String, piece: Int = 7) -> (head: ResponseReader.Head?, body: [UInt8]?) {
        var rest = Array(text.utf8)[...]
        var reader = ResponseReader { buffer in
            let part = rest.prefix(min(piece, buffer.count))
            rest = rest.dropFirst(part.count)
            for (index, byte) in part.enumerated() { buffer[index] = byte }
            return part.count
        }
        guard let head = reader.head() else { return (nil, nil) }
        return (head, reader.body(head))
    }

    @Test("A body is read by its length, in chunks, or to the end")
    func bodies() {
        #expect(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloMORE").body == Array("hello".utf8))
        #expect(
            read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x\r\nlo\r\n0\r\n\r\n").body
                == Array("hello".utf8))
        #expect(read("HTTP/1.0 404 No\r\n\r\nhello").body == Array("hello".utf8))
    }

    @Test(
        "What breaks off or is malformed is no answer",
        arguments: [
            "", "HTTP", "HTTP/1.1 200", "HTTP/1.1 two OK\r\n\r\n", "HTTP/1.1 999 OK\r\n\r\n", "SSH-2.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhe",
        ])
    func malformed(_ text: String) { #expect(read(text).body == nil) }

    @Test("The events of an apply become its steps and its result; what is not understood is passed over")
    func applyEvents() throws {
        var reader = ApplyEventReader()
        func feed(_ kind: String, _ data: String) -> ApplyEvent? {
            _ = reader.read("event: \(kind)")
            return reader.read("data: \(data)")
        }
        #expect(feed("step", "{") == nil && feed("other", "{}") == nil)
        guard
            case .stepBegins("ens10", 1, 2, "up")? = feed("step", #"{"device":"ens10","number":1,"of":2,"title":"up"}"#)
        else {
            Issue.record("a step that begins")
            return
        }
        guard
            case .stepEnded(_, _, _, _, let errors)? = feed(
                "step", #"{"device":"ens10","number":1,"of":2,"title":"up","failures":2}"#)
        else {
            Issue.record("a step that has ended")
            return
        }
        #expect(errors.count == 2 && reader.result == nil)
        _ = feed(
            "result",
            #"{"devices":[{"name":"ens10","steps":2,"stepsDone":1,"verified":0,"seconds":1e300,"errors":[{"code":"vf.held","message":"m"}]}]}"#
        )
        let report = try #require(try reader.result?.get().first)
        #expect(report.errors.map(\.code) == [.held] && report.stepsDone == 1)
    }
}

@Suite struct ResourceTests {
    @Test(
        "Paths are read with their percent encoding, and nothing else is a resource",
        arguments: [
            ("v1/functions/0000%3A41:10.0", Resource.function("0000:41:10.0")), ("healthz", .health),
            ("v1/domains/a%2Fb/attach", .virtual(.attach("a/b"))), ("v1/networks/sync", .virtual(.networkSync)),
            ("v1/domains/a/b/c", nil), ("v1/domains/", nil),
            ("v1/leases/7Q4M2K/repair", .repair("7Q4M2K")), ("v1/events/latest", .latestEvents),
            ("v1/functions/%zz", nil), ("v1/functions/%ff", nil), ("v1/functions/", nil), ("v1", nil), ("", nil),
            ("v1/leases/a/b", nil), ("v1/pools/a/repair", nil), ("v2/pools", nil),
        ] as [(String, Resource?)])
    func paths(_ path: String, _ resource: Resource?) {
        #expect(Resource(path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)) == resource)
    }
}
