//! Coming up: the address, the cluster, the API types; each failure with what to do about it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::http::Response;
use futures::future::BoxFuture;
use kube::api::{Api, ListParams};
use kube::client::{ClientBuilder, DynBody};
use kube::config::AuthInfo;
use kube::{Client, Config};
use obstack_crds::{Component, ObservabilityStack};
use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower::util::MapFutureLayer;

use crate::apply::writer::{READ_TIMEOUT, RequestError, within};
use crate::http::Health;
use crate::observe::stores::Scope;

/// Time between two looks for something that is missing.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a look that found nothing is told again.
const REPEAT: Duration = Duration::from_secs(60);

/// Why the operator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A tripwire that is to be divided is in no option of the catalog.
    #[error(
        "--tripwire-divisor: no option of {component} has a tripwire {tripwire}; write one of the catalog"
    )]
    NoTripwire {
        /// The component.
        component: Component,
        /// The tripwire.
        tripwire: String,
    },
    /// The address cannot be taken.
    #[error("cannot listen at {address}: {source}; end what listens there, or give another --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// There is nothing that says where the cluster is.
    #[error("no cluster is configured: {0}; set KUBECONFIG, or run in a pod with a service account")]
    NoCluster(#[source] Box<kube::config::InferConfigError>),
    /// What says where the cluster is cannot be used.
    #[error("the cluster's configuration cannot be used: {0}")]
    BadCluster(#[source] Box<kube::Error>),
    /// The API server does not answer.
    #[error("the API server {url} was not reached within {} s: {reason}", .waited.as_secs())]
    Unreachable {
        /// Its address.
        url: String,
        /// How long it was tried.
        waited: Duration,
        /// The last failure.
        reason: String,
    },
    /// No HTTP client for the engines can be made.
    #[error("no HTTP client can be made: {0}")]
    Http(#[from] reqwest::Error),
}

/// An answer on its way through the client.
type Answer = BoxFuture<'static, Result<Response<Box<DynBody>>, BoxError>>;

/// The clients of one cluster.
#[derive(Clone)]
pub struct Clients {
    /// With the operator's own credentials.
    pub own: Client,
    /// Without any: for questions that are asked with a viewer's token.
    pub anonymous: Client,
    /// Address of the API server.
    pub url: String,
}

/// Clients of the cluster that is configured.
///
/// # Errors
/// When none is configured, or it cannot be used.
pub async fn clients(limit: Duration) -> Result<Clients, StartError> {
    let config = Config::infer().await.map_err(|error| StartError::NoCluster(Box::new(error)))?;
    clients_of(config, limit)
}

/// Clients of a cluster. Every answer has to begin within `limit`: without a bound, a list or the start of a
/// watch that is never answered would be waited for forever, and that kind would not be seen again.
///
/// # Errors
/// When the configuration cannot be used.
pub fn clients_of(mut config: Config, limit: Duration) -> Result<Clients, StartError> {
    // A write that is sent again by the client would not ask the gate again.
    config.default_retry = false;
    let url = config.cluster_url.to_string();
    let mut stranger = config.clone();
    stranger.auth_info = AuthInfo::default();
    Ok(Clients { own: client(config, limit)?, anonymous: client(stranger, limit)?, url })
}

fn client(config: Config, limit: Duration) -> Result<Client, StartError> {
    let builder = ClientBuilder::try_from(config).map_err(|error| StartError::BadCluster(Box::new(error)))?;
    let bounded = MapFutureLayer::new(move |answer: Answer| async move {
        let late = |_| BoxError::from(format!("no answer within {} s", limit.as_secs()));
        tokio::time::timeout(limit, answer).await.map_err(late)?
    });
    Ok(builder.with_layer(&bounded).build())
}

/// Waits until the API server answers.
///
/// # Errors
/// When it has not within `limit`.
pub async fn wait_for_api(
    client: &Client,
    url: &str,
    limit: Duration,
    health: &Health,
) -> Result<(), StartError> {
    let begun = Instant::now();
    let mut wait = Duration::from_millis(250);
    loop {
        health.beat();
        let reason = match within(READ_TIMEOUT.min(limit), client.apiserver_version()).await {
            Ok(version) => {
                tracing::info!(url, version = version.git_version, "the API server answers");
                return Ok(());
            }
            Err(error) => error.to_string(),
        };
        if begun.elapsed() + wait > limit {
            return Err(StartError::Unreachable { url: url.to_owned(), waited: limit, reason });
        }
        tracing::warn!(url, reason, "the API server does not answer; it is tried again");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(5));
    }
}

/// Waits until the API types are installed and may be read. Until then the process is not ready. False where
/// `stop` came first.
pub async fn wait_for_types(
    client: &Client,
    scope: &Scope,
    health: &Health,
    stop: &CancellationToken,
) -> bool {
    let mut told: Option<(String, Instant)> = None;
    loop {
        health.beat();
        let Some(problem) = missing_types(client, scope).await else { return true };
        let is_news = told.as_ref().is_none_or(|(last, when)| *last != problem || when.elapsed() > REPEAT);
        if is_news {
            tracing::error!("{problem}");
            told = Some((problem.clone(), Instant::now()));
        }
        health.set_ready(Some(problem));
        tokio::select! {
            () = tokio::time::sleep(PATIENCE) => {}
            () = stop.cancelled() => return false,
        }
    }
}

async fn missing_types(client: &Client, scope: &Scope) -> Option<String> {
    let api: Api<ObservabilityStack> = match scope {
        Scope::Namespaces(names) if !names.is_empty() => Api::namespaced(client.clone(), &names[0]),
        _ => Api::all(client.clone()),
    };
    let params = ListParams::default().limit(1);
    match within(READ_TIMEOUT, api.list_metadata(&params)).await {
        Ok(_) => None,
        Err(error) => Some(explain(&error)),
    }
}

fn explain(error: &RequestError) -> String {
    match error.code() {
        Some(404) => "the API types are not installed; run `kubectl apply -f crds/`, or \
                      `obstack crds | kubectl apply -f -`. The operator waits for them"
            .to_owned(),
        Some(401 | 403) => {
            format!("{error}; apply the roles of deploy/install.yaml. The operator waits for them")
        }
        _ => format!("the API types cannot be read: {error}"),
    }
}
