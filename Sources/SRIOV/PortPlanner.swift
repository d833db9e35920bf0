internal import Netlink
internal import PCI

/// Plans the steps of one PF, in the order in which they are safe: the port up, autoprobe, the number of VFs, their
/// settings, their drivers.
struct PortPlanner {
    let host: Host
    let files: any FileTree
    let function: Function
    let declared: DeclaredPhysicalFunction
    let options: Planner.Options
    /// What the PF's eswitch is now; nil when its driver has none.
    let eswitchMode: Devlink.EswitchMode?

    private var virtualFunctions: [Function] { host.virtualFunctions(of: function.pci.address) }
    private var enabled: Int { function.pci.sriov?.enabledVFs ?? 0 }
    private var wanted: Int { declared.virtualFunctions }
    private var isResized: Bool { enabled != wanted }
    private var changesEswitch: Bool { declared.eswitchMode.map { $0 != (eswitchMode ?? .legacy) } ?? false }
    /// Whether an apply was interrupted that had recorded what the port was.
    private var isOwed: Bool { owed != nil }
    private var owed: DevicePlan.Before? {
        guard let before = options.interrupted[function.pci.address] else { return nil }
        // Another card at the same address is owed nothing.
        guard let recorded = before.permanentMAC, let now = function.link?.permanentAddress?.mac else { return before }
        return recorded == now ? before : nil
    }
    /// Whether the VFs are made anew: they have neither settings nor drivers then.
    private var isRecreated: Bool { isResized || changesEswitch }

    func plan() -> DevicePlan {
        var device = DevicePlan(
            name: function.name, address: function.pci.address, link: function.link?.index, position: declared.position)
        device.before = before()
        if let refusal = impossibility() {
            device.refusals = [refusal]
            return device
        }
        let settings = declaredSettings()
        let changesMTU = declared.mtu.map { $0 != function.link?.mtu } ?? false
        let held = virtualFunctions.flatMap {
            Refusal.HeldFunction.list($0, holders: $0.holders, evicted: options.evicted)
        }
        if isRecreated || changesMTU, !held.isEmpty {
            device.refusals = [reinitialisationRefusal(held)]
            return device
        }
        if isRecreated || changesMTU, let refusal = protection() {
            device.refusals = [refusal]
            return device
        }
        if wanted > 0, let link = function.link, !link.isUp {
            device.steps.append(
                Step(
                    .bringUp, "bring the port up, without addresses",
                    reason: "it is down; libvirt refuses VFs of a port that is down"))
        }
        if wanted > 0, let link = function.link, link.isUp, autoconfigures(link), function.holders.isEmpty {
            device.steps.append(
                Step(
                    .quieten, "turn off IPv6 autoconfiguration",
                    reason: "the port would make itself addresses and take routes from routers"))
        }
        if changesMTU, let mtu = declared.mtu {
            device.steps.append(
                Step(.setMTU(mtu), "MTU \(function.link?.mtu ?? 0) → \(mtu)", reason: "declared"))
        }
        device.steps += resizeSteps(eswitchMode: changesEswitch ? declared.eswitchMode : nil)
        device.settings = settings
        planSettings(settings, &device)
        planBindings(&device)
        return device
    }

    /// Whether a port makes itself IPv6 addresses or takes them from routers. A host without IPv6 does neither.
    private func autoconfigures(_ link: Link) -> Bool {
        let folder = "/proc/sys/net/ipv6/conf/\(link.name)"
        func value(_ name: String) -> String? { (try? files.text("\(folder)/\(name)")) ?? nil }
        // 1 is IN6_ADDR_GEN_MODE_NONE.
        return value("addr_gen_mode").map { $0 != "1" } ?? false || value("accept_ra").map { $0 != "0" } ?? false
            || value("autoconf").map { $0 != "0" } ?? false
    }

    // MARK: What cannot be

