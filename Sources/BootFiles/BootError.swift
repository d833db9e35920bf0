public import SRIOV

extension SRIOVError.Code {
    /// A file of the operating system cannot be read or written.
    public static let bootFile = SRIOVError.Code(rawValue: "boot.file")
    /// Somebody else has written a file, or changed one of ours.
    public static let foreignFile = SRIOVError.Code(rawValue: "boot.foreign")
    /// Another command works on the same boot files.
    public static let busy = SRIOVError.Code(rawValue: "boot.busy")
}
