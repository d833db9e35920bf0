internal import GRPCCore
internal import KubeletAPI
internal import SwiftProtobuf

/// What the kubelet asks of a resource: what it has, and to be given some of it.
struct DevicePluginService: V1beta1_DevicePlugin.SimpleServiceProtocol {
    let server: ResourceServer
    let allocator: Allocator

    func getDevicePluginOptions(
        request: V1beta1_Empty, context: ServerContext
    ) async throws -> V1beta1_DevicePluginOptions {
        .with { $0.getPreferredAllocationAvailable = true }
    }

    func listAndWatch(
        request: V1beta1_Empty, response: RPCWriter<V1beta1_ListAndWatchResponse>, context: ServerContext
    ) async throws {
        let (lists, end) = server.watch()
        // A kubelet that goes away cancels nothing by itself.
        try await withRPCCancellationHandler {
            for await devices in lists {
                try await response.write(.with { $0.devices = devices.map(V1beta1_Device.init) })
            }
        } onCancelRPC: {
            end()
        }
    }

    func getPreferredAllocation(
        request: V1beta1_PreferredAllocationRequest, context: ServerContext
    ) async throws -> V1beta1_PreferredAllocationResponse {
        try .with { response in
            response.containerResponses = try request.containerRequests.map { container in
                let chosen = try allocator.preferred(
                    Int(container.allocationSize), of: container.availableDeviceIds,
                    with: container.mustIncludeDeviceIds, server.resource)
                return .with { $0.deviceIds = chosen }
            }
        }
    }

    func allocate(
        request: V1beta1_AllocateRequest, context: ServerContext
    ) async throws -> V1beta1_AllocateResponse {
        let containers = try await allocator.allocate(request.containerRequests.map(\.devicesIds), of: server)
        return .with { $0.containerResponses = containers.map(\.response) }
    }

    func preStartContainer(
        request: V1beta1_PreStartContainerRequest, context: ServerContext
    ) async throws -> V1beta1_PreStartContainerResponse { .init() }
}
