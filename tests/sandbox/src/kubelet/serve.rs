//! The kubelet's HTTPS port: where a real API server asks for the logs of pods.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::api::{LogOptions, LogSource};

/// How long a client may take for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where the kubelet serves, and whom.
#[derive(Clone, Debug)]
pub struct Https {
    /// Socket that it listens on; its address is that of the node.
    pub listener: Arc<TcpListener>,
    /// Certificates of the authority that clients must have theirs from, PEM. Everybody who has one may read.
    pub authority: Vec<u8>,
    /// The kubelet's own certificate, good for its address, and the private key, both PEM.
    pub certificate: (String, String),
}

impl Https {
    /// Port that the node's status names.
    pub(super) fn port(&self) -> Option<u16> {
        self.listener.local_addr().ok().map(|address| address.port())
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Serves until the token is cancelled. Returns at once.
///
/// # Errors
/// The authority is no certificate, or the socket cannot be used.
pub(super) fn start(
    https: &Https,
    logs: Arc<dyn LogSource>,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let tls = TlsAcceptor::from(Arc::new(build_tls(https)?));
    let socket = https.listener.try_clone()?;
    socket.set_nonblocking(true)?;
    let socket = tokio::net::TcpListener::from_std(socket)?;
    let app =
        Router::new().route("/containerLogs/{namespace}/{pod}/{container}", get(answer)).with_state(logs);
    let stop = stop.clone();
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = socket.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Out of file descriptors: others may be freed soon.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (tls, app, stop) = (tls.clone(), app.clone(), stop.clone());
            tokio::spawn(async move {
                tokio::select! { () = stop.cancelled() => (), () = connection(stream, tls, app) => () }
            });
        }
    });
    Ok(())
}

fn build_tls(https: &Https) -> Result<ServerConfig, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&https.authority) {
        roots.add(certificate?)?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let (certificate, key) = &https.certificate;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain?, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?)
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, app: Router) {
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await else { return };
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    // The client may leave at any time: that is the end of the connection, not an error.
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).await;
}

async fn answer(
    State(logs): State<Arc<dyn LogSource>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    match logs.logs(&namespace, &pod, &build_options(container, &query)) {
        Ok(stream) => Body::from_stream(stream).into_response(),
        Err(message) => (StatusCode::BAD_REQUEST, message).into_response(),
    }
}

fn build_options(container: String, query: &HashMap<String, String>) -> LogOptions {
    let flag = |name: &str| query.get(name).is_some_and(|value| value == "true");
    let number = |name: &str| query.get(name).and_then(|value| value.parse().ok());
    LogOptions {
        container,
        follow: flag("follow"),
        previous: flag("previous"),
        timestamps: flag("timestamps"),
        tail_lines: number("tailLines"),
        since_seconds: number("sinceSeconds"),
        since_time: query.get("sinceTime").cloned().filter(|time| !time.is_empty()),
        limit_bytes: number("limitBytes"),
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use rcgen::{CertificateParams, Issuer, KeyPair};

    use super::*;

    struct Echo;

    impl LogSource for Echo {
        fn logs(
            &self,
            namespace: &str,
            pod: &str,
            options: &LogOptions,
        ) -> Result<crate::api::LogStream, String> {
            if pod == "none" {
                return Err("pod \"none\" is not on a node yet".to_owned());
            }
            let text = format!("{namespace}/{pod}/{} {:?}\n", options.container, options.tail_lines);
            Ok(futures::stream::iter([Ok(text.into_bytes())]).boxed())
        }
    }

    /// PEM of an authority of this name, and of a certificate and its key that it signed.
    fn signed(name: &str) -> (String, String, String) {
        let authority = KeyPair::generate().unwrap();
        let params = |name: &str| {
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params
        };
        let root = params(name).self_signed(&authority).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let own = own.signed_by(&key, &Issuer::new(params(name), authority)).unwrap();
        (root.pem(), own.pem(), key.serialize_pem())
    }

    #[tokio::test]
    async fn only_clients_of_the_clusters_authority_read_logs() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (authority, certificate, key) = signed("ours");
        let ours = format!("{certificate}{key}");
        let (_, foreign, foreign_key) = signed("theirs");
        let theirs = format!("{foreign}{foreign_key}");
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let https = Https { listener, authority: authority.into_bytes(), certificate: (certificate, key) };
        let stop = CancellationToken::new();
        start(&https, Arc::new(Echo), &stop).unwrap();
        let get = async |identity: Option<&str>, path: &str| {
            let mut client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy();
            if let Some(identity) = identity {
                client = client.identity(reqwest::Identity::from_pem(identity.as_bytes()).unwrap());
            }
            let url = format!("https://127.0.0.1:{}/containerLogs/ns/{path}", https.port().unwrap());
            let answer =
                client.build().unwrap().get(url).timeout(Duration::from_secs(10)).send().await.ok()?;
            Some((answer.status().as_u16(), answer.text().await.unwrap()))
        };
        let good = get(Some(&ours), "pod/c?tailLines=2").await;
        assert_eq!(good, Some((200, "ns/pod/c Some(2)\n".to_owned())));
        let missing = get(Some(&ours), "none/c").await;
        assert_eq!(missing, Some((400, "pod \"none\" is not on a node yet".to_owned())));
        assert_eq!(get(Some(&theirs), "pod/c").await, None);
        assert_eq!(get(None, "pod/c").await, None);
        stop.cancel();
    }
}
