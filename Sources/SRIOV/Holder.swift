/// Whoever uses a function now.
public struct Holder: Sendable, Hashable {
    /// How it is used.
    public enum Kind: Sendable, Hashable {
        /// A libvirt domain whose QEMU has the VFIO group or device open.
        case domain(name: String, uuid: String?, pid: Int32)
        /// Another process that has it open: DPDK, SPDK, a QEMU without libvirt.
        case process(pid: Int32, command: String)
        /// The function's netdev is in another network namespace.
        case namespace(name: String?, container: String?, pid: Int32?)
        /// The function's netdev belongs to a bridge, a bond, an Open vSwitch.
        case master(name: String, kind: String)
        /// Another link stands on the function's netdev: macvtap, VLAN.
        case upper(name: String, kind: String)
        /// The function's netdev is up and has an address.
        case address(String)
        /// The host's default route leaves through it.
        case defaultRoute
        /// A file system on its disk is mounted.
        case mount(String)
        /// Its disk is used for swapping, or by device mapper, LVM or RAID.
        case volume(String)
        /// An enabled VF of it, which goes when the function goes.
        case virtualFunctions(Int)
        /// It is leased, whether its consumer uses it yet or not.
        ///
        /// The state is nil while the consumer has it.
        case lease(id: String, consumer: String, state: String?)
    }

    /// How it is used.
    public var kind: Kind
    /// The device node or netdev through which it is used: `/dev/vfio/94`, `eno49v3`, `nvme0n1p1`.
    public var through: String

    /// Makes a holder.
    public init(_ kind: Kind, through: String) {
        self.kind = kind
        self.through = through
    }

    /// Whether it is a libvirt domain's QEMU.
    public var isDomain: Bool { if case .domain = kind { true } else { false } }

    /// The kind as one word for machines.
    public var word: String {
        switch kind {
        case .domain: "domain"
        case .process: "process"
        case .namespace: "namespace"
        case .master: "master"
        case .upper: "upper"
        case .address: "address"
        case .defaultRoute: "defaultRoute"
        case .mount: "mount"
        case .volume: "volume"
        case .virtualFunctions: "virtualFunctions"
        case .lease: "lease"
        }
    }

    /// What `--evict` takes: the domain's name, `pid:N`, the namespace's name or container, the bridge's name.
    public var identifier: String {
        switch kind {
        case .domain(let name, _, _): name
        case .process(let pid, _): "pid:\(pid)"
        case .namespace(let name, let container, let pid):
            name ?? container.map { String($0.prefix(12)) } ?? pid.map { "pid:\($0)" } ?? "namespace"
        case .master(let name, _), .upper(let name, _): name
        case .address: through
        case .defaultRoute: "default-route"
        case .mount(let path): path
        case .volume(let name): name
        case .virtualFunctions: "virtual-functions"
        case .lease(let id, _, _): "lease:\(id)"
        }
    }

    /// Whether `--evict` may name it. The host's own network and disks are not given up for anything.
    public var isEvictable: Bool {
        switch kind {
        // A lease ends by being released, so that its function is cleaned.
        case .defaultRoute, .mount, .volume, .lease: false
        default: true
        }
    }

    /// How the function is freed, as a command where there is one.
    public var remedy: String {
        switch kind {
        case .domain(let name, _, _): "virsh shutdown \(name), or detach the device from it"
        case .process(let pid, let command): "stop \(command) (pid \(pid))"
        case .namespace(let name?, nil, _): "ip netns exec \(name) ip link set \(through) netns 1"
        case .namespace(_, let container?, _): "remove the pod or container \(container.prefix(12))"
        case .namespace(_, _, let pid): "stop the processes of that namespace" + (pid.map { " (pid \($0))" } ?? "")
        case .master: "ip link set \(through) nomaster"
        case .upper(let name, _): "ip link delete \(name)"
        case .address: "ip address flush dev \(through)"
        case .defaultRoute: "move the default route to another port"
        case .mount(let path): "umount \(path)"
        case .volume(let name): "stop \(name) (swapoff, vgchange -an, mdadm --stop)"
        case .virtualFunctions: "disable its VFs first (virtualFunctions: 0)"
        // NAMESPACE/NAME
        case .lease(_, let consumer, nil) where consumer.hasPrefix("pod "):
            "kubectl delete pod -n " + consumer.dropFirst(4).replacing("/", with: " ")
        case .lease(let id, _, let state):
            state?.hasPrefix("quarantined") ?? false ? "sluice lease repair \(id)" : "sluice lease release \(id)"
        }
    }
}

extension String {
    /// The text, nil when it is empty.
    fileprivate var nonEmpty: String? { isEmpty ? nil : self }
}

extension Holder: CustomStringConvertible {
    /// A few words: `z-k8s-n-1 (libvirt, pid 4711)`.
    public var description: String {
        switch kind {
        case .domain(let name, _, let pid): "\(name) (libvirt, pid \(pid))"
        case .process(let pid, let command): "\(command) (pid \(pid), \(through))"
        case .namespace(let name, let container, let pid):
            "network namespace "
                + ([name, container.map { "container \($0.prefix(12))" }, pid.map { "pid \($0)" }]
                    .compactMap(\.self).joined(separator: ", ").nonEmpty ?? "that cannot be looked into")
                + " (\(through))"
        case .master(let name, let kind): "\(kind) \(name) (\(through))"
        case .upper(let name, let kind): "\(kind) \(name) on \(through)"
        case .address(let address): "host address \(address) on \(through)"
        case .defaultRoute: "default route through \(through)"
        case .mount(let path): "mounted at \(path) (\(through))"
        case .volume(let name): "\(name) (\(through))"
        case .virtualFunctions(let count): "\(count) VFs are enabled"
        case .lease(let id, let consumer, let state):
            "lease \(id) of \(consumer)" + (state.map { " (\($0))" } ?? "")
        }
    }
}
