/// Writes attributes of sysfs, each with exactly one write(2), and never waits for the kernel beyond a deadline.
public protocol DeviceWriter: Sendable {
    /// Writes several attributes at the same time. The results are in the order of the requests; a nil entry is
    /// success, an entry with code `hung` a write that still runs.
    func write(_ requests: [WriteRequest], deadline: Duration) -> [PCIError?]

    /// Keeps a file open for as long as a write runs, also beyond the end of this process: a lock on it then tells the
    /// next process that the kernel is still at work. A writer that ends with the process has nothing to do.
    func keepOpen(_ descriptor: Int32, as name: String)

    /// Ends the keeping of the file of that name.
    func letGo(of name: String)

    /// Ends the keeping of the file of that name as soon as the writes that are under way now have returned.
    func letGoWhenReturned(of name: String)
}

/// One attribute to write.
public struct WriteRequest: Sendable, Hashable {
    /// The attribute, as on the host itself.
    public var path: String
    /// What to write.
    public var value: String
    /// What it is for, as a phrase: `enable 7 VFs of eno50`.
    public var operation: String

    /// Makes a request.
    public init(path: String, value: String, operation: String) {
        self.path = path
        self.value = value
        self.operation = operation
    }
}

extension DeviceWriter {
    /// Does nothing.
    public func keepOpen(_ descriptor: Int32, as name: String) {}

    /// Does nothing.
    public func letGo(of name: String) {}

    /// Does nothing.
    public func letGoWhenReturned(of name: String) {}

    /// Writes one attribute.
    public func write(_ request: WriteRequest, deadline: Duration) throws(PCIError) {
        if let error = write([request], deadline: deadline).first ?? nil { throw error }
    }
}
