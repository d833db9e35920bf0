internal import GRPCCore
internal import KubeletAPI
internal import SRIOV
internal import SwiftProtobuf

/// Tells a kubelet that has found the socket whose it is.
struct PluginRegistrationService: Pluginregistration_Registration.SimpleServiceProtocol {
    let resource: ResourceName
    /// Takes what the kubelet says of the registration; nil for success.
    let onRegistration: @Sendable (ResourceName, String?) -> Void

    func getInfo(
        request: Pluginregistration_InfoRequest, context: ServerContext
    ) async throws -> Pluginregistration_PluginInfo {
        .with {
            ($0.type, $0.name) = ("DevicePlugin", "\(resource)")
            // The first is no version of the API; old kubelets look for it all the same.
            $0.supportedVersions = ["v1alpha1", "v1beta1"]
        }
    }

    func notifyRegistrationStatus(
        request: Pluginregistration_RegistrationStatus, context: ServerContext
    ) async throws -> Pluginregistration_RegistrationStatusResponse {
        onRegistration(resource, request.pluginRegistered ? nil : request.error)
        return .init()
    }
}
