internal import Glibc
internal import Netlink
public import PCI
internal import Synchronization

/// The record of one apply, written before each step: what was there, what is being done, what is done.
///
/// A text file of one record a line, readable with cat. While it is named `apply.journal` the apply runs or was
/// interrupted; one that ended is `last-apply.journal`.
public final class Journal: Sendable {
    private let state: StateDirectory
    private let descriptor: Int32
    private let lock = Mutex(())
    /// What an earlier, interrupted apply owes to devices that this one does not touch.
    private let leftOver: String
    /// The devices of this one as they were.
    private let records: [PCIAddress: String]

    static let name = "apply.journal"

    private init(
        state: StateDirectory, descriptor: Int32, leftOver: String, records: [PCIAddress: String]
    ) {
        self.records = records
        self.state = state
        self.leftOver = leftOver
        self.descriptor = descriptor
    }

    deinit { Glibc.close(descriptor) }

    /// Starts the record of a plan: its devices as they were and its steps are on disk when this returns.
    ///
    /// What an interrupted apply had recorded of a device's former state is carried over, so that a second interruption
    /// loses nothing. Throws `state.unusable` when the disk does not take it.
    public static func begin(
        _ plan: Plan, file: String, time: Int, interrupted: Interrupted?, state: StateDirectory
    ) throws(SRIOVError) -> Journal {
        var text = "sluice-journal 1\napply pid=\(getpid()) time=\(time) file=\(escaped(file))\n"
        var records: [PCIAddress: String] = [:]
        for device in plan.devices where !device.steps.isEmpty {
            guard let address = device.address else { continue }
            let entry = record(interrupted?.owed[address] ?? device.before, address, name: device.name)
            records[address] = entry
            text += entry
            for (number, step) in device.steps.enumerated() {
                text += "step \(address) \(number + 1) \(step.title)\n"
            }
        }
        // A device that is refused, even in part, is owed its settings as before.
        let touched = Set(plan.devices.filter { !$0.steps.isEmpty && $0.refusals.isEmpty }.compactMap(\.address))
        var leftOver = ""
        // One of which nothing is left to do is owed nothing.
        let settled = Set(
            plan.devices.filter { $0.steps.isEmpty && $0.refusals.isEmpty }.compactMap(\.address))
        for device in interrupted?.devices ?? []
        where !touched.contains(device.address) && !settled.contains(device.address) {
            leftOver += interrupted?.owed[device.address].map { record($0, device.address, name: device.name) } ?? ""
        }
        try state.replace(name, with: text + leftOver)
        let path = state.file(name)
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        guard descriptor >= 0 else { throw state.failure("open", path) }
        return Journal(state: state, descriptor: descriptor, leftOver: leftOver, records: records)
    }

    private static func record(_ before: DevicePlan.Before, _ address: PCIAddress, name: String) -> String {
        var text = "device \(address) name=\(escaped(name)) numvfs=\(before.virtualFunctions)"
        text += " autoprobe=\(before.autoprobe ? 1 : 0) up=\(before.isUp ? 1 : 0)"
        text += (before.permanentMAC.map { " mac=\($0)" } ?? "") + "\n"
        for change in before.settings where !change.settings.assigned.isEmpty {
            text += "was \(address) vf=\(change.index)\(SettingsText.encode(change.settings.assigned))\n"
        }
        return text
    }

    /// Records that a step begins. Nothing is done to the device before this returns.
    func stepBegins(_ number: Int, of address: PCIAddress) throws(SRIOVError) {
        try append("begin \(address) \(number)")
    }

    /// Records that a step has ended.
    func stepEnded(_ number: Int, of address: PCIAddress, succeeded: Bool) throws(SRIOVError) {
        try append("\(succeeded ? "done" : "failed") \(address) \(number)")
    }

    /// Closes the record. Devices that did not come to the end of their steps are still owed what they had.
    func end(unfinished: Set<PCIAddress>) throws(SRIOVError) {
        try append("end")
        let open = records.filter { unfinished.contains($0.key) }.sorted { $0.key < $1.key }
        let owed = leftOver + open.map(\.value).joined()
        guard !owed.isEmpty else { return try Self.close(in: state) }
        // The finished record is kept under its other name, and replaced by what is owed in one act.
        let last = state.file("last-apply.journal")
        unlink(last)
        guard link(state.file(Self.name), last) == 0 else { throw state.failure("link", last) }
        try state.replace(Self.name, with: "sluice-journal 1\n" + owed)
    }

    /// Closes the record of an apply that was interrupted, when nothing of it is left to do.
    public static func close(in state: StateDirectory) throws(SRIOVError) {
        guard rename(state.file(name), state.file("last-apply.journal")) == 0 else {
            throw state.failure("rename", state.file(name))
        }
        try state.synchronise()
    }

