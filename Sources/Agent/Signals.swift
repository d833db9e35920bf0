internal import Glibc
internal import SRIOV

/// The signals that the agent is told by.
public enum Signals {
    /// Keeps them from ending the process: they wait until somebody receives them. Called while there is one thread,
    /// because those that it starts take this over.
    public static func hold() {
        var signals = set
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// SIGTERM, SIGINT and SIGHUP as they come. Until the agent serves, nothing has been changed, and what it waits for may
    /// hang: the process ends at once then.
    static func received(while isServing: Flag) -> AsyncStream<Int32> {
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
        let hasStarted = startThread {
            var signals = set
            var signal: Int32 = 0
            while sigwait(&signals, &signal) == 0 {
                if signal != SIGHUP, !isServing.isSet { _exit(0) }
                continuation.yield(signal)
            }
        }
        if !hasStarted { continuation.finish() }
        return stream
    }

    private static var set: sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&signals, signal) }
        return signals
    }
}
