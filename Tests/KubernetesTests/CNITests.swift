import Foundation
import Netlink
import PCI
import Testing

@testable import Kubernetes

@Suite("The CNI plugin's configuration and result")
struct CNITests {
    private func parse(_ members: String) throws -> NetworkConfiguration {
        try NetworkConfiguration.parse(
            "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"deviceID\":\"0000:41:10.0\"\(members)}")
    }

    @Test("Every key of sriov-cni is a setting; zero takes away")
    func settings() throws {
        let all = try parse(
            """
            ,"vlan":100,"vlanQoS":3,"vlanProto":"802.1AD","mac":"CA:FE:C0:FF:EE:00","min_tx_rate":10,"max_tx_rate":0,
            "spoofchk":"off","trust":"on","link_state":"enable","logLevel":"debug","unknown":[1]
            """
        ).settings(macArgument: nil)
        #expect(all.vlans == [VLAN(id: 100, qos: 3, protocol: .dot1ad)] && all.mac == MACAddress("ca:fe:c0:ff:ee:00"))
        #expect(all.minTxRateMbps == 10 && all.maxTxRateMbps == 0 && all.spoofCheck == false && all.trust == true)
        #expect(all.linkState == .enable)
        #expect(try parse(",\"vlan\":0").settings(macArgument: nil).vlans == [])
        #expect(try parse("").settings(macArgument: nil).isEmpty)
    }

    @Test("The runtime's MAC address comes before CNI_ARGS', and that before the configuration's")
    func mac() throws {
        let one = ",\"mac\":\"02:00:00:00:00:01\""
        let three = one + ",\"runtimeConfig\":{\"mac\":\"02:00:00:00:00:03\"}"
        #expect(try parse(one).settings(macArgument: nil).mac == MACAddress("02:00:00:00:00:01"))
        #expect(try parse(one).settings(macArgument: "02:00:00:00:00:02").mac == MACAddress("02:00:00:00:00:02"))
        #expect(try parse(three).settings(macArgument: "02:00:00:00:00:02").mac == MACAddress("02:00:00:00:00:03"))
    }

    @Test(
        "What the VF is is written only where the specification has it",
        arguments: [
            ("/var/run/k8s.cni.cncf.io/devinfo/cni/a", true), ("/run/k8s.cni.cncf.io/a", true), ("/etc/passwd", false),
            ("/run/k8s.cni.cncf.io/../passwd", false), ("/run/k8s.cni.cncf.io/", false),
            ("run/k8s.cni.cncf.io/a", false),
            ("/run/k8s.cni.cncf.io/./a", false),
        ])
    func deviceInfoFile(_ path: String, _ isAllowed: Bool) throws {
        let conf = try parse(",\"runtimeConfig\":{\"cniDeviceInfoFile\":\"\(path)\"}")
        #expect(((try? conf.deviceInfoFile) == path) == isAllowed)
        if !isAllowed { #expect(throws: CNIError.self) { try conf.deviceInfoFile } }
    }

    @Test("The device is what multus or the runtime has filled in")
    func device() throws {
        #expect(try parse("").device() == PCIAddress("0000:41:10.0"))
        let runtime = "{\"name\":\"n\",\"cniVersion\":\"1.0.0\",\"runtimeConfig\":{\"deviceID\":\"0000:41:10.2\"}}"
        #expect(try NetworkConfiguration.parse(runtime).device() == PCIAddress("0000:41:10.2"))
        let pci = "{\"name\":\"n\",\"cniVersion\":\"1.0.0\",\"pciBusID\":\"0000:41:10.4\"}"
        #expect(try NetworkConfiguration.parse(pci).device() == PCIAddress("0000:41:10.4"))
    }

    @Test("A route without a gateway goes by that of the first address of its family")
    func routes() throws {
        let text = """
            {"ips":[{"address":"10.0.0.2/24","gateway":"10.0.0.1"},{"address":"fd00::2/64","gateway":"fd00::1"}],
            "routes":[{"dst":"10.9.0.0/16"},{"dst":"::/0","mtu":1400,"priority":7},{"dst":"10.8.0.0/16","gw":"10.0.0.9"}]}
            """
        let result = try CNIResult.parse(text, of: "host-local")
        #expect(try result.addresses() == ["10.0.0.2/24", "fd00::2/64"].compactMap { IPPrefix($0) })
        let routes = try result.linkRoutes()
        #expect(routes.map(\.gateway) == ["10.0.0.1", "fd00::1", "10.0.0.9"].map { IPPrefix($0) })
        #expect(routes[1].mtu == 1400 && routes[1].priority == 7)
        for wrong in ["{\"ips\":[{\"address\":\"10.0.0\"}]}", "{\"routes\":[{\"dst\":\"x\"}]}"] {
            let result = try CNIResult.parse(wrong, of: "x")
            #expect(throws: CNIError.self) {
                _ = try result.addresses()
                _ = try result.linkRoutes()
            }
        }
    }

    @Test("A result has what its version has")
    func versions() throws {
        var result = CNIResult()
        result.interfaces = [
            .init(name: "net1", mac: "02:00:00:00:00:01", mtu: 1500, sandbox: "/x", pciID: "0000:41:10.0")
        ]
        result.ips = [.init(address: "fd00::2/64", interface: 0)]
        #expect(
            try result.text("1.1.0")
                == """
                {"cniVersion":"1.1.0","interfaces":[{"mac":"02:00:00:00:00:01","mtu":1500,"name":"net1","pciID":"0000:41:10.0","sandbox":"/x"}],"ips":[{"address":"fd00::2/64","interface":0}]}
                """)
        #expect(
            try result.text("0.3.1")
                == """
                {"cniVersion":"0.3.1","dns":{},"interfaces":[{"mac":"02:00:00:00:00:01","name":"net1","sandbox":"/x"}],"ips":[{"address":"fd00::2/64","interface":0,"version":"6"}]}
                """)
    }

    @Test("Results of versions 0.1.0 and 0.2.0 have one address of each family, and are read so too")
    func early() throws {
        let text = """
            {"cniVersion":"0.2.0","dns":{},"ip4":{"gateway":"10.0.0.1","ip":"10.0.0.2/24","routes":[{"dst":"10.9.0.0/16"}]},"ip6":{"ip":"fd00::2/64","routes":[{"dst":"::/0","gw":"fd00::1"}]}}
            """
        let result = try CNIResult.parse(text, of: "host-local")
        #expect(try result.addresses() == ["10.0.0.2/24", "fd00::2/64"].compactMap { IPPrefix($0) })
        #expect(try result.linkRoutes().map(\.gateway) == ["10.0.0.1", "fd00::1"].map { IPPrefix($0) })
        #expect(try result.text("0.2.0") == text)
        #expect(try CNIResult().text("0.1.0") == #"{"cniVersion":"0.1.0","dns":{}}"#)
    }

    @Test("Whatever is sent, the answer is a configuration or an error with a code")
    func mutations() throws {
        let whole = Array(
            "{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"deviceID\":\"0000:41:10.0\",\"vlan\":100,\"ipam\":{\"type\":\"x\"}}"
                .utf8)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            do {
                let conf = try NetworkConfiguration.parse(String(decoding: bytes, as: UTF8.self))
                _ = try conf.device()
                _ = try conf.settings(macArgument: nil)
            } catch {
                #expect([1, 6, 7].contains(error.code), "\(error)")
            }
        }
    }
}