    private func impossibility() -> Refusal? {
        guard let sriov = function.pci.sriov else {
            return Refusal(
                SRIOVError(
                    .notSRIOV, "\(function.name) (\(function.pci.address)) has no SR-IOV capability",
                    remedy: "enable SR-IOV in the firmware and in the card's own setup, or choose another port"))
        }
        if wanted > sriov.totalVFs {
            return Refusal(
                SRIOVError(
                    .tooManyVFs,
                    "\(function.name) can have \(sriov.totalVFs) VFs, \(wanted) are declared",
                    remedy: "declare at most \(sriov.totalVFs), or raise the limit in the card's firmware"))
        }
        guard function.pci.driver != nil else {
            return Refusal(
                SRIOVError(
                    .noDriver,
                    "\(function.name) (\(function.pci.address)) has no driver, and only its driver can enable VFs",
                    remedy: "bind it: echo \(function.pci.address) > /sys/bus/pci/drivers_probe"))
        }
        if declared.eswitchMode == .switchdev, eswitchMode == nil, !options.isRecorded {
            return Refusal(
                SRIOVError(
                    .noEswitch, "\(function.name): its driver \(function.pci.driver ?? "") has no switchdev mode",
                    remedy: "leave eswitchMode out, or use a card that has one (mlx5, ice, bnxt, nfp)"))
        }
        if function.pci.isBoundToVFIO {
            return Refusal(
                SRIOVError(
                    .noDriver, "\(function.pci.address) is bound to \(function.pci.driver ?? "vfio-pci") itself",
                    remedy:
                        "a function is passed through whole or has VFs; declare it under passthrough with driver kernel first"
                ))
        }
        let hasSettings = (0..<max(wanted, 1)).contains { !declared.settings(of: $0).isEmpty }
        if function.link == nil, hasSettings || declared.mtu != nil {
            return Refusal(
                SRIOVError(
                    .noNetdev, "\(function.pci.address) has no netdev, so neither it nor its VFs have network settings",
                    remedy: "leave defaults, settings and mtu out for this device"))
        }
        return nil
    }

    private func reinitialisationRefusal(_ held: [Refusal.HeldFunction]) -> Refusal {
        let users = Set(held.map(\.function)).count
        let (what, why) =
            isResized
            ? ("sriov_numvfs \(enabled) → \(wanted)", "the kernel can only remove all of them")
            : changesEswitch
                ? ("the change of the eswitch mode", "it would remove them")
                : (
                    "MTU \(function.link?.mtu ?? 0) → \(declared.mtu ?? 0)",
                    "drivers reset the port and its VFs to change it"
                )
        return Refusal(
            SRIOVError(
                .held,
                "\(what) is refused: \(users) of its VFs \(users == 1 ? "is" : "are") in use, and \(why)",
                remedy: "keep \(enabled), or free them and plan again"), holders: held)
    }

    /// A port that carries the host's own traffic is not reinitialised.
    private func protection() -> Refusal? {
        // A bridge or a bond is not given up by being named: whatever else it carries would be cut off too.
        let held = function.holders.filter { holder in
            if case .master = holder.kind { return true }
            return !(holder.isEvictable && options.evicted.contains(holder.identifier))
        }.map { Refusal.HeldFunction(function: function.name, address: function.pci.address, holder: $0) }
        guard let first = held.first?.holder else { return nil }
        return Refusal(
            SRIOVError(
                .protected,
                "\(function.name) carries the host's own traffic (\(first)), and the change would interrupt it",
                remedy:
                    "use another port, move that traffic away, or create the VFs at boot before the network comes up"),
            holders: held)
    }

    // MARK: The number of VFs

