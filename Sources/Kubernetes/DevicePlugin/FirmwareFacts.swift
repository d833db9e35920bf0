internal import Leasing
internal import Netlink
internal import PCI
internal import SRIOV
internal import Synchronization

/// What only a card's firmware tells of its VFs: the package of dynamic device personalisation (`ddpProfiles`), the VF's own or
/// its port's, and the partition key of InfiniBand (`pKeys`), the first port's first.
///
/// It is read where a list asks for it, off the event loop: a card's firmware takes its time to answer. A package is read once:
/// another one comes with a driver of the port that is bound anew, and then its interface is another one. A partition key is
/// the subnet manager's to change, and is read whenever the host is looked at.
final class FirmwareFacts: Sendable {
    enum Question: Hashable {
        case package
        case partitionKey
    }

    private struct Key: Hashable {
        var question: Question
        var function: PCIAddress
        var driver: String?
        var link: Int32?
    }

    private let kernel: any HostKernel
    private let files: any FileTree
    private let known = Mutex<[Key: String?]>([:])
    private let isReading = Atomic(false)
    private let turn = Turnstile()
    /// Its own: a card that does not answer keeps nobody else waiting.
    private let offLoop = SerialQueue()

    init(kernel: any HostKernel, files: any FileTree) {
        self.kernel = kernel
        self.files = files
    }

    /// As `read`, but not while that is being done: nobody waits behind a card that does not answer.
    func readUnlessReading(_ questions: Set<Question>, of members: [Pool.Member]) async -> Bool {
        guard !isReading.load(ordering: .relaxed) else { return false }
        return await read(questions, of: members)
    }

    /// Reads what is not known yet of some functions, and forgets the others. What cannot be read is tried the next time, and
    /// what was read before stays. Returns whether there is anything new.
    func read(_ questions: Set<Question>, of members: [Pool.Member]) async -> Bool {
        await turn.enter()
        defer { turn.leave() }
        isReading.store(true, ordering: .relaxed)
        defer { isReading.store(false, ordering: .relaxed) }
        let wanted = Set(members.flatMap { member in questions.flatMap { Self.keys($0, member) } })
        let new = known.withLock { known in
            known = known.filter { wanted.contains($0.key) || !questions.contains($0.key.question) }
            return wanted.filter { known[$0] == nil || $0.question == .partitionKey }
        }
        guard !new.isEmpty else { return false }
        let (kernel, files) = (kernel, files)
        let read = await offLoop.run {
            new.compactMap { key -> (Key, String?)? in
                switch key.question {
                case .package:
                    do { return (key, try kernel.firmwarePackage(of: key.function)) } catch { return nil }
                case .partitionKey: return Self.partitionKey(key.function, files).map { (key, $0) }
                }
            }
        }
        return known.withLock { known in
            let isNew = read.contains { key, answer in known[key] != .some(answer) }
            known.merge(read) { $1 }
            return isNew
        }
    }

    /// The package that a function has; nil for none, or when it was not read.
    func package(of member: Pool.Member) -> String? { answer(.package, member) }

    /// The partition key of a function's RDMA device; nil for none, or when it was not read.
    func partitionKey(of member: Pool.Member) -> String? { answer(.partitionKey, member) }

    private func answer(_ question: Question, _ member: Pool.Member) -> String? {
        let known = known.withLock(\.self)
        return Self.keys(question, member).lazy.compactMap { known[$0] ?? nil }.first
    }

    /// nil for a function without an RDMA device, which may have one soon.
    private static func partitionKey(_ function: PCIAddress, _ files: any FileTree) -> String? {
        let folder = "\(PCIReader.path(function))/infiniband"
        guard let device = ((try? files.entries(folder)) ?? nil)?.first else { return nil }
        return (try? files.text("\(folder)/\(device)/ports/1/pkeys/0")) ?? nil
    }

    /// The function itself, and then its port where that may answer for it.
    private static func keys(_ question: Question, _ member: Pool.Member) -> [Key] {
        guard member.function.pci.classCode.isNetwork else { return [] }
        let link = member.port?.link?.index
        let port = question == .package ? member.port?.pci : nil
        return [member.function.pci, port].compactMap(\.self).map {
            Key(question: question, function: $0.address, driver: $0.driver, link: link)
        }
    }
}
