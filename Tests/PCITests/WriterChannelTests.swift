import Glibc
import PCI
import Testing

@Suite struct WriterChannelTests {
    @Test("A channel writes, and its own thread does not keep it when nobody else does")
    func end() throws {
        let path = "/tmp/writer-channel-\(UInt64.random(in: 0 ... .max))"
        close(open(path, O_WRONLY | O_CREAT, 0o600))
        defer { unlink(path) }
        weak var last: WriterChannel?
        do {
            let channel = try WriterChannel()
            // Its thread has begun when an answer has come.
            try channel.write(WriteRequest(path: path, value: "1", operation: "write"), deadline: .seconds(10))
            last = channel
        }
        #expect(try LiveFileTree().text(path) == "1")
        #expect(last == nil)
    }
}
