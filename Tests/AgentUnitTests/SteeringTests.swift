import PCI
import Testing

@testable import Agent

@Suite struct SteeringTests {
    /// Functions of three ports: the bus is the port, the device the VF.
    private func vf(_ port: UInt8, _ index: UInt8) throws -> PCIAddress {
        try #require(PCIAddress("0000:0\(port):0\(index).0"))
    }

    private func sequence(_ list: [(UInt8, UInt8)], _ interfaces: [Int], _ ports: [[UInt8]]) throws -> [PCIAddress]? {
        let addresses = try list.map { try vf($0.0, $0.1) }
        return Steering.sequence(
            of: addresses, interfaces: interfaces, ports: try ports.map { try $0.map { try vf($0, 0) } },
            port: { address in try? vf(address.bus, 0) })
    }

    @Test("Two bonds of one machine get one VF of each port each, though the list begins with two of one port")
    func bonds() throws {
        // Of port 2 the first VF is taken.
        let list: [(UInt8, UInt8)] = [(1, 0), (1, 1), (2, 1), (1, 2), (2, 2)]
        let found = try sequence(list, [0, 0, 1, 1], [[1, 2], [2, 1]])
        #expect(try found == [vf(1, 0), vf(2, 1), vf(1, 2), vf(2, 2)])
    }

    @Test("An order that gives not each what it is to have is none")
    func impossible() throws {
        #expect(try sequence([(2, 0), (1, 0)], [0, 1], [[1], [2]]) == nil)
        #expect(try sequence([(1, 0)], [0, 0], [[1, 1]]) == nil)
        #expect(try sequence([], [], []) == [])
    }
}
