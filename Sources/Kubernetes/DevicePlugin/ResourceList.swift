internal import FoundationEssentials
internal import PCI
public import SRIOV

/// The configuration of sriov-network-device-plugin: resources and the devices that they select.
///
/// What that program ignores or takes for something else is used as it was meant, or told; see
/// Documentation/kubernetes-node.md.
public struct ResourceList: Sendable, Hashable {
    /// The resources, in order: a device is the first one's that selects it.
    public internal(set) var resources: [Resource] = []
    /// What is wrong, each with its place.
    public internal(set) var findings: [String] = []

    /// A resource and what it selects.
    public struct Resource: Sendable, Hashable {
        /// Its name.
        public var name: ResourceName
        /// What kind of devices.
        var kind = Kind.network
        /// Whether the kubelet is told no NUMA nodes.
        var excludesTopology = false
        /// Any of them is enough.
        var selectors: [ResourceSelector] = []
        /// What containers are told besides, by PCI address; `*` is of all.
        var additionalInfo: [String: [String: String]] = [:]
    }

    /// What kind of devices a resource has.
    enum Kind: String, Sendable {
        case network = "netDevice"
        case accelerator
        case subfunction = "auxNetDevice"
    }

    /// No resources.
    init() {}

    /// What selectors ask of cards' firmware.
    var firmwareQuestions: Set<FirmwareFacts.Question> {
        let selectors = resources.flatMap(\.selectors)
        var questions: Set<FirmwareFacts.Question> = []
        if selectors.contains(where: { $0.profiles != nil }) { questions.insert(.package) }
        if selectors.contains(where: { $0.pKeys != nil }) { questions.insert(.partitionKey) }
        return questions
    }

    /// Whether a selector asks for vDPA devices.
    var asksForVDPA: Bool { resources.contains { $0.selectors.contains { $0.vdpaType != nil } } }

    /// Whether a resource is of subfunctions.
    var asksForSubfunctions: Bool { resources.contains { $0.kind == .subfunction } }

    /// The longest file that is read, bytes: a ConfigMap's limit.
    public static let maximumBytes = 1 << 20

    /// Reads a list; names without a prefix of their own have `prefix`.
    ///
    /// Throws `ResourceListError` for what is no list at all. A resource that cannot be used is left out, and told.
    public init(_ text: String, prefix: String) throws(ResourceListError) {
        let root: JSONValue
        do {
            root = try JSONValue.parse(text)
        } catch let DecodingError.dataCorrupted(context) {
            let reason = context.underlyingError.map { "\($0)" } ?? context.debugDescription
            throw ResourceListError(message: "it is no JSON: \(reason.prefix(300))")
        } catch {
            throw ResourceListError(message: "it is no JSON")
        }
        var reader = ResourceListReader(defaultPrefix: prefix)
        resources = try reader.resources(root)
        findings = reader.findings
    }
}

/// Why a text is no list of resources.
public struct ResourceListError: Error, Sendable, Hashable {
    /// What is wrong, without the file.
    public var message: String
}
