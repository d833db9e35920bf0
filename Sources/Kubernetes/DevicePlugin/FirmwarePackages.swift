internal import Leasing
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

/// The packages of dynamic device personalisation by which lists select VFs (`ddpProfiles`): the VF's own, or its port's.
///
/// They are read where a list asks for them, and once: a card's firmware takes its time to answer. Another package comes with
/// a driver that is bound anew, and then the port's interface is another one.
final class FirmwarePackages: Sendable {
    private struct Key: Hashable {
        var function: PCIAddress
        var driver: String?
        var link: Int32?
    }

    private let kernel: any HostKernel
    private let known = Mutex<[Key: String?]>([:])
    private let isReading = Mutex(false)
    /// Its own: a card that does not answer keeps nobody else waiting.
    private let offLoop = SerialQueue()

    init(kernel: any HostKernel) { self.kernel = kernel }

    /// Reads what is not known yet of some functions, and forgets the others, unless that is being done. What cannot be read is
    /// tried the next time. Returns whether there is anything new.
    func read(_ members: [Pool.Member]) async -> Bool {
        let isFirst = isReading.withLock { isReading in
            defer { isReading = true }
            return !isReading
        }
        guard isFirst else { return false }
        defer { isReading.withLock { $0 = false } }
        let wanted = Set(members.flatMap(Self.keys))
        let new = known.withLock { known in
            known = known.filter { wanted.contains($0.key) }
            return wanted.subtracting(known.keys)
        }
        guard !new.isEmpty else { return false }
        let kernel = kernel
        let read = await offLoop.run {
            new.compactMap { key -> (Key, String?)? in
                do { return (key, try kernel.firmwarePackage(of: key.function)) } catch { return nil }
            }
        }
        known.withLock { known in known.merge(read) { $1 } }
        return !read.isEmpty
    }

    /// The package that a function has; nil for none, or when it was not read.
    func package(of member: Pool.Member) -> String? {
        let known = known.withLock(\.self)
        return Self.keys(member).lazy.compactMap { known[$0] ?? nil }.first
    }

    /// The function itself, then its port.
    private static func keys(_ member: Pool.Member) -> [Key] {
        guard member.function.pci.classCode.isNetwork else { return [] }
        let link = member.port?.link?.index
        return [member.function.pci, member.port?.pci].compactMap(\.self).map {
            Key(function: $0.address, driver: $0.driver, link: link)
        }
    }
}
