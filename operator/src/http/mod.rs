//! What the operator serves: `/metrics`, `/healthz`, `/readyz`, `/rejected.json` and `/decisions`, by leaders and followers.

pub mod decisions;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::{CONTENT_TYPE, Metrics};

/// How long the event loop may be silent before it counts as hung. It beats every second.
const HUNG: Duration = Duration::from_secs(30);
/// How long what is in flight may take when the server stops.
const DRAIN: Duration = Duration::from_secs(2);

/// How the process stands.
#[derive(Debug)]
pub struct Health {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    beat: Instant,
    /// When the API server has answered something last.
    answered: Option<Instant>,
    not_ready: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        let not_ready = Some("starting".to_owned());
        Self { inner: Mutex::new(Inner { beat: Instant::now(), answered: None, not_ready }) }
    }
}

impl Health {
    /// The event loop went round.
    pub fn beat(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).beat = Instant::now();
    }

    /// The API server answered a question.
    pub fn answered(&self) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).answered = Some(Instant::now());
    }

    /// Whether the API server has answered something within this time.
    pub fn has_answered_within(&self, time: Duration) -> bool {
        let answered = self.inner.lock().unwrap_or_else(PoisonError::into_inner).answered;
        answered.is_some_and(|at| at.elapsed() < time)
    }

    /// Sets why the process is not ready; none where it is.
    pub fn set_ready(&self, not_ready: Option<String>) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).not_ready = not_ready;
    }

    /// Why the process is not live; none where it is. A restart would help.
    fn hung(&self) -> Option<String> {
        let silent = self.inner.lock().unwrap_or_else(PoisonError::into_inner).beat.elapsed();
        (silent > HUNG).then(|| format!("the event loop has been silent for {} s", silent.as_secs()))
    }

    /// Why the process is not ready; none where it is. A restart would not help.
    pub fn not_ready(&self) -> Option<String> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).not_ready.clone()
    }
}

#[derive(Clone)]
struct Served {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

/// Everything that is served; `more` is the decisions page.
pub fn router(metrics: Arc<Metrics>, health: Arc<Health>, more: Router) -> Router {
    Router::new()
        .route("/metrics", get(serve_metrics))
        .route("/healthz", get(serve_healthz))
        .route("/readyz", get(serve_readyz))
        .with_state(Served { metrics, health })
        .merge(more)
}

async fn serve_metrics(State(served): State<Served>) -> Response {
    match served.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn serve_healthz(State(served): State<Served>) -> Response {
    answer(served.health.hung())
}

async fn serve_readyz(State(served): State<Served>) -> Response {
    answer(served.health.not_ready())
}

fn answer(problem: Option<String>) -> Response {
    match problem {
        None => "ok\n".into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")).into_response(),
    }
}

/// Takes the address to listen at.
///
/// # Errors
/// When it cannot be taken, such as when another process has it.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let stopped = stop.clone();
    let served = axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned());
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = served => {
            if let Err(error) = ended {
                tracing::error!(%error, "the HTTP server ended");
            }
        }
        () = drained => {}
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(router: Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn alive_and_ready_are_two_questions() {
        let health = Arc::new(Health::default());
        let router = router(Arc::default(), health.clone(), Router::new());
        assert_eq!(ask(router.clone(), "/healthz").await.0, StatusCode::OK);
        let starting = (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned());
        assert_eq!(ask(router.clone(), "/readyz").await, starting);
        health.set_ready(None);
        assert_eq!(ask(router.clone(), "/readyz").await.0, StatusCode::OK);
        health.inner.lock().unwrap().beat = Instant::now().checked_sub(HUNG * 2).unwrap();
        assert_eq!(ask(router.clone(), "/healthz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ask(router, "/readyz").await.0, StatusCode::OK);
    }

    #[test]
    fn an_answer_counts_for_a_while() {
        let health = Health::default();
        assert!(!health.has_answered_within(HUNG), "nobody has asked yet");
        health.answered();
        assert!(health.has_answered_within(HUNG) && !health.has_answered_within(Duration::ZERO));
    }

    #[tokio::test]
    async fn metrics_are_openmetrics() {
        let (status, text) = ask(router(Arc::default(), Arc::default(), Router::new()), "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("obstack_reconciles_total{result=\"ok\"} 0"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
