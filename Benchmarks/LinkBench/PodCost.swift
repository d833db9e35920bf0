internal import CLinux
internal import Glibc
internal import Netlink
internal import PCI

/// What has to be done at least for a pod's interface, with nothing around it: no process, no record, no look at anything.
struct PodCost {
    var port: String
    var function: String
    var namespace: String
    var mac: MACAddress?

    /// The function's index on its port.
    private var number: UInt32 {
        get throws {
            let files = LiveFileTree()
            for number in 0..<UInt32(256) {
                guard let name = try files.linkName("/sys/class/net/\(port)/device/virtfn\(number)") else { break }
                if name == function { return number }
            }
            fail("\(function) is no VF of \(port)")
        }
    }

    /// Prints how long each round takes: a line of `kernelADD` and one of `kernelDEL`, milliseconds.
    func measure(_ rounds: Int) throws {
        var host = try RouteNetlink.open()
        let index = try host.link(named: port).index
        let number = try self.number
        let descriptor = open(namespace, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { fail("\(namespace) cannot be opened") }
        let own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
        // CLONE_NEWNET
        guard sluice_setns(descriptor, 0x4000_0000) == 0 else { fail("\(namespace) cannot be entered") }
        var pod = try RouteNetlink.open()
        guard sluice_setns(own, 0x4000_0000) == 0 else { fail("the host's namespace cannot be entered") }
        for _ in 0..<rounds {
            var start = ContinuousClock.now
            try add(index, number, descriptor, &host, &pod)
            report("kernelADD", start)
            start = .now
            try delete(index, number, &host)
            report("kernelDEL", start)
        }
    }

    private func add(
        _ index: Int32, _ number: UInt32, _ descriptor: Int32, _ host: inout RouteNetlink, _ pod: inout RouteNetlink
    ) throws {
        var settings = VirtualFunctionSettings()
        settings.vlans = [VLAN(id: 100)]
        settings.mac = mac
        try host.set([VirtualFunctionChange(index: number, settings: settings)], of: index)
        if mac != nil {
            put(function, "/sys/bus/pci/drivers/igbvf/unbind")
            put(function, "/sys/bus/pci/drivers/igbvf/bind")
        }
        let device = Link.ParentDevice(bus: "pci", name: function)
        let link = try RouteNetlink.wait(forLinkOf: device, deadline: .seconds(10))
        try host.move(link: link.index, toNamespace: descriptor, newName: "net2")
        let moved = try pod.link(named: "net2")
        try pod.setUp(true, link: moved.index)
        guard let address = IPPrefix("10.8.0.2/24") else { fail("no address") }
        try pod.add(address, toLink: moved.index)
    }

    /// The netdev goes with its driver, wherever it is.
    private func delete(_ index: Int32, _ number: UInt32, _ host: inout RouteNetlink) throws {
        put(function, "/sys/bus/pci/drivers/igbvf/unbind")
        put("1", "/sys/bus/pci/devices/\(function)/reset")
        var settings = VirtualFunctionSettings()
        settings.vlans = []
        if mac != nil { settings.mac = MACAddress(rawValue: 0x0200_0000_0900) }
        try host.set([VirtualFunctionChange(index: number, settings: settings)], of: index)
        put(function, "/sys/bus/pci/drivers/igbvf/bind")
    }

    private func put(_ value: String, _ path: String) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0, write(descriptor, value, value.utf8.count) >= 0 else { fail("\(path): errno \(errno)") }
        close(descriptor)
    }

    private func report(_ name: String, _ start: ContinuousClock.Instant) {
        print("\(name) \(start.duration(to: .now) / .milliseconds(1))")
    }
}
