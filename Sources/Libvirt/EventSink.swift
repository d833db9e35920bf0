internal import CLibvirt
internal import Glibc

/// Where libvirt's callbacks put their events. libvirt keeps it, and gives it back when the callback is removed.
final class EventSink: Sendable {
    private let continuation: AsyncStream<LibvirtEvent>.Continuation

    init(_ continuation: AsyncStream<LibvirtEvent>.Continuation) { self.continuation = continuation }

    static let release: @convention(c) (UnsafeMutableRawPointer?) -> Void = { opaque in
        if let opaque { Unmanaged<EventSink>.fromOpaque(opaque).release() }
    }

    /// Puts an event into the sink that libvirt hands over.
    static func yield(_ event: LibvirtEvent, _ opaque: UnsafeMutableRawPointer?) {
        guard let opaque else { return }
        let sink = Unmanaged<EventSink>.fromOpaque(opaque).takeUnretainedValue()
        sink.continuation.yield(event)
        if event == .closed { sink.continuation.finish() }
    }

    /// Puts an event about a domain's device into the sink.
    static func yield(
        _ domain: virDomainPtr?, _ alias: UnsafePointer<CChar>?, _ opaque: UnsafeMutableRawPointer?,
        _ event: (String, String) -> LibvirtEvent
    ) {
        guard let (_, uuid) = identity(of: domain), let alias else { return }
        yield(event(uuid, String(cString: alias)), opaque)
    }

    /// A domain's name and UUID.
    static func identity(of domain: virDomainPtr?) -> (name: String, uuid: String)? {
        guard let domain, let functions = try? Library.functions(), let name = functions.virDomainGetName(domain)
        else { return nil }
        let uuid = String(filling: Int(VIR_UUID_STRING_BUFLEN)) { functions.virDomainGetUUIDString(domain, $0) }
        return uuid.map { (String(cString: name), $0) }
    }
}

extension String {
    /// A text that a function of C writes into a buffer; nil when the function says it cannot.
    init?(filling capacity: Int, _ body: (UnsafeMutablePointer<CChar>) -> Int32) {
        let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer -> String? in
            buffer.initialize(repeating: 0)
            guard let start = buffer.baseAddress, body(start) >= 0 else { return nil }
            return String(cString: start)
        }
        guard let text else { return nil }
        self = text
    }

    /// A text that libvirt has allocated and the caller is to free; nil when there is none.
    init?(taking text: UnsafeMutablePointer<CChar>?) {
        guard let text else { return nil }
        self = String(cString: text)
        Glibc.free(text)
    }
}