    private func append(_ line: String) throws(SRIOVError) {
        let result = lock.withLock { _ -> Result<Void, SRIOVError> in
            Result { () throws(SRIOVError) in
                try state.append(line + "\n", to: descriptor, state.file(Self.name))
                guard fdatasync(descriptor) == 0 else { throw state.failure("write", state.file(Self.name)) }
            }
        }
        try result.get()
    }

    // MARK: Reading

    /// An apply that did not end.
    public struct Interrupted: Sendable {
        /// The process that ran it.
        public var pid: Int32?
        /// When it began, seconds since 1970.
        public var time: Int?
        /// The host file that it applied.
        public var file: String
        /// The devices, in order, and how far each came.
        public var devices: [Device] = []
        /// The state of each device before the apply, of those whose settings may be lost.
        public var owed: [PCIAddress: DevicePlan.Before] = [:]

        /// A device of an interrupted apply.
        public struct Device: Sendable {
            /// Its address.
            public var address: PCIAddress
            /// Its name at the time.
            public var name: String
            /// The steps and how far they came.
            public var steps: [(title: String, progress: Progress)]
        }

        /// How far a step came.
        public enum Progress: String, Sendable {
            /// It was not begun.
            case notBegun = "not begun"
            /// It was begun; whether it took effect is to be seen on the device.
            case interrupted
            /// It was done.
            case done
            /// It failed, and said so.
            case failed
        }
    }

    /// The apply that did not end, if there is one. A last line that was cut off is passed over: its step had not begun.
    public static func interrupted(in state: StateDirectory) throws(SRIOVError) -> Interrupted? {
        guard let text = try state.read(name) else { return nil }
        guard text.hasPrefix("sluice-journal 1\n") else {
            throw SRIOVError(
                .state, "\(state.file(name)) is not a journal of this version",
                remedy: "look at it, then remove it: nothing else depends on it")
        }
        var result = Interrupted(pid: nil, time: nil, file: "")
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            let words = line.split(separator: " ").map(String.init)
            guard words.count > 1 else { continue }
            result.read(words, line: line)
        }
        return result
    }

    fileprivate static func escaped(_ text: String) -> String {
        text.utf8.map { byte in
            byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "%")
                ? String(UnicodeScalar(byte)) : "%" + hexadecimalPairs([byte])
        }.joined()
    }

    fileprivate static func unescaped(_ text: some StringProtocol) -> String {
        var bytes: [UInt8] = []
        var rest = ArraySlice(text.utf8)
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2).compactMap(hexadecimalValue)
            if byte == UInt8(ascii: "%"), digits.count == 2 {
                bytes.append(digits[0] << 4 | digits[1])
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Journal.Interrupted {
    fileprivate mutating func read(_ words: [String], line: Substring) {
        func value(_ key: String) -> Substring? {
            words.first { $0.hasPrefix(key + "=") }?.dropFirst(key.count + 1)
        }
        if words[0] == "apply" {
            pid = value("pid").flatMap { Int32($0) }
            time = value("time").flatMap { Int($0) }
            file = value("file").map { Journal.unescaped($0) } ?? ""
            return
        }
        guard let address = PCIAddress(words[1]) else { return }
        let number = words.count > 2 ? Int(words[2]) ?? 0 : 0
        switch words[0] {
        case "device":
            var before = DevicePlan.Before()
            before.virtualFunctions = value("numvfs").flatMap { Int($0) } ?? 0
            before.autoprobe = value("autoprobe") != "0"
            before.isUp = value("up") == "1"
            before.permanentMAC = value("mac").flatMap { MACAddress($0) }
            owed[address] = before
            devices.append(
                Device(address: address, name: value("name").map { Journal.unescaped($0) } ?? words[1], steps: []))
        case "was":
            guard let index = value("vf").flatMap({ UInt32($0) }) else { return }
            owed[address]?.settings.append(
                VirtualFunctionChange(index: index, settings: SettingsText.decode(words.dropFirst(3))))
        case "step":
            update(address) { $0.steps.append((words.dropFirst(3).joined(separator: " "), .notBegun)) }
        case "begin": update(address, number, .interrupted)
        case "done": update(address, number, .done)
        case "failed": update(address, number, .failed)
        default: break
        }
    }

    private mutating func update(_ address: PCIAddress, _ body: (inout Device) -> Void) {
        guard let index = devices.firstIndex(where: { $0.address == address }) else { return }
        body(&devices[index])
    }

    private mutating func update(_ address: PCIAddress, _ number: Int, _ progress: Progress) {
        update(address) { device in
            if device.steps.indices.contains(number - 1) { device.steps[number - 1].progress = progress }
        }
    }
}

extension Journal.Interrupted {
    /// Whether nothing is left to do for it: a plan without steps refuses nothing of it either. What is neither declared
    /// nor there any more is owed nothing.
    public func isSettled(by plan: Plan, only: Set<String>) -> Bool {
        owed.keys.allSatisfy { address in
            guard let device = plan.devices.first(where: { $0.address == address }) else { return only.isEmpty }
            return device.steps.isEmpty && device.refusals.isEmpty
        }
    }
}
