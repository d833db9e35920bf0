import HostFile
import Netlink
import PCI
import SRIOV
import Testing

@Suite struct HostFileTests {
    private let port = "physicalFunctions:\n  - match: { netdev: eno49 }\n    virtualFunctions: 7\n"

    private func errors(_ text: String) -> [String] {
        do throws(HostFileErrors) {
            _ = try HostFile.parse(text, file: "host.yaml")
            return []
        } catch {
            return error.errors.map(\.description)
        }
    }

    @Test("The example of the lab says what it says")
    func example() throws {
        let path =
            #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/Documentation/examples/lab.yaml"
        let bytes = try #require(try LiveFileTree().contents(path, limit: 1 << 20))
        let host = try HostFile.parse(String(decoding: bytes, as: UTF8.self), file: path)
        #expect(host.physicalFunctions.count == 4 && host.pools.count == 2 && host.passthrough.count == 1)
        let first = host.physicalFunctions[0]
        #expect(first.driver(of: 0) == .vfio("vfio-pci") && first.driver(of: 5) == .kernel(nil))
        #expect(first.settings(of: 5).vlans == [VLAN(id: 100, qos: 3)] && first.settings(of: 5).maxTxRateMbps == 500)
        #expect(first.settings(of: 5).spoofCheck == true && first.settings(of: 4).vlans == nil)
        #expect(first.identity.permanentMAC == MACAddress("02:5c:00:00:00:00"))
        #expect(host.passthrough[0].identity.serial == "PM9A1-0002")
        #expect(host.pools[0].members == [.port(netdev: "ens10", virtualFunctions: NumberSet("0-4"))])
    }

