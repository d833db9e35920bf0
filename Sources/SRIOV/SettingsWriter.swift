package import Netlink
internal import SystemPackage

/// Sets what a port administers for its VFs: all in one message where the driver takes that, each by itself where not.
package struct SettingsWriter {
    private let kernel: any HostKernel
    private let carrierDeadline: Duration

    /// Writes through a kernel; rates may have to wait for a carrier.
    package init(kernel: any HostKernel, carrierDeadline: Duration = .seconds(10)) {
        self.kernel = kernel
        self.carrierDeadline = carrierDeadline
    }

    /// Sets what differs from what the kernel reports, and returns what the driver refused.
    package func write(_ changes: [VirtualFunctionChange], of index: Int32) throws -> [RefusedSetting] {
        let differences = try differing(changes, of: index)
        guard !differences.isEmpty else { return [] }
        do throws(NetlinkError) {
            try kernel.set(differences, of: index)
            return []
        } catch {
            // The driver refuses the combination or one of the settings: each by itself tells which.
            guard error.code == .refused else { throw error }
        }
        var refusals = kernel.setEach(try differing(differences, of: index), of: index)
        // Creating VFs makes some drivers restart their port, and they refuse rates until its speed is known again.
        if refusals.contains(where: { $0.isRate && $0.error.errno?.rawValue == 22 }) {
            do throws(NetlinkError) {
                try kernel.waitForCarrier(link: index, deadline: carrierDeadline)
                let rates = refusals.filter(\.isRate).map(\.change)
                refusals = refusals.filter { !$0.isRate } + kernel.setEach(rates, of: index)
            } catch {
                // Without a carrier the refusals stand as they are.
            }
        }
        return refusals
    }

    /// Of changes what differs from what the kernel reports now.
    package func differing(_ changes: [VirtualFunctionChange], of index: Int32) throws -> [VirtualFunctionChange] {
        Self.differing(changes, from: try kernel.link(index: index, .virtualFunctions).virtualFunctions)
    }

    /// Of changes what differs from reports.
    package static func differing(
        _ changes: [VirtualFunctionChange], from reports: [VirtualFunctionReport]
    ) -> [VirtualFunctionChange] {
        let observed = Dictionary(reports.map { ($0.index, $0.settings) }, uniquingKeysWith: { first, _ in first })
        return changes.compactMap { change in
            let settings = change.settings.differing(from: observed[change.index] ?? VirtualFunctionSettings())
            return settings.isEmpty ? nil : VirtualFunctionChange(index: change.index, settings: settings)
        }
    }
}
