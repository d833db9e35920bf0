internal import PCI
internal import SRIOV

extension BootRenderer {
    static let devicesRules = "/etc/udev/rules.d/60-sluice-devices.rules"
    static let takeDevice = "/usr/local/libexec/sluice-take-device"

    /// The devices that are to have a driver for passing through.
    private var devices: [(device: DeclaredPassthrough, driver: String)] {
        declared.passthrough.compactMap { device in
            if case .vfio(let name) = device.driver { (device, name) } else { nil }
        }
    }

    /// Whether a device is a drive that is named by its serial number: its own driver has to ask it.
    private func isDrive(_ identity: Identity) -> Bool {
        identity.serial != nil && identity.address == nil && identity.label == nil && identity.acpiIndex == nil
            && !otherSerials.contains(identity.serial ?? "")
    }

    /// Whether drives are named by serial number.
    var hasEarlyDrives: Bool { devices.contains { isDrive($0.device.identity) } }

    /// Devices get their driver by what they are: vfio-pci.ids would take all of a model, the host's own drive among them.
    func addDevices(to set: inout BootSet) {
        var rules: [String] = []
        var drives: [String] = []
        for (device, driver) in devices {
            let identity = device.identity
            if isDrive(identity) {
                drives.append("    \((identity.serial ?? "").plain.shellQuoted)) driver=\(driver) ;;")
            } else if let rule = Self.rule(for: identity, driver) {
                rules += ["# \(identity.description.plain)", rule]
            } else {
                set.note(
                    .devices,
                    "\(identity.description): udev cannot tell it from others of its model; it gets its driver from the agent"
                )
            }
        }
        if !drives.isEmpty {
            // When a drive's controller comes, nobody knows its number yet: the script waits for it, and the drive's
            // partitions wait for the script.
            rules += [
                "# Drives are told apart by their serial numbers.",
                "ACTION==\"add\", SUBSYSTEM==\"nvme\", SUBSYSTEMS==\"pci\", RUN+=\"\(Self.takeDevice) $id $kernel\"",
            ]
        }
        guard !rules.isEmpty else { return }
        let why = "passthrough devices get their driver before the host uses them"
        set.files.append(.text(Self.devicesRules, .devices, why, rules.joined(separator: "\n") + "\n"))
        let table = "drive() {\n    case $1 in\n" + drives.joined(separator: "\n") + "\n    esac\n}\n"
        set.files.append(
            .text(
                Self.takeDevice, .devices, why, mode: 0o755,
                Self.takeDeviceHead + (drives.isEmpty ? "drive() { :; }\n" : table) + Self.takeDeviceBody))
        addInitramfs(Set(devices.map(\.driver)).sorted().joined(separator: " "), to: &set)
    }

    private func addInitramfs(_ drivers: String, to set: inout BootSet) {
        let why = "the initramfs finds drives before the system does"
        switch system.initramfs {
        case .initramfsTools:
            set.files.append(
                .text(
                    "/etc/initramfs-tools/hooks/sluice", .devices, why, mode: 0o755,
                    """
                    #!/bin/sh
                    case ${1:-} in
                    prereqs) echo udev; exit 0 ;;
                    esac
                    . /usr/share/initramfs-tools/hook-functions
                    manual_add_modules \(drivers)
                    mkdir -p "$DESTDIR/etc/udev/rules.d"
                    cp -p \(Self.devicesRules) "$DESTDIR/etc/udev/rules.d/"
                    copy_exec \(Self.takeDevice) \(Self.takeDevice)

                    """))
            set.commands.append(
                .refresh(["update-initramfs", "-u", "-k", "all"], for: [.devices, .unsafeInterrupts]))
        case .dracut:
            set.files.append(
                .text(
                    "/etc/dracut.conf.d/50-sluice.conf", .devices, why,
                    """
                    add_drivers+=" \(drivers) "
                    install_items+=" \(Self.devicesRules) \(Self.takeDevice) /usr/bin/readlink /usr/bin/cat /usr/bin/ls /usr/bin/sleep "

                    """))
            set.commands.append(
                .refresh(["dracut", "--force", "--regenerate-all"], for: [.devices, .unsafeInterrupts]))
        case .none:
            set.note(
                .devices, "nobody who makes the initramfs is known here: drives are taken when the system has started")
        }
    }

