//! Where `kubectl logs` gets its bytes from.

use futures::stream::BoxStream;

/// What a client asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Container; empty for the only one.
    pub container: String,
    /// Go on with new lines.
    pub follow: bool,
    /// The run before the last restart.
    pub previous: bool,
    /// Start each line with its time.
    pub timestamps: bool,
    /// Only the last lines.
    pub tail_lines: Option<u64>,
    /// Only lines of the last seconds.
    pub since_seconds: Option<u64>,
    /// Only lines since this time (RFC 3339).
    pub since_time: Option<String>,
    /// At most this many bytes.
    pub limit_bytes: Option<u64>,
}

/// A stream of a container's output.
pub type LogStream = BoxStream<'static, std::io::Result<Vec<u8>>>;

/// Gives the output of containers; the kubelet implements it.
pub trait LogSource: Send + Sync {
    /// The output of a container of a pod.
    ///
    /// # Errors
    /// A text for the client when there is no such output (yet): answered as 400.
    fn logs(&self, namespace: &str, pod: &str, options: &LogOptions) -> Result<LogStream, String>;
}
