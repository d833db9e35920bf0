/// A pod's name, for people to read.
enum PodName {
    /// `NAMESPACE/NAME`; nil for what Kubernetes would not call a pod (DNS names of at most 253 bytes).
    static func text(_ namespace: String, _ name: String) -> String? {
        [namespace, name].allSatisfy { part in
            (1...253).contains(part.utf8.count)
                && part.utf8.allSatisfy {
                    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
                        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || "-.".utf8.contains($0)
                }
        } ? "\(namespace)/\(name)" : nil
    }
}
