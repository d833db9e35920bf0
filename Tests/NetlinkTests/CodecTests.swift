import SystemPackage
import Testing

@testable import Netlink

@Suite struct CodecTests {
    /// What the kernel would answer for a PF with VFs: the list's own length wraps like the kernel's.
    private func linkMessage(vfs: Int, tail: Bool = true) -> [UInt8] {
        var builder = MessageBuilder.link(16, flags: 0, index: 7)
        builder.attribute(LinkAttribute.name, "eno49")
        builder.attribute(LinkAttribute.virtualFunctionCount, UInt32(vfs))
        builder.nest(LinkAttribute.virtualFunctionList) { list in
            for index in 0..<vfs {
                var settings = VirtualFunctionSettings()
                settings.mac = MACAddress(rawValue: 0x0200_0000_0000 + UInt64(index))
                settings.vlans = [VLAN(id: UInt16(index % 4094 + 1), qos: 3, protocol: .dot1ad)]
                settings.trust = index % 2 == 0
                list.append(settings, of: UInt32(index))
            }
        }
        if tail { builder.attribute(LinkAttribute.mtu, UInt32(9000)) }
        return Array(builder.finished(sequence: 1).dropFirst(16))
    }

    @Test(
        "Every VF is read, also where the list's 16-bit length has wrapped", arguments: [0, 1, 64, 221, 222, 800, 1000])
    func virtualFunctions(count: Int) throws {
        let link = try #require(Link(ByteReader(linkMessage(vfs: count))))
        #expect(link.name == "eno49" && link.index == 7)
        #expect(link.virtualFunctions.count == count)
        for (index, report) in link.virtualFunctions.enumerated() {
            #expect(report.index == UInt32(index))
            #expect(report.settings.mac == MACAddress(rawValue: 0x0200_0000_0000 + UInt64(index)))
            #expect(report.settings.vlans == [VLAN(id: UInt16(index % 4094 + 1), qos: 3, protocol: .dot1ad)])
            #expect(report.settings.trust == (index % 2 == 0))
        }
        // The message goes on behind the list.
        #expect(link.mtu == 9000)
    }

    @Test("A message that is cut anywhere is read as far as it goes, or not at all")
    func truncation() {
        let message = linkMessage(vfs: 20)
        for length in 0..<message.count {
            let link = Link(ByteReader(Array(message[..<length])))
            #expect((link?.virtualFunctions.count ?? 0) <= 20)
        }
    }

    @Test("Bytes that are changed at random never trap")
    func mutation() {
        var generator = SeededGenerator(state: 42)
        let message = linkMessage(vfs: 8)
        for _ in 0..<5000 {
            var changed = message
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                changed[Int.random(in: 0..<changed.count, using: &generator)] = .random(
                    in: 0 ... .max, using: &generator)
            }
            let link = Link(ByteReader(changed))
            #expect((link?.virtualFunctions.count ?? 0) < 1000)
            _ = Message.all(in: changed)
        }
    }

    @Test("One setting is one IFLA_VF_INFO, in the order that drivers want")
    func order() {
        var settings = VirtualFunctionSettings()
        settings.mac = MACAddress(rawValue: 1)
        settings.vlans = []
        settings.trust = true
        settings.spoofCheck = false
        settings.linkState = .enable
        settings.maxTxRateMbps = 100
        let change = VirtualFunctionChange(index: 3, settings: settings)
        #expect(
            change.separated.map { $0.names.joined() } == [
                "linkState", "spoofCheck", "trust", "maxTxRateMbps", "mac", "vlan",
            ])
        #expect(change.names == ["linkState", "spoofCheck", "trust", "maxTxRateMbps", "mac", "vlan"])
    }

    @Test("The bytes of a request are those of iproute2")
    func bytes() {
        // `ip link set dev 7 vf 2 trust on`: the nest of IFLA_VFINFO_LIST.
        var settings = VirtualFunctionSettings()
        settings.trust = true
        var builder = MessageBuilder(type: 19, flags: 4)
        builder.nest(LinkAttribute.virtualFunctionList) {
            $0.append(VirtualFunctionChange(index: 2, settings: settings))
        }
        let expected: [UInt8] = [
            20, 0, 22, 0x80,  // IFLA_VFINFO_LIST, nested
            16, 0, 1, 0x80,  // IFLA_VF_INFO, nested
            12, 0, 9, 0,  // IFLA_VF_TRUST
            2, 0, 0, 0, 1, 0, 0, 0,
        ]
        #expect(Array(builder.bytes.dropFirst(16)) == expected)
    }

    @Test(
        "An error carries errno and the kernel's text, whether the request is echoed or not", arguments: [true, false])
    func extendedAcknowledgement(isCapped: Bool) throws {
        var payload: [UInt8] = [0xa1, 0xff, 0xff, 0xff]  // -95
        payload += [40, 0, 0, 0] + [UInt8](repeating: 0, count: 12)
        if !isCapped { payload += [UInt8](repeating: 7, count: 24) }
        payload += [11, 0, 1, 0] + Array("not me".utf8) + [0, 0]
        let flags: UInt16 = 0x200 | (isCapped ? 0x100 : 0)
        let message = Message(type: 2, flags: flags, sequence: 1, payload: ByteReader(payload))
        let acknowledgement = try #require(message.acknowledgement)
        #expect(acknowledgement.errno?.rawValue == 95)
        #expect(acknowledgement.text == "not me")
    }

    @Test("A setting that is not reported is nil, not all ones")
    func unreported() throws {
        var builder = MessageBuilder.link(16, flags: 0, index: 1)
        builder.attribute(LinkAttribute.name, "p")
        builder.attribute(LinkAttribute.virtualFunctionCount, UInt32(1))
        builder.nest(LinkAttribute.virtualFunctionList) { list in
            list.nest(1) { info in
                info.attribute(VFAttribute.trust, [UInt8]([0, 0, 0, 0, 255, 255, 255, 255]))
                info.attribute(VFAttribute.spoofCheck, [UInt8]([0, 0, 0, 0, 1, 0, 0, 0]))
            }
        }
        let link = try #require(Link(ByteReader(Array(builder.finished(sequence: 1).dropFirst(16)))))
        #expect(link.virtualFunctions.first?.settings.trust == nil)
        #expect(link.virtualFunctions.first?.settings.spoofCheck == true)
    }
}

extension MessageBuilder {
    /// All settings of a VF in one IFLA_VF_INFO, as the kernel reports them.
    fileprivate mutating func append(_ settings: VirtualFunctionSettings, of index: UInt32) {
        func words(_ values: [UInt32]) -> [UInt8] { values.flatMap { withUnsafeBytes(of: $0, Array.init) } }
        nest(1) { info in
            info.attribute(
                VFAttribute.mac, words([index]) + (settings.mac?.bytes ?? []) + [UInt8](repeating: 0, count: 26))
            info.attribute(VFAttribute.vlan, words([index, UInt32(settings.vlans?.first?.id ?? 0), 3]))
            info.nest(VFAttribute.vlanList) { list in
                list.attribute(1, words([index, UInt32(settings.vlans?.first?.id ?? 0), 3]) + [0x88, 0xa8, 0, 0])
            }
            info.attribute(VFAttribute.trust, words([index, settings.trust == true ? 1 : 0]))
            info.attribute(VFAttribute.broadcast, [UInt8](repeating: 255, count: 32))
        }
    }
}

struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
    }
}