    @Test(
        "A mistake is told with line, column and what is meant",
        arguments: [
            (
                "physicalFunctions:\n  - match: { netdev: eno49 }\n    virtualFuntions: 7\n",
                "host.yaml:3:5: unknown key \"virtualFuntions\" — did you mean \"virtualFunctions\"?"
            ),
            (
                "physicalFunctions:\n  - match: { netdev: eno49 }\n    virtualFunctions: 7\n    defaults: { vlan: { id: 5000 } }\n",
                "host.yaml:4:29: VLAN 5000 is out of range (0–4094)"
            ),
            (
                "physicalFunctions:\n  - match: { netdev: a }\n    virtualFunctions: 7\n  - match: { netdev: a }\n    virtualFunctions: 7\n",
                "host.yaml:4:22: netdev a is matched already by line 2"
            ),
            (
                "physicalFunctions:\n  - match: { address: 04:00.0 }\n    virtualFunctions: 1\n  - match: { address: 0000:04:00.0 }\n    virtualFunctions: 1\n",
                "host.yaml:4:23: address 0000:04:00.0 is matched already by line 2"
            ),
            (
                "physicalFunctions:\n  - match: { netdev: a }\n    virtualFunctions: many\n",
                "host.yaml:3:23: virtualFunctions: \"many\" is not a whole number"
            ),
            (
                "physicalFunctions:\n  - match: { netdev: a }\n    virtualFunctions: -1\n",
                "host.yaml:3:23: virtualFunctions -1 is out of range (0–65535)"
            ),
            (
                "physicalFunctions:\n  - match: { permanentMAC: 94:57 }\n    virtualFunctions: 1\n",
                "host.yaml:2:28: permanentMAC: \"94:57\" is not a MAC address (as in 94:57:a5:5a:d9:c0)"
            ),
            (
                "physicalFunctions:\n  - match: {}\n    virtualFunctions: 1\n",
                "host.yaml:2:12: match is empty: give netdev, permanentMAC, serial, label or address"
            ),
            ("physicalFunctions: eno49\n", "host.yaml:1:20: physicalFunctions is a list, not \"eno49\""),
            ("- a\n", "host.yaml:1:1: the file is a mapping with physicalFunctions, passthrough, pools, not a list"),
            (
                "physicalFunctions:\n  - match: { netdev: a }\n    virtualFunctions: 4\n    ranges:\n      - { virtualFunctions: 0-2 }\n      - { virtualFunctions: 2-3 }\n",
                "host.yaml:6:29: vf 2 is in an earlier range already"
            ),
            (
                "physicalFunctions:\n  - match: { netdev: a }\n    virtualFunctions: 4\n    ranges: [{ virtualFunctions: 3-4 }]\n",
                "host.yaml:4:34: vf 4 does not exist: 4 are declared, from 0"
            ),
            (
                "physicalFunctions:\n  - match: { netdev: a }\n    virtualFunctions: 4\n    ranges: [{ virtualFunctions: 0-1, mac: 52:54:00:00:00:01 }]\n",
                "host.yaml:4:44: mac is one VF's, and this range has 2"
            ),
            (
                "physicalFunctions:\n  - match: { netdev: a }\n    virtualFunctions: 4\n    defaults: { mac: 52:54:00:00:00:01 }\n",
                "host.yaml:4:17: unknown key \"mac\""
            ),
            (
                "physicalFunctions:\n  - match: { netdev: a }\n    virtualFunctions: 4\n    defaults: { trust: maybe }\n",
                "host.yaml:4:24: trust is on or off, not \"maybe\""
            ),
            (
                "physicalFunctions:\n  - match: { netdev: a }\n    virtualFunctions: 4\n    defaults: { minTxRateMbps: 9, maxTxRateMbps: 5 }\n",
                "host.yaml:4:32: minTxRateMbps 9 is above maxTxRateMbps 5"
            ),
            (
                "physicalFunctions:\n  - virtualFunctions: 4\n",
                "host.yaml:2:5: physicalFunctions lacks match: Which port; everything that is given must agree"
            ),
            (
                "passthrough:\n  - match: { serial: X }\n",
                "host.yaml:2:5: passthrough lacks driver: vfio-pci to pass it through, kernel to give it back to the host"
            ),
            ("a: 1\na: 2\n", "host.yaml:1:1: the key \"a\" is given twice"),
            ("a: [1\n", "host.yaml:2:1: not YAML: did not find expected ',' or ']' (while parsing a flow sequence)"),
        ])
    func mistakes(text: String, message: String) { #expect(errors(text).first == message) }

    @Test("All mistakes are told at once, in the order of the text")
    func several() {
        let found = errors(port + "    mtu: 10\n    driverr: x\nextra: 1\n")
        #expect(found.map { $0.split(separator: ":")[1] } == ["4", "5", "6"])
    }

    @Test("A function is in one pool, and pools name declared ports")
    func pools() {
        let overlapping =
            port
            + "pools:\n  a: { functions: [{ physicalFunction: eno49, virtualFunctions: 0-3 }] }\n  b: { functions: [{ physicalFunction: eno49 }] }\n"
        #expect(
            errors(overlapping) == ["host.yaml:6:20: vf 0-3 of eno49 is in pool a already; a function is in one pool"])
        let unknown = port + "pools:\n  a: { functions: [{ physicalFunction: eno94 }] }\n"
        #expect(
            errors(unknown).first?.contains("eno94 is not the netdev of a port above — did you mean \"eno49\"?") == true
        )
    }

    @Test("Aliases that expand without end are an error, not a hang")
    func aliases() {
        var text = "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n"
        for level in 1...8 {
            text += "x\(level): &x\(level) [\(Array(repeating: "*x\(level - 1)", count: 10).joined(separator: ", "))]\n"
        }
        #expect(errors(text + "physicalFunctions: *x8\n").first?.contains("aliases") == true)
        // The parser compares the keys of a mapping, and would expand them.
        var keys = "x0: &x0 [a, a]\n"
        for level in 1...25 { keys += "x\(level): &x\(level) [*x\(level - 1), *x\(level - 1)]\n" }
        #expect(errors(keys + "? *x25\n: 1\n").first?.contains("aliases") == true)
        #expect(!errors(port.replacing("netdev: eno49", with: "netdev: &name eno49") + "extra: *name\n").isEmpty)
    }

    @Test("Empty, huge and binary files are answered")
    func extremes() throws {
        #expect(try HostFile.parse("", file: "f") == DeclaredHost())
        #expect(try HostFile.parse("# nothing\n", file: "f") == DeclaredHost())
        #expect(errors(String(repeating: "#", count: HostFile.maximumSize + 1)).count == 1)
        #expect(!errors("\u{0}\u{1}").isEmpty)
        #expect(!errors(String(repeating: "[", count: 10_000)).isEmpty)
    }

    @Test("The JSON Schema knows every key")
    func schema() {
        let text = JSONSchema.text()
        for key in [
            "physicalFunctions", "virtualFunctions", "permanentMAC", "maxTxRateMbps", "eswitchMode", "placement",
        ] {
            #expect(text.contains("\"\(key)\""))
        }
    }
}
