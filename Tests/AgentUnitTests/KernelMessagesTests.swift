import PCI
import Testing

@testable import Agent

@Suite struct KernelMessagesTests {
    @Test("Renamed netdevs are kept for a while, are no news, and push nothing else out")
    func renames() {
        let messages = KernelMessages()
        let said = "igb 0000:41:00.0: not enough MMIO resources for SR-IOV"
        #expect(messages.add(KernelLog.Message(sequence: .max, text: said)))
        for number in 0..<1_000 {
            let text = "igbvf 0000:41:10.0 net\(number): renamed from eth0"
            #expect(!messages.add(KernelLog.Message(sequence: .max, text: text)))
        }
        let lines = messages.lines
        #expect(lines.first == said && lines.count == 101, "\(lines.count)")
        #expect(lines.last?.contains("net999") ?? false && lines[1].contains("net900"), "\(lines[1])")
        #expect(!messages.add(KernelLog.Message(sequence: .max, text: "usb 1-1: new device")))
        // So is what was before the agent came.
        let later = KernelMessages()
        later.addForgotten([said] + (0..<1_000).map { "igbvf 0000:41:10.0 net\($0): renamed from eth0" })
        #expect(later.lines.first == said && later.lines.count == 101 && later.lines.last?.contains("net999") ?? false)
    }
}