    private func resizeSteps(eswitchMode: Devlink.EswitchMode?) -> [Step] {
        var steps: [Step] = []
        if isResized || eswitchMode != nil, enabled > 0 {
            steps.append(
                Step(
                    .setVirtualFunctions(0), "sriov_numvfs \(enabled) → 0",
                    reason: isResized
                        ? "the kernel changes the number only from 0" : "the mode changes only without VFs"))
        }
        if let eswitchMode {
            steps.append(
                Step(.setEswitchMode(eswitchMode), "eswitch mode \(eswitchMode)", reason: "declared"))
        }
        guard wanted > 0, isResized || eswitchMode != nil else { return steps }
        if let autoprobe = declaredAutoprobe(), autoprobe != function.pci.sriov?.autoprobe {
            steps.append(
                Step(
                    .setAutoprobe(autoprobe), "sriov_drivers_autoprobe \(autoprobe ? "0 → 1" : "1 → 0")",
                    reason: autoprobe
                        ? "all VFs go to the kernel's drivers"
                        : "VFs get their drivers by name; nothing else should grab them"))
        }
        steps.append(
            Step(
                .setVirtualFunctions(wanted), "sriov_numvfs 0 → \(wanted)",
                reason: enabled == 0 ? "no VF is enabled" : "declared"))
        return steps
    }

    /// Off as soon as one VF's driver is declared by us: creating VFs is then quicker, and no netdev appears that
    /// DHCP or IPv6 would take. nil leaves it as it is.
    private func declaredAutoprobe() -> Bool? {
        let drivers = (0..<wanted).map { declared.driver(of: $0) }
        // A driver that is bound before its VF has its MAC would not take it.
        if declaredSettings().contains(where: { $0.settings.mac != nil }) { return false }
        if drivers.allSatisfy({ $0 == nil }) { return nil }
        return drivers.allSatisfy { if case .kernel(nil)? = $0 { true } else { false } }
    }

    // MARK: Settings

    /// What every VF is to have: what is declared, and after a resize also what it had.
    private func declaredSettings() -> [VirtualFunctionChange] {
        guard function.link != nil else { return [] }
        let kept = Dictionary(
            (owed?.settings ?? before().settings).map { ($0.index, $0.settings) },
            uniquingKeysWith: { first, _ in first })
        return (0..<wanted).compactMap { index in
            var settings = declared.settings(of: index)
            if isRecreated || isOwed, let had = kept[UInt32(index)] { settings = settings.filled(from: had.assigned) }
            guard !settings.isEmpty else { return nil }
            return VirtualFunctionChange(index: UInt32(index), settings: settings)
        }
    }

    private func planSettings(_ settings: [VirtualFunctionChange], _ device: inout DevicePlan) {
        guard !settings.isEmpty else { return }
        if isRecreated {
            let count = settings.count
            device.steps.append(
                Step(
                    .configure(settings), "settings of \(count) VF\(count == 1 ? "" : "s")", reason: "new VFs have none"
                ))
            return
        }
        var changes: [VirtualFunctionChange] = []
        for change in settings {
            guard let vf = virtualFunctions.first(where: { $0.index == Int(change.index) }) else {
                changes.append(change)
                continue
            }
            let difference = change.settings.differing(from: vf.settings ?? VirtualFunctionSettings())
            guard !difference.isEmpty else { continue }
            let names = VirtualFunctionChange(index: change.index, settings: difference).names.joined(separator: ", ")
            if let refusal = refusal(of: vf, "\(names) of \(vf.name) is not changed") {
                device.refusals.append(refusal)
                device.settings.removeAll { $0.index == change.index }
            } else {
                changes.append(VirtualFunctionChange(index: change.index, settings: difference))
            }
        }
        guard !changes.isEmpty else { return }
        let names =
            changes.count == 1
            ? changes[0].names.joined(separator: ", ") + " of vf \(changes[0].index)"
            : "settings of \(changes.count) VFs"
        device.steps.append(Step(.configure(changes), names, reason: "they differ from what is declared"))
    }

    private func refusal(of vf: Function, _ what: String) -> Refusal? {
        let held = Refusal.HeldFunction.list(vf, holders: vf.holders, evicted: options.evicted)
        guard !held.isEmpty else { return nil }
        return Refusal(
            SRIOVError(.held, "\(what): it is in use", remedy: "free it and plan again"), holders: held)
    }

    // MARK: Drivers

