public import SystemPackage

/// What went wrong on the host, in a sentence that helps.
public struct SRIOVError: Error, Sendable, Hashable {
    /// The stable code of a failure, for machines; Documentation/errors.md lists them.
    public struct Code: Sendable, Hashable, RawRepresentable {
        /// The stable string, such as `vf.held`.
        public let rawValue: String
        /// Makes a code of its string.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// No device answers to what was given.
        public static let deviceNotFound = Code(rawValue: "device.notFound")
        /// More than one device answers to what was given.
        public static let deviceAmbiguous = Code(rawValue: "device.ambiguous")
        /// A hint of the host file points to other hardware than its identity.
        public static let identityMismatch = Code(rawValue: "device.identityMismatch")
        /// Two entries of the host file mean the same device.
        public static let deviceClaimedTwice = Code(rawValue: "device.claimedTwice")
        /// The device cannot have VFs.
        public static let notSRIOV = Code(rawValue: "pf.notSRIOV")
        /// The function cannot be passed through.
        public static let notAssignable = Code(rawValue: "device.notAssignable")
        /// The PF has no driver that could make VFs.
        public static let noDriver = Code(rawValue: "pf.noDriver")
        /// More VFs than the device can have.
        public static let tooManyVFs = Code(rawValue: "pf.tooManyVFs")
        /// The driver enabled fewer VFs than it was asked for.
        public static let fewerVFs = Code(rawValue: "pf.fewerVFs")
        /// The PF carries the host's own traffic.
        public static let protected = Code(rawValue: "pf.protected")
        /// The PF's driver has no switchdev mode.
        public static let noEswitch = Code(rawValue: "pf.noEswitch")
        /// The agent keeps the host as another host file says.
        public static let foreignHostFile = Code(rawValue: "hostfile.foreign")
        /// A name in a request means nothing here.
        public static let unknownName = Code(rawValue: "request.invalid")
        /// The host file cannot be read.
        public static let hostFileUnreadable = Code(rawValue: "hostfile.unreadable")
        /// The PF has no netdev, so its VFs have no settings.
        public static let noNetdev = Code(rawValue: "pf.noNetdev")
        /// A function that would be destroyed, rebound or reconfigured is in use.
        public static let held = Code(rawValue: "vf.held")
        /// A write to the device has not returned from the kernel.
        public static let hung = Code(rawValue: "device.hung")
        /// A step failed.
        public static let stepFailed = Code(rawValue: "step.failed")
        /// A setting was refused by the driver.
        public static let settingRefused = Code(rawValue: "vf.settingRefused")
        /// What was read back is not what was set.
        public static let unverified = Code(rawValue: "vf.unverified")
        /// The kernel uses no IOMMU.
        public static let noIOMMU = Code(rawValue: "host.noIOMMU")
        /// A kernel module is missing.
        public static let noModule = Code(rawValue: "host.noModule")
        /// A recording cannot be read.
        public static let badRecording = Code(rawValue: "snapshot.malformed")
        /// A file of the program's own state cannot be used.
        public static let state = Code(rawValue: "state.unusable")
        /// Another apply runs.
        public static let locked = Code(rawValue: "apply.locked")
    }

    /// The stable code.
    public var code: Code
    /// What went wrong, with the device and the kernel's own text.
    public var message: String
    /// What to do about it.
    public var remedy: String?
    /// The kernel's errno, when it gave one.
    public var errno: Errno?

    /// Makes an error of its parts.
    public init(_ code: Code, _ message: String, remedy: String? = nil, errno: Errno? = nil) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.errno = errno
    }
}

extension SRIOVError: CustomStringConvertible {
    /// The message, its code, and the remedy on a line of its own.
    public var description: String {
        "\(message)  [\(code.rawValue)]" + (remedy.map { "\n  → \($0)" } ?? "")
    }
}
