import HostFile
import PCI
import SRIOV
import SluiceTesting

@testable import Leasing

extension PoolSet {
    /// What a host file makes of the lab, whose first ports have some VFs each.
    static func lab(_ hostFile: String, virtualFunctions count: Int, ports: Int = 1) throws -> PoolSet {
        let kernel = FakeKernel.lab()
        for port in try HostReader(kernel: kernel).read().physicalFunctions.prefix(ports) {
            try kernel.writer.write(
                WriteRequest(
                    path: "\(PCIReader.path(port.pci.address))/sriov_numvfs", value: "\(count)", operation: "test"),
                deadline: .seconds(1))
        }
        return PoolSet(
            try HostFile.parse(hostFile, file: "host.yaml"), host: try HostReader(kernel: kernel).read(),
            files: kernel.files, knownSerials: [:])
    }
}
