internal import GRPCCore
internal import GRPCNIOTransportHTTP2Posix
internal import NIOPosix

/// Calls to a kubelet, by its socket: one connection a call, since there are few.
struct KubeletConnection: Sendable {
    let socket: String
    let group: MultiThreadedEventLoopGroup
    /// A kubelet that does not answer in this time is busy, or none.
    var patience = Duration.seconds(10)

    /// Makes a call.
    ///
    /// Throws `RPCError` as the kubelet has it, or when it does not answer.
    func call<Value: Sendable>(
        _ body: @Sendable (GRPCClient<HTTP2ClientTransport.Posix>, CallOptions) async throws -> Value
    ) async throws -> Value {
        var options = CallOptions.defaults
        options.timeout = patience
        options.waitForReady = false
        // A node with many pods has much to say.
        options.maxResponseMessageBytes = 16 << 20
        let transport = try HTTP2ClientTransport.Posix(
            // Strict peers refuse the usual authority, which is the socket's path.
            target: .unixDomainSocket(path: socket, authority: "localhost"), transportSecurity: .plaintext,
            eventLoopGroup: group)
        return try await withGRPCClient(transport: transport) { client in try await body(client, options) }
    }
}
