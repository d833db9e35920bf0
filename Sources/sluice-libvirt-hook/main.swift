// What libvirt runs as its hook: /etc/libvirt/hooks/qemu.d/sluice and network.d/sluice. It tells the agent what libvirt is
// about to do, and what it writes to standard error is what whoever starts a virtual machine sees.
//
// A program of its own, linked with nothing but the C library: it runs three times at each start of a machine, and where
// AppArmor confines libvirtd it could run no other from a shell script (only what is in /usr/bin, or below the hooks).
internal import AgentWire
internal import Glibc

/// Whether `/etc/sluice/libvirt-hook` has the line `refuse`.
func refusesWithoutAgent() -> Bool {
    let descriptor = open("/etc/sluice/libvirt-hook", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return readAll(descriptor, limit: 64 << 10).split(separator: "\n").contains { line in
        line.drop { $0 == " " || $0 == "\t" }.hasPrefix("refuse")
    }
}

/// Says something to whoever starts a virtual machine.
func complain(_ text: String) { _ = writeAll(2, Array("sluice: \(text)\n".utf8)) }

/// What the agent is told of; for anything else it is not disturbed.
let told = [
    "qemu": ["prepare", "start", "release"], "network": ["port-created", "port-deleted", "plugged", "unplugged"],
]
let arguments = CommandLine.arguments
let parts = (arguments.first ?? "").split(separator: "/")
let kind = ["qemu", "network"].first { kind in parts.contains { $0 == kind || $0 == "\(kind).d" } }
guard let kind, arguments.count >= 3 else {
    complain("libvirt runs this as /etc/libvirt/hooks/qemu.d/sluice or network.d/sluice, with what it is about to do")
    exit(0)
}
let (object, operation) = (arguments[1], arguments[2])
guard told[kind]?.contains(operation) ?? false else { exit(0) }
// The document that libvirt writes, up to what the agent takes.
let document = readAll(0, limit: 8 << 20)
// The owner of ports by which the agent keeps VFs out of a network's hands (NetworkPort.ownOwner): it knows of them.
guard kind != "network" || find("<uuid>736c7569-6365-4000-8000-000000000000</uuid>", in: document) == nil else {
    exit(0)
}

// libvirt waits, with the domain locked: an agent that hangs counts as away.
let answer = AgentSocket(patience: 45, accepts: "text/plain").post(
    "/v1/hooks", [("kind", kind), ("object", object), ("operation", operation), ("document", document)])
// What ends cannot be refused.
let isEnd = ["release", "port-deleted", "unplugged"].contains(operation)
switch answer?.status {
case 200?: exit(0)
// It has not been told, or cannot answer: that says nothing of the machine. (500 is what the host refuses.)
case nil, 403?, 413?, 502?, 503?, 504?:
    complain(
        answer?.text ?? """
            no agent answers at /run/sluice/sluice.sock  [agent.unreachable]
              → without it a machine starts all the same, and without what only the agent sets; systemctl start sluiced
            """)
    // What the agent cannot be told is refused only when that is wished.
    exit(isEnd || !refusesWithoutAgent() ? 0 : 1)
default:
    complain(answer?.text ?? "")
    exit(isEnd ? 0 : 1)
}