    /// A rule for a device that is named by its place; nil when nothing but its model is known. The script sets
    /// driver_override, before the device's own driver is loaded (80-drivers.rules).
    private static func rule(for identity: Identity, _ driver: String) -> String? {
        var matches: [String] = []
        if let address = identity.address { matches.append("KERNEL==\"\(address)\"") }
        if let label = identity.label { matches.append("ATTR{label}==\"\(label.udevQuoted)\"") }
        if let index = identity.acpiIndex { matches.append("ATTR{acpi_index}==\"\(index)\"") }
        guard !matches.isEmpty else { return nil }
        if let vendor = identity.vendor { matches.append("ATTR{vendor}==\"0x\(fourDigits(vendor))\"") }
        if let device = identity.device { matches.append("ATTR{device}==\"0x\(fourDigits(device))\"") }
        let run = "RUN+=\"\(takeDevice) $kernel \(driver)\""
        return (["ACTION==\"add\"", "SUBSYSTEM==\"pci\""] + matches + [run]).joined(separator: ", ")
    }

    /// Gives a device to a driver unless the host uses it: also udevadm trigger calls it. It runs in initramfs with little
    /// more than a shell.
    private static let takeDeviceHead = """
        #!/bin/sh
        # Called by udev: sluice-take-device ADDRESS DRIVER, and for drives sluice-take-device ADDRESS nvmeN
        set -u
        address=$1 driver=$2
        device=$(readlink -f "/sys/bus/pci/devices/$address") || exit 0
        say() { echo "sluice: $address: $*" >/dev/kmsg; }
        has() { now=$(readlink -f "$device/driver") && [ "${now##*/}" = "$driver" ]; }

        """

    private static let takeDeviceBody = """
        case $driver in nvme[0-9]*)
            controller=$device/nvme/$driver driver='' waited=0
            # Its number is known when the controller works: mostly at once, after seconds where it is slow.
            while [ $waited -lt 100 ] && read -r state 2>/dev/null <"$controller/state"; do
                case $state in new | connecting | resetting) sleep 0.1 2>/dev/null || sleep 1 ;; *) break ;; esac
                waited=$((waited + 1))
            done
            read -r serial 2>/dev/null <"$controller/serial" || exit 0
            drive "$serial"
            [ -n "$driver" ] || exit 0 ;;
        esac
        has && exit 0
        stays() { say "stays the host's: $*"; exit 1; }
        # Whether a disk or a partition is used: by device mapper, RAID or LVM, as a file system or for swapping, or open.
        check() {
            for holder in "/sys/class/block/$1/holders"/*; do [ ! -e "$holder" ] || stays "${holder##*/} uses $1"; done
            while read -r used rest; do
                [ "$used" != "/dev/$1" ] || stays "$1 is mounted or swapped to"
            done <<END
        $uses
        END
            case $open in *" /dev/$1"[!0-9p]*) stays "a program has $1 open" ;; esac
            # Pools of several drives name one of them at most where they are mounted.
            type=$(udevadm info --query=property --name="/dev/$1" 2>/dev/null) || return 0
            case $type in *ID_FS_TYPE=zfs_member* | *ID_FS_TYPE=btrfs*) stays "$1 is of a pool; the agent looks closer" ;; esac
        }
        uses=$(cat /proc/mounts /proc/swaps 2>/dev/null)
        open="$(ls -l /proc/[0-9]*/fd 2>/dev/null) "
        for block in /sys/class/block/*; do
            case $(readlink -f "$block") in
            "$device"/*) ;;
            *) continue ;;
            esac
            name=${block##*/}
            # Of a drive with several paths the paths are hidden, and what is used is the drive: nvme0c1n1 is nvme0n1.
            case $name in nvme*c*n*) name=${name%%c*}n${name##*n} ;; esac
            check "$name"
            for part in "/sys/class/block/$name/$name"*; do [ ! -e "$part" ] || check "${part##*/}"; done
        done
        echo "$driver" >"$device/driver_override" || { say "driver_override cannot be set"; exit 1; }
        [ ! -e "$device/driver" ] || echo "$address" >"$device/driver/unbind"
        [ -e "/sys/bus/pci/drivers/$driver" ] || modprobe "$driver"
        echo "$address" >/sys/bus/pci/drivers_probe
        has && { say "is for guests: $driver"; exit 0; }
        say "$driver does not take it"
        exit 1

        """
}
