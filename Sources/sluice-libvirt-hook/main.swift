// What libvirt runs as its hook: /etc/libvirt/hooks/qemu.d/sluice and network.d/sluice. It tells the agent what libvirt is
// about to do, and what it writes to standard error is what whoever starts a virtual machine sees.
//
// A program of its own, linked with nothing but the C library: it runs three times at each start of a machine, and where
// AppArmor confines libvirtd it could run no other from a shell script (only what is in /usr/bin, or below the hooks).
internal import Glibc

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
let document = standardInput()
// The owner of ports by which the agent keeps VFs out of a network's hands (NetworkPort.ownOwner): it knows of them.
guard kind != "network" || !document.contains("<uuid>736c7569-6365-4000-8000-000000000000</uuid>") else { exit(0) }

let answer = Agent.tell(
    json: [("kind", kind), ("object", object), ("operation", operation), ("document", document)])
// What ends cannot be refused.
let isEnd = ["release", "port-deleted", "unplugged"].contains(operation)
switch answer {
case .done: exit(0)
case .refused(let text):
    complain(text)
    exit(isEnd ? 0 : 1)
case .away(let text):
    complain(text)
    // What the agent cannot be told is refused only when that is wished.
    exit(isEnd || !refusesWithoutAgent() ? 0 : 1)
}
