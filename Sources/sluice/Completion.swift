internal import PCI
internal import SRIOV

/// What the shell offers after TAB.
enum Completion {
    /// Names and addresses of the devices of this host; nothing when it cannot be read.
    static func devices() -> [String] {
        guard let host = try? HostReader(kernel: readOnlyKernel()).read() else { return [] }
        return host.functions.filter(\.isAssignable).flatMap { function in
            ["\(function.pci.address)", function.name].filter { !$0.contains(" ") }
        }
    }

    /// Names of the PFs of this host.
    static func ports() -> [String] {
        guard let host = try? HostReader(kernel: readOnlyKernel()).read() else { return [] }
        return host.physicalFunctions.map(\.name)
    }

    /// What `--evict` takes on this host.
    static func holders() -> [String] {
        guard let host = try? HostReader(kernel: readOnlyKernel()).read() else { return [] }
        return Set(host.functions.flatMap(\.holders).filter(\.isEvictable).map(\.identifier)).sorted()
    }
}
