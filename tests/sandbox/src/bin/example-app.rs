//! A small application that exports metrics: something to observe in the demo and in tests.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use clap::Parser;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

/// An example application that exports metrics.
///
/// GET / counts a request, GET /metrics shows the metrics, GET /healthz answers while it runs, and
/// POST /set?value=95 sets the temperature.
#[derive(Debug, Parser)]
#[command(name = "example-app", version)]
struct Cli {
    /// Address to listen on; without a host, every address of the machine.
    #[arg(long, value_name = "ADDRESS", default_value = ":8080", value_parser = address)]
    listen: SocketAddr,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.parse().map_err(|_| format!("{text:?} is no address; write :8080 or 127.0.0.1:8080"))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    path: &'static str,
}

/// Bounds of the latency histogram in seconds.
const BOUNDS: [f64; 8] = [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0];

struct App {
    registry: Registry,
    requests: Family<Labels, Counter>,
    latency: Histogram,
    temperature: Gauge<f64, AtomicU64>,
}

impl App {
    fn new() -> Self {
        let mut registry = Registry::default();
        let requests = Family::default();
        registry.register("example_requests", "Requests answered", requests.clone());
        let latency = Histogram::new(BOUNDS);
        registry.register("example_request_duration_seconds", "Time to answer a request", latency.clone());
        let temperature = Gauge::<f64, AtomicU64>::default();
        temperature.set(20.0);
        registry.register(
            "example_temperature_celsius",
            "A value that can be set over HTTP",
            temperature.clone(),
        );
        Self { registry, requests, latency, temperature }
    }

    fn count(&self, path: &'static str, begun: Instant) {
        self.requests.get_or_create(&Labels { path }).inc();
        self.latency.observe(begun.elapsed().as_secs_f64());
    }
}

#[derive(Deserialize)]
struct Set {
    value: f64,
}

async fn index(State(app): State<Arc<App>>) -> &'static str {
    app.count("/", Instant::now());
    "example-app\n"
}

async fn set(State(app): State<Arc<App>>, Query(set): Query<Set>) -> impl IntoResponse {
    let begun = Instant::now();
    if !set.value.is_finite() {
        return (StatusCode::BAD_REQUEST, "value must be a number\n".to_owned());
    }
    app.temperature.set(set.value);
    app.count("/set", begun);
    (StatusCode::OK, format!("{}\n", set.value))
}

async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    let mut text = String::new();
    let status = match prometheus_client::encoding::text::encode(&mut text, &app.registry) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/set", post(set))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .with_state(app)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let listener = match tokio::net::TcpListener::bind(cli.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("error: cannot listen on {}: {error}", cli.listen);
            return ExitCode::from(3);
        }
    };
    println!("listening on {}", cli.listen);
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
        eprintln!("error: cannot wait for signals");
        return ExitCode::from(3);
    };
    let told = async move {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
    };
    match axum::serve(listener, router(Arc::new(App::new()))).with_graceful_shutdown(told).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(3)
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(app: &Arc<App>, method: &str, path: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let answer = router(app.clone()).oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn requests_are_counted_and_the_gauge_is_set() {
        let app = Arc::new(App::new());
        ask(&app, "GET", "/").await;
        assert_eq!(ask(&app, "POST", "/set?value=95.5").await.0, StatusCode::OK);
        assert_eq!(ask(&app, "POST", "/set?value=hot").await.0, StatusCode::BAD_REQUEST);
        assert_eq!(ask(&app, "POST", "/set?value=inf").await.0, StatusCode::BAD_REQUEST);
        let (_, text) = ask(&app, "GET", "/metrics").await;
        assert!(text.contains("example_requests_total{path=\"/\"} 1"), "{text}");
        assert!(text.contains("example_temperature_celsius 95.5"), "{text}");
        assert!(text.contains("example_request_duration_seconds_count 2"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
