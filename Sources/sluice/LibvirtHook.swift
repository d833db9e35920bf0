internal import AgentAPI
internal import ArgumentParser
internal import Glibc
internal import Leasing
internal import PCI

/// What libvirt's hook scripts run. Its standard error is what whoever starts a virtual machine sees.
struct LibvirtHook: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "libvirt-hook", abstract: "Tell the agent what libvirt does; run by its hook scripts.",
        discussion: """
            Without the agent a virtual machine starts all the same, with a warning in libvirt's log, and the agent catches
            up when it returns. With the line "refuse" in /etc/sluice/libvirt-hook it does not start.
            """,
        shouldDisplay: false)

    @OptionGroup var agent: AgentLocation
    @Argument(help: "qemu or network.") var kind: String
    @Argument(help: "The domain or the network.") var object: String
    @Argument(help: "What happens.") var operation: String
    @Argument(parsing: .allUnrecognized, help: "The rest of what libvirt says.") var rest: [String] = []

    func run() throws {
        let body = HookBody(kind: kind, object: object, operation: operation, document: Self.standardInput())
        do throws(LeasingError) {
            // libvirt waits, with the domain locked: an agent that hangs counts as away. One that starts answers in half a
            // minute.
            let client = try requiredClient()
            let _: [String: String] = try client.send("POST", "/v1/hooks", body)
        } catch {
            // What ends cannot be refused; and what the agent cannot be told, only when that is wished.
            let isEnd = ["release", "port-deleted", "unplugged"].contains(operation)
            let isAway = [LeasingError.Code.unreachable.rawValue, "agent.starting"].contains(error.code.rawValue)
            Output.error("sluice: \(error)")
            guard !isEnd, !isAway || Self.refusesWithoutAgent else { return }
            throw ExitCode.failure
        }
    }

    /// The document that libvirt writes, up to what the agent takes. It may be a pipe without a name, so it is not opened.
    private static func standardInput() -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < 1 << 20 {
            let count = read(0, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func requiredClient() throws(LeasingError) -> AgentClient {
        guard let client = AgentClient(socket: agent.socket, timeoutSeconds: 45) else {
            throw LeasingError(
                .unreachable, "no agent answers at \(agent.socket)",
                remedy: Self.refusesWithoutAgent
                    ? "systemctl start sluiced, then start the virtual machine again"
                    : "it starts all the same, and without what only the agent sets; systemctl start sluiced")
        }
        return client
    }

    private static var refusesWithoutAgent: Bool {
        let text = (try? LiveFileTree().text("/etc/sluice/libvirt-hook")) ?? nil
        return text?.split(separator: "\n").contains { $0.trimmingPrefix(" ").hasPrefix("refuse") } ?? false
    }
}