    private func planBindings(_ device: inout DevicePlan) {
        var changes: [DevicePlan.Binding] = []
        let autoprobe = declaredAutoprobe()
        for index in 0..<wanted {
            // With autoprobe off the kernel would leave the VFs alone of which nothing is declared.
            let isOurs = (isRecreated || isOwed) && autoprobe == false
            guard let driver = declared.driver(of: index) ?? (isOurs ? .kernel(nil) : nil) else { continue }
            var binding = DevicePlan.Binding(
                index: index, target: .init(driver, physicalFunctionDriver: function.pci.driver))
            let vf = isRecreated ? nil : virtualFunctions.first { $0.index == index }
            if let vf, driver.isSatisfied(by: vf.pci) {
                binding.isReload = needsReload(index, vf, device)
                device.bindings.append(binding)
                if binding.isReload { changes.append(binding) }
                continue
            }
            if let vf, let refusal = refusal(of: vf, "\(vf.name) is not bound to \(driver.name)") {
                device.refusals.append(refusal)
                continue
            }
            device.bindings.append(binding)
            changes.append(binding)
        }
        // With autoprobe on the kernel binds the VFs itself while it creates them.
        let isAutomatic = isRecreated && autoprobe == true
        guard !changes.isEmpty, !isAutomatic else { return }
        for (name, group) in Dictionary(grouping: changes, by: { $0.target.driverName ?? "the kernel's driver" })
            .sorted(by: { $0.key < $1.key })
        {
            let vfs = "\(group.count) VF\(group.count == 1 ? "" : "s")"
            let isReload = group.allSatisfy(\.isReload)
            device.steps.append(
                Step(
                    .bind(group), isReload ? "bind \(vfs) to \(name) anew" : "bind \(vfs) to \(name)",
                    reason: isRecreated
                        ? "new VFs have no driver"
                        : isReload ? "the driver takes a new MAC only when it is bound" : "declared"))
        }
    }

    /// A driver that runs in the host takes an administrative MAC only when it is bound anew.
    private func needsReload(_ index: Int, _ vf: Function, _ device: DevicePlan) -> Bool {
        guard !vf.pci.isBoundToVFIO, vf.pci.driver != nil else { return false }
        // The MAC may have been set by an apply that was killed before it bound the driver anew.
        let wanted = device.settings.first { $0.index == UInt32(index) }?.settings.mac
        if let wanted, let own = vf.link?.address?.mac, own != wanted, vf.holders.isEmpty { return true }
        return device.steps.contains { step in
            guard case .configure(let changes) = step.action else { return false }
            return changes.contains { $0.index == UInt32(index) && $0.settings.mac != nil }
        }
    }

    // MARK: Before

    private func before() -> DevicePlan.Before {
        var before = DevicePlan.Before()
        before.virtualFunctions = enabled
        before.autoprobe = function.pci.sriov?.autoprobe ?? true
        before.isUp = function.link?.isUp ?? false
        before.permanentMAC = function.link?.permanentAddress?.mac
        before.settings = (function.link?.virtualFunctions ?? []).map {
            VirtualFunctionChange(index: $0.index, settings: $0.settings)
        }
        return before
    }
}

extension VirtualFunctionSettings {
    /// Of observed settings those that somebody has set: what a VF has by itself need not be set again, and not every
    /// driver would take it.
    var assigned: VirtualFunctionSettings {
        var result = self
        if mac?.isZero ?? false { result.mac = nil }
        if vlans?.isEmpty ?? false { result.vlans = nil }
        if minTxRateMbps == 0 { result.minTxRateMbps = nil }
        if maxTxRateMbps == 0 { result.maxTxRateMbps = nil }
        if trust == false { result.trust = nil }
        if linkState == .auto { result.linkState = nil }
        if rssQuery == false { result.rssQuery = nil }
        if nodeGUID?.rawValue == 0 { result.nodeGUID = nil }
        if portGUID?.rawValue == 0 { result.portGUID = nil }
        return result
    }
}
