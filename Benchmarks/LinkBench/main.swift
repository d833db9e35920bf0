// The measuring side of the benchmarks. It links Netlink and nothing else of the project, so it is also what
// scripts/check looks at for Foundation.
//
//   link-bench time RUNS COMMAND…   median wall time in ms and the largest resident set in KiB of some runs
//   link-bench read NETDEV          reads all VFs of a netdev and prints how many it got
//   link-bench set NETDEV COUNT N   sets MAC, VLAN, spoof check and trust of the first COUNT VFs; N varies the values
//   link-bench pod NETDEV VF NAMESPACE ROUNDS [MAC]
//                                   what a pod's interface costs in the kernel alone, milliseconds: VF is the PCI
//                                   address of the netdev's first VF

internal import Glibc
internal import Netlink
internal import PCI
internal import SRIOV

func fail(_ message: String) -> Never {
    let text = Array("link-bench: \(message)\n".utf8)
    _ = write(2, text, text.count)
    exit(1)
}

func time(_ runs: Int, _ command: [String]) {
    var times: [Double] = []
    var resident = 0
    for _ in 0..<runs {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var arguments = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        let clock = ContinuousClock()
        let start = clock.now
        var pid = pid_t()
        guard posix_spawnp(&pid, command[0], &actions, nil, &arguments, environ) == 0 else {
            fail("cannot run \(command[0])")
        }
        var status: Int32 = 0
        var usage = rusage()
        while wait4(pid, &status, 0, &usage) < 0, errno == EINTR {}
        let elapsed = clock.now - start
        guard status == 0 else { fail("\(command.joined(separator: " ")) has failed (\(status >> 8))") }
        times.append(Double(elapsed.components.seconds) * 1e3 + Double(elapsed.components.attoseconds) / 1e15)
        resident = max(resident, usage.ru_maxrss)
    }
    let median = times.sorted()[times.count / 2]
    print("\((median * 10).rounded() / 10) \(resident)")
}

func changes(_ count: Int, _ variation: Int) -> [VirtualFunctionChange] {
    (0..<count).map { index in
        var settings = VirtualFunctionSettings()
        settings.mac = MACAddress(rawValue: 0x5254_0000_0000 + UInt64(variation) << 16 + UInt64(index))
        settings.vlans = [VLAN(id: UInt16((index + variation) % 4094 + 1))]
        settings.spoofCheck = variation % 2 == 0
        settings.trust = variation % 2 == 1
        return VirtualFunctionChange(index: UInt32(index), settings: settings)
    }
}

let arguments = Array(CommandLine.arguments.dropFirst())
do {
    switch arguments.first {
    case "time" where arguments.count > 2: time(Int(arguments[1]) ?? 5, Array(arguments.dropFirst(2)))
    case "read" where arguments.count == 2:
        var connection = try RouteNetlink.open()
        let link = try connection.link(named: arguments[1], .virtualFunctions)
        print("\(link.virtualFunctions.count) VFs")
    case "set" where arguments.count == 4:
        guard let count = Int(arguments[2]), let variation = Int(arguments[3]) else { fail("COUNT and N are numbers") }
        var connection = try RouteNetlink.open()
        try connection.set(changes(count, variation), of: try connection.link(named: arguments[1]).index)
    case "pod" where (5...6).contains(arguments.count):
        guard let rounds = Int(arguments[4]) else { fail("ROUNDS is a number") }
        let mac = arguments.count == 6 ? MACAddress(arguments[5]) : nil
        try PodCost(port: arguments[1], function: arguments[2], namespace: arguments[3], mac: mac).measure(rounds)
    case "functions": print(try HostReader(kernel: RecordedKernel(files: LiveFileTree())).read().functions.count)
    default: fail("time RUNS COMMAND…, read NETDEV, set NETDEV COUNT N, pod NETDEV VF NAMESPACE ROUNDS [MAC]")
    }
} catch {
    fail("\(error)")
}
