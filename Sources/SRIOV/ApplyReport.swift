public import PCI

/// What an apply reports while it runs.
public enum ApplyEvent: Sendable {
    /// A step of a device begins; steps are numbered from 1.
    case stepBegins(device: String, number: Int, of: Int, title: String)
    /// A step has ended, with what failed in it.
    case stepEnded(device: String, number: Int, of: Int, title: String, errors: [SRIOVError])
    /// A device is done, and what is wrong with it.
    case deviceEnded(DeviceReport)
}

/// What became of one device.
public struct DeviceReport: Sendable {
    /// Its name.
    public var name: String
    /// Its address.
    public var address: PCIAddress?
    /// How many steps were done.
    public var stepsDone: Int
    /// How many steps there were.
    public var steps: Int
    /// What failed: a step, single VFs or settings, or the comparison in the end.
    public var errors: [SRIOVError]
    /// How many VFs are as declared, verified by reading them back.
    public var verified: Int
    /// How long it took.
    public var duration: Duration

    /// Makes a report of its parts.
    package init(
        name: String, address: PCIAddress?, stepsDone: Int, steps: Int, errors: [SRIOVError], verified: Int,
        duration: Duration
    ) {
        self.name = name
        self.address = address
        self.stepsDone = stepsDone
        self.steps = steps
        self.errors = errors
        self.verified = verified
        self.duration = duration
    }
}
