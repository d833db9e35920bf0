import Testing

@testable import Kubernetes

@Suite("The kubelet's record of allocations")
struct KubeletCheckpointTests {
    @Test("Devices are read by resource, in lists by NUMA node and in plain ones")
    func devices() {
        let text = #"""
            {"Data":{"PodDeviceEntries":[
              {"PodUID":"u","ContainerName":"c","ResourceName":"a/b","DeviceIDs":{"0":["x"],"1":["y","z"]},"AllocResp":"q"},
              {"PodUID":"v","ContainerName":"c","ResourceName":"a/b","DeviceIDs":["w"]},
              {"PodUID":"v","ContainerName":"c","ResourceName":"a/c","DeviceIDs":null}, 7],
             "RegisteredDevices":{"a/b":["x","y","z","w"]}},"Checksum":12}
            """#
        #expect(KubeletCheckpoint.devices(text) == ["a/b": ["x", "y", "z", "w"], "a/c": []])
        #expect(KubeletCheckpoint.devices(#"{"Data":{"PodDeviceEntries":null},"Checksum":1}"#) == [:])
    }

    @Test("What is no record is not taken for an empty one", arguments: ["", "{", "[]", "{}", #"{"Data":1}"#])
    func others(_ text: String) { #expect(KubeletCheckpoint.devices(text) == nil) }

    @Test("A record that is not there has nothing")
    func absent() { #expect(KubeletCheckpoint(path: "/nonexistent/checkpoint").devices() == [:]) }
}
