//! `/healthz`, `/readyz`, `/status` and `/metrics` of a reloader.

use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::State;
use super::metrics::Metrics;

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, metrics: Metrics, state: watch::Receiver<State>) {
    let for_status = state.clone();
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || ready(state.borrow().clone())))
        .route("/status", get(move || async move { Json(for_status.borrow().clone()) }))
        .route("/metrics", get(move || async move { encoded(&metrics) }));
    if let Err(error) = axum::serve(listener, routes).await {
        tracing::error!(%error, "the HTTP server ended");
    }
}

async fn ready(state: State) -> impl IntoResponse {
    let code = if state.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, state.line() + "\n")
}

fn encoded(metrics: &Metrics) -> impl IntoResponse + use<> {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.encode())
}
