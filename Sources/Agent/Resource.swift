internal import HTTPTypes

/// What a path means.
enum Resource: Equatable {
    case health, ready, metrics, host, functions, pools, leases, history, events, latestEvents, plans, applies, faults
    case facts, cni
    case function(String)
    case pool(String)
    case lease(String)
    case repair(String)
    case virtual(DomainResource)

    /// Reads a path's parts; nil is no resource.
    init?(_ path: [String]) {
        switch path {
        case ["healthz"]: self = .health
        case ["readyz"]: self = .ready
        case ["metrics"]: self = .metrics
        case ["v1", "host"]: self = .host
        case ["v1", "functions"]: self = .functions
        case ["v1", "pools"]: self = .pools
        case ["v1", "leases"]: self = .leases
        case ["v1", "history"]: self = .history
        case ["v1", "events"]: self = .events
        case ["v1", "events", "latest"]: self = .latestEvents
        case ["v1", "plans"]: self = .plans
        case ["v1", "applies"]: self = .applies
        case ["v1", "faults"]: self = .faults
        case ["v1", "facts"]: self = .facts
        case ["v1", "cni"]: self = .cni
        default:
            guard path.count > 1, path[0] == "v1" else { return nil }
            let names = path.dropFirst().compactMap(\.removingPercentEncodingStrictly)
            guard names.count == path.count - 1, !names.contains("") else { return nil }
            if let resource = DomainResource(names) {
                self = .virtual(resource)
                return
            }
            guard names.count > 1 else { return nil }
            let name = names[1]
            switch (path[1], path.count) {
            case ("functions", 3): self = .function(name)
            case ("pools", 3): self = .pool(name)
            case ("leases", 3): self = .lease(name)
            case ("leases", 4) where path[3] == "repair": self = .repair(name)
            default: return nil
            }
        }
    }

    /// What can be done with it.
    var methods: [HTTPRequest.Method] {
        switch self {
        case .leases: [.get, .post]
        case .lease: [.get, .delete]
        case .virtual(let resource): resource.methods
        case .repair, .plans, .applies, .cni: [.post]
        default: [.get]
        }
    }
}

extension String {
    /// The text without percent encoding; nil when it is malformed.
    fileprivate var removingPercentEncodingStrictly: String? {
        var bytes: [UInt8] = []
        var rest = ArraySlice(utf8)
        while let byte = rest.popFirst() {
            if byte != UInt8(ascii: "%") {
                bytes.append(byte)
                continue
            }
            guard rest.count > 1, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
