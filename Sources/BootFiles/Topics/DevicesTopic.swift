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

    /// Whether drives are named by serial number.
    var hasEarlyDrives: Bool { devices.contains { $0.device.identity.serial != nil } }

    /// Devices get their driver by what they are: vfio-pci.ids would take all of a model, the host's own drive among them.
    func addDevices(to set: inout BootSet) {
        let rules = devices.flatMap { udevRules(for: $0.device.identity, driver: $0.driver, &set) }
        guard !rules.isEmpty else { return }
        let why = "passthrough devices get their driver before the host uses them"
        set.files.append(.text(Self.devicesRules, .devices, why, rules.joined(separator: "\n") + "\n"))
        set.files.append(.text(Self.takeDevice, .devices, why, mode: 0o755, Self.takeDeviceScript))
        let drivers = Set(devices.map(\.driver)).sorted().joined(separator: " ")
        switch system.initramfs {
        case .initramfsTools:
            set.files.append(
                .text(
                    "/etc/initramfs-tools/hooks/sluice", .devices, "the initramfs finds drives before the system does",
                    mode: 0o755,
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
            set.commands.append(.refresh(["update-initramfs", "-u", "-k", "all"], for: [.devices]))
        case .dracut:
            set.files.append(
                .text(
                    "/etc/dracut.conf.d/50-sluice.conf", .devices, "the initramfs finds drives before the system does",
                    """
                    add_drivers+=" \(drivers) "
                    install_items+=" \(Self.devicesRules) \(Self.takeDevice) /usr/bin/readlink /usr/bin/cat "

                    """))
            set.commands.append(.refresh(["dracut", "--force", "--regenerate-all"], for: [.devices]))
        case .none:
            set.notes.append(
                "nobody who makes the initramfs is known here: drives are taken when the system has started")
        }
    }

    private func udevRules(for identity: Identity, driver: String, _ set: inout BootSet) -> [String] {
        let run = "RUN+=\"\(Self.takeDevice) $id \(driver)\""
        if let serial = identity.serial {
            // The driver has asked the drive by now, and its partitions are not found yet.
            return [
                "# \(identity.description)",
                "ACTION==\"add\", SUBSYSTEM==\"nvme\", SUBSYSTEMS==\"pci\", ATTR{serial}==\"\(serial.udevQuoted)\", \(run)",
            ]
        }
        var matches: [String] = []
        if let address = identity.address { matches.append("KERNEL==\"\(address)\"") }
        if let label = identity.label { matches.append("ATTR{label}==\"\(label.udevQuoted)\"") }
        if let index = identity.acpiIndex { matches.append("ATTR{acpi_index}==\"\(index)\"") }
        guard !matches.isEmpty else {
            set.notes.append(
                "\(identity.description): udev cannot tell it from others of its model; it gets its driver from the agent"
            )
            return []
        }
        if let vendor = identity.vendor { matches.append("ATTR{vendor}==\"0x\(fourDigits(vendor))\"") }
        if let device = identity.device { matches.append("ATTR{device}==\"0x\(fourDigits(device))\"") }
        // What stands in driver_override before its own driver is loaded keeps that one away.
        return [
            "# \(identity.description)",
            (["ACTION==\"add\"", "SUBSYSTEM==\"pci\""] + matches + [
                "ATTR{driver_override}=\"\(driver)\"", run.replacing("$id", with: "$kernel"),
            ]).joined(separator: ", "),
        ]
    }

    /// Gives a device to a driver unless the host uses it: also udevadm trigger calls it. It runs in initramfs with nothing
    /// but a shell, readlink and cat.
    private static let takeDeviceScript = """
        #!/bin/sh
        # Called by udev: sluice-take-device ADDRESS DRIVER
        set -u
        address=$1 driver=$2
        device=$(readlink -f "/sys/bus/pci/devices/$address") || exit 0
        say() { echo "sluice: $address: $*" >/dev/kmsg; }
        now=$(readlink -f "$device/driver") && [ "${now##*/}" = "$driver" ] && exit 0
        for block in /sys/class/block/*; do
            case $(readlink -f "$block") in
            "$device"/*) ;;
            *) continue ;;
            esac
            name=${block##*/}
            # With several paths to a drive, the paths are hidden, and what is used is the drive: nvme0c1n1 is nvme0n1.
            case $name in nvme*c*n*) name=${name%%c*}n${name##*n} ;; esac
            for holder in "/sys/class/block/$name/holders"/*; do
                [ ! -e "$holder" ] || { say "stays the host's: ${holder##*/} uses $name"; exit 1; }
            done
            while read -r used rest; do
                [ "$used" != "/dev/$name" ] || { say "stays the host's: $name is mounted or swapped to"; exit 1; }
            done <<END
        $(cat /proc/mounts /proc/swaps 2>/dev/null)
        END
        done
        echo "$driver" >"$device/driver_override" || { say "driver_override cannot be set"; exit 1; }
        [ ! -e "$device/driver" ] || echo "$address" >"$device/driver/unbind"
        [ -e "/sys/bus/pci/drivers/$driver" ] || modprobe "$driver"
        echo "$address" >/sys/bus/pci/drivers_probe
        now=$(readlink -f "$device/driver") && [ "${now##*/}" = "$driver" ] && { say "is for guests: $driver"; exit 0; }
        say "$driver does not take it"
        exit 1

        """
}
