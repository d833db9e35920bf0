// The real agent on a kernel in memory, and what is needed to load it: on this machine there are no devices, and on the
// lab's emulated ones a reset alone takes a tenth of a second.
//
//   lease-bench serve DIR [PORT]             the agent; its socket, ledger and host file are in DIR, and with a port on
//                                            127.0.0.1 its agent.pem, agent.key and ca.pem too
//   lease-bench load SOCKET CLIENTS ROUNDS   takes and gives back ROUNDS functions with each of CLIENTS threads
//   lease-bench sqlite DIR COUNT             COUNT bare SQLite commits of what one step of a lease writes
//   lease-bench kubelet DIR RESOURCE ROUNDS  a kubelet that allocates each device of a resource once, and then one of them
//                                            ROUNDS times; the agent runs with --kubelet DIR
//   lease-bench devices DIR RESOURCE         a kubelet that prints each change of how many devices there are and how many of
//                                            them are healthy, with the time, microseconds: TIME COUNT HEALTHY; it allocates
//                                            the device of each line that it reads
//
// All but serve and devices print NAME VALUE lines. load fails when a function was given twice or a lease is left.

internal import Agent
internal import Glibc
internal import Logging
internal import SRIOV

func fail(_ message: String) -> Never {
    let text = Array("lease-bench: \(message)\n".utf8)
    _ = write(2, text, text.count)
    exit(1)
}

let arguments = Array(CommandLine.arguments.dropFirst())
do {
    switch arguments.first {
    case "serve" where [2, 3].contains(arguments.count):
        try serve(arguments[1], port: arguments.dropFirst(2).first.flatMap { Int($0) })
    case "load" where arguments.count == 4:
        guard let clients = Int(arguments[2]), let rounds = Int(arguments[3]), clients > 0, rounds > 0 else {
            fail("CLIENTS and ROUNDS are numbers")
        }
        if !Load(socket: arguments[1], clients: clients, rounds: rounds).run() { exit(1) }
    case "sqlite" where arguments.count == 3:
        guard let count = Int(arguments[2]), count > 0 else { fail("COUNT is a number") }
        try bareCommits(in: arguments[1], count: count)
    case "kubelet" where arguments.count == 4:
        guard let rounds = Int(arguments[3]), rounds > 0 else { fail("ROUNDS is a number") }
        try await allocate(of: arguments[2], rounds: rounds, kubelet: arguments[1])
    case "devices" where arguments.count == 3: try await follow(arguments[2], kubelet: arguments[1])
    default:
        fail(
            "serve DIR, load SOCKET CLIENTS ROUNDS, sqlite DIR COUNT, kubelet DIR RESOURCE ROUNDS, devices DIR RESOURCE"
        )
    }
} catch {
    fail("\(error)")
}
