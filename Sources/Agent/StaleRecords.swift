internal import Glibc
internal import Leasing
internal import Logging
internal import PCI
internal import SRIOV

/// What libvirt leaves behind of starts that were cut short: a VF's address and VLAN as they were, which it would set again
/// at the end of the next domain, whoever has set what in between (virHostdevRestoreNetConfig in
/// src/hypervisor/virhostdev.c). A record is made before a VF is set, so the VF may still be as that start has set it.
enum StaleRecords {
    /// Removes the records of functions that no domain has, and cleans the functions. Returns whether younger ones are left.
    static func remove(
        unless used: Set<PCIAddress>, olderThan age: Duration, of manager: LeaseManager, _ logger: Logger
    ) async -> Bool {
        var isYoungLeft = false
        let host = manager.observedHost
        // What is not ours to give is not ours to clean.
        let ours = Set(manager.pools.allMembers.map(\.function.pci.address))
        for name in ((try? LiveFileTree().entries(LibvirtRecords.folder)) ?? nil) ?? [] {
            guard let function = LibvirtRecords.function(name, on: host), ours.contains(function.pci.address),
                !used.contains(function.pci.address), manager.lease(at: function.pci.address) == nil,
                // Whoever has it open may be a domain that libvirt has only lost sight of.
                !function.holders.contains(where: \.isDomain)
            else { continue }
            var status = stat()
            guard stat("\(LibvirtRecords.folder)/\(name)", &status) == 0 else { continue }
            guard time(nil) - status.st_mtim.tv_sec >= Int(age.components.seconds) else {
                isYoungLeft = true
                continue
            }
            do throws(LeasingError) {
                try await manager.clean(function.pci.address)
            } catch {
                // Somebody uses it after all, or it is cleaned before anybody gets it: the record is looked at again.
                logger.warning("\(function.name): \(error.message)")
                continue
            }
            // A start that has begun meanwhile has a record of its own.
            if manager.lease(at: function.pci.address) == nil, unlink("\(LibvirtRecords.folder)/\(name)") == 0 {
                logger.notice(
                    "\(function.name): libvirt's record of a start that failed is removed (\(LibvirtRecords.folder)/\(name))"
                )
            }
        }
        return isYoungLeft
    }
}
