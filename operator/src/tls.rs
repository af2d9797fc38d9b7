//! The one cryptography provider of every TLS connection.

/// Makes ring the provider of the process, where none is set yet. Whoever makes an HTTP client or a
/// Kubernetes client calls it first; calling it again changes nothing.
pub fn install_provider() {
    // It fails only where a provider is set already, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
