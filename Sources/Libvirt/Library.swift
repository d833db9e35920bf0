internal import CLibvirt
internal import Glibc

/// libvirt's functions, loaded once for the process.
enum Library {
    private static let loaded: Result<sluice_libvirt, LibvirtError> = {
        var table = sluice_libvirt()
        if let missing = sluice_libvirt_load(&table) {
            return .failure(
                LibvirtError(
                    .missing, "libvirt's library cannot be used: \(String(cString: missing))",
                    remedy: "install it: Debian and Ubuntu apt install libvirt0, RHEL dnf install libvirt-libs"))
        }
        guard table.virInitialize() == 0, table.virEventRegisterDefaultImpl() == 0 else {
            return .failure(LibvirtError(.missing, "libvirt's library cannot be initialised"))
        }
        // Without a function of ours it prints every error to standard error.
        table.virSetErrorFunc(nil) { _, _ in }
        return .success(table)
    }()

    /// The functions. Throws `libvirt.missing` on a host without libvirt.
    static func functions() throws(LibvirtError) -> sluice_libvirt { try loaded.get() }

    /// The last error of the calling thread: libvirt keeps one for each.
    static func lastError(_ functions: sluice_libvirt, _ doing: String) -> LibvirtError {
        guard let error = functions.virGetLastError()?.pointee else {
            return LibvirtError(.refused, "\(doing): libvirt gives no reason")
        }
        defer { functions.virResetLastError() }
        let text = error.message.map { String(cString: $0) } ?? "no text"
        // virterror.h: these are the ends of a connection and the absence of what was asked for.
        let code: LibvirtError.Code =
            switch error.code {
            case Int32(VIR_ERR_NO_DOMAIN.rawValue): .noDomain
            case Int32(VIR_ERR_NO_NETWORK.rawValue): .noNetwork
            case Int32(VIR_ERR_RPC.rawValue), Int32(VIR_ERR_NO_CONNECT.rawValue), Int32(VIR_ERR_INVALID_CONN.rawValue),
                Int32(VIR_ERR_SYSTEM_ERROR.rawValue)
            where error.domain == Int32(VIR_FROM_RPC.rawValue) || error.domain == Int32(VIR_FROM_REMOTE.rawValue):
                .unreachable
            default: .refused
            }
        return LibvirtError(
            code, "\(doing): \(text)", number: error.code, domain: error.domain)
    }
}
