import Diagnosis
import Netlink
import PCI
import SRIOV
import SluiceTesting
import Testing

@Suite("Faults of a host")
struct DiagnosisTests {
    private func host(_ change: (inout Host) -> Void = { _ in }) throws -> Host {
        let kernel = FakeKernel.lab()
        let port = try #require(try HostReader(kernel: kernel).read().physicalFunctions.first)
        let writer = kernel.writer
        let folder = "/sys/bus/pci/devices/\(port.pci.address)"
        let errors = writer.write(
            [.init(path: "\(folder)/sriov_numvfs", value: "2", operation: "make VFs")], deadline: .seconds(1))
        #expect(errors == [nil])
        var host = try HostReader(kernel: kernel).read()
        change(&host)
        return host
    }

    @Test("A healthy host has none")
    func healthy() throws {
        let healthy = try host { host in
            for index in host.functions.indices { host.functions[index].link?.flags.insert(.up) }
        }
        #expect(Diagnosis.faults(of: healthy).isEmpty, "\(Diagnosis.faults(of: healthy))")
    }

    @Test("Each fault is found, the worst first, with its device, evidence and a remedy")
    func faults() throws {
        let sick = try host { host in
            host.hasIOMMU = false
            let vfs = host.functions.indices.filter { host.functions[$0].pci.physicalFunction != nil }
            host.functions[vfs[0]].holders = [
                Holder(.lease(id: "7Q4M2K", consumer: "person:a", state: "quarantined: no reset"), through: "vf")
            ]
            host.functions[vfs[1]].holders = [
                Holder(.lease(id: "8AAAAA", consumer: "person:b", state: "lost"), through: "vf"),
                Holder(.lease(id: "9AAAAA", consumer: "person:c", state: nil), through: "vf"),
            ]
        }
        let faults = Diagnosis.faults(of: sick)
        #expect(faults.map(\.id) == ["host.noIOMMU", "pf.down", "vf.quarantined", "lease.lost"])
        #expect(faults[2].evidence == ["lease 7Q4M2K of person:a is quarantined: no reset"])
        #expect(faults[2].remedies.contains { $0.contains("sluice lease repair 7Q4M2K") })
        #expect(faults.allSatisfy { !$0.remedies.isEmpty && !$0.evidence.isEmpty })
    }
}
