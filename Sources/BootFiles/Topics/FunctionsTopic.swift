internal import Netlink
internal import PCI
internal import SRIOV

extension BootRenderer {
    static let functionsScript = "/usr/local/libexec/sluice-make-functions"

    /// VFs without the agent: udev makes, sets and binds them when a port comes.
    func addFunctions(to set: inout BootSet) {
        guard !options.startsAgent else { return }
        var rules: [String] = []
        var cases: [String] = []
        for (number, port) in ports.enumerated() where port.declared.virtualFunctions > 0 {
            let name = port.declared.identity.description.plain
            guard let match = port.udevMatch else {
                set.note(.functions, "\(name): udev cannot find it by that; add permanentMAC or netdev")
                continue
            }
            // A key of ours: names of the host file may have any character.
            rules.append("# \(name)")
            rules.append(
                "ACTION==\"add\", SUBSYSTEM==\"net\", SUBSYSTEMS==\"pci\", \(match), "
                    + "RUN+=\"\(Self.functionsScript) pf\(number) $id $name\"")
            cases.append((["# \(name)", "pf\(number))"] + lines(for: port)).joined(separator: "\n    ") + "\n    ;;")
        }
        guard !rules.isEmpty else { return }
        let why = "udev makes the VFs of a port that comes, since no agent is started"
        // After 80-net-setup-link.rules, which names ports.
        set.files.append(
            .text("/etc/udev/rules.d/82-sluice-functions.rules", .functions, why, rules.joined(separator: "\n") + "\n"))
        set.files.append(
            .text(
                Self.functionsScript, .functions, why, mode: 0o755,
                Self.functionsHead + "case $port in\n" + cases.joined(separator: "\n") + "\nesac\nexit $status\n"))
    }

    /// What is done for one port, in the order of an apply.
    private func lines(for port: BootPort) -> [String] {
        let declared = port.declared
        var lines = ["begin"]
        if let mtu = declared.mtu { lines.append("port_is mtu \(mtu)") }
        if let mode = declared.eswitchMode {
            lines.append("devlink dev eswitch set \"pci/$address\" mode \(mode) || say \"its eswitch is not set\"")
        }
        lines.append("create \(declared.virtualFunctions)")
        for index in 0..<declared.virtualFunctions {
            lines += Self.words(of: declared.settings(of: index)).map { "vf_is \(index) \($0)" }
        }
        for index in 0..<declared.virtualFunctions {
            switch declared.driver(of: index) {
            case .vfio(let name)?, .kernel(let name?)?: lines.append("bind \(index) \(name)")
            case .kernel(nil)?, nil: break
            }
        }
        lines.append("release")
        for index in 0..<declared.virtualFunctions {
            switch declared.driver(of: index) {
            case .kernel(nil)?, nil: lines.append("bind \(index)")
            default: break
            }
        }
        return lines
    }

    /// Settings in the words of `ip link set … vf`: one call each, so that what a driver refuses keeps nothing else away.
    /// Both rates are one setting.
    private static func words(of settings: VirtualFunctionSettings) -> [String] {
        func on(_ isOn: Bool) -> String { isOn ? "on" : "off" }
        var words: [String] = []
        if let mac = settings.mac { words.append("mac \(mac)") }
        for vlan in settings.vlans ?? [] {
            words.append(
                "vlan \(vlan.id) qos \(vlan.qos)" + (vlan.protocol == .dot1ad ? " proto 802.1ad" : ""))
        }
        let rates = [
            settings.maxTxRateMbps.map { "max_tx_rate \($0)" }, settings.minTxRateMbps.map { "min_tx_rate \($0)" },
        ].compactMap(\.self)
        if !rates.isEmpty { words.append(rates.joined(separator: " ")) }
        if let isOn = settings.spoofCheck { words.append("spoofchk \(on(isOn))") }
        if let isOn = settings.trust { words.append("trust \(on(isOn))") }
        if let isOn = settings.rssQuery { words.append("query_rss \(on(isOn))") }
        if let state = settings.linkState { words.append("state \(state)") }
        if let guid = settings.nodeGUID { words.append("node_guid \(guid)") }
        if let guid = settings.portGUID { words.append("port_guid \(guid)") }
        return words
    }

    private static let functionsHead = """
        #!/bin/sh
        # Called by udev: sluice-make-functions KEY ADDRESS NETDEV
        set -u
        port=$1 address=$2 name=$3 device=/sys/bus/pci/devices/$2 status=0
        # udev keeps what its programs say to itself.
        say() { status=1; echo "sluice: $name ($address): $*" >/dev/kmsg; }
        begin() {
            # VFs that are there may be in use: nothing of them is touched.
            [ "$(cat "$device/sriov_numvfs")" = 0 ] || exit 0
            ip link set dev "$name" addrgenmode none
            ip link set dev "$name" up || say "it is not brought up"
        }
        port_is() { ip link set dev "$name" "$@" || say "not set: $*"; }
        # No driver sees a VF before it is set: what has none yet gets none before the end.
        create() {
            probes=$(cat "$device/sriov_drivers_autoprobe")
            echo 0 >"$device/sriov_drivers_autoprobe"
            echo "$1" >"$device/sriov_numvfs"
            now=$(cat "$device/sriov_numvfs")
            [ "$now" = "$1" ] || say "it has $now VFs and not $1"
        }
        release() { echo "$probes" >"$device/sriov_drivers_autoprobe"; }
        vf_is() {
            [ ! -e "$device/virtfn$1" ] || ip link set dev "$name" vf "$@" || say "not set: vf $*"
        }
        # With a driver's name it is bound whether or not VFs are probed by themselves.
        bind() {
            vf=$(readlink "$device/virtfn$1") || return 0
            vf=/sys/bus/pci/devices/${vf##*/}
            if [ -n "${2:-}" ]; then
                [ -e "/sys/bus/pci/drivers/$2" ] || modprobe "$2"
                echo "$2" >"$vf/driver_override"
                now=$(readlink "$vf/driver") && [ "${now##*/}" != "$2" ] && echo "${vf##*/}" >"$vf/driver/unbind"
            fi
            echo "${vf##*/}" >/sys/bus/pci/drivers_probe
            now=$(readlink "$vf/driver") || now=
            [ -z "${2:-}" ] || [ "${now##*/}" = "$2" ] || say "vf $1 has the driver ${now##*/} and not $2"
        }

        """
}
