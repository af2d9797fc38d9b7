//! A target whose series a test sets while it is scraped, and that a stack's Prometheus finds like any other.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::world::{NAMESPACE, World};

/// Name of the target's Service, which is its job.
pub const JOB: &str = "load";

/// What the target has.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// As many series, the same ones.
    Still(u64),
    /// As many series, none of which is one of [`Shape::Still`]: what a rollout of all pods leaves.
    Replaced(u64),
    /// As many series at first, and this many more each second.
    Growing(u64, f64),
    /// As many series at any time, each replaced by a new one after so many seconds, one after the other.
    Churning(u64, f64),
}

/// A running target; it ends when it is dropped.
pub struct Load {
    address: SocketAddr,
    shape: Arc<Mutex<(Shape, Instant)>>,
    server: JoinHandle<()>,
}

impl Load {
    /// Starts one.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(shape: Shape) -> Self {
        let shape = Arc::new(Mutex::new((shape, Instant::now())));
        let app = Router::new().route("/metrics", get(metrics)).with_state(shape.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Self { address, shape, server }
    }

    /// What it has from now on.
    pub fn set(&self, shape: Shape) {
        *self.shape.lock().unwrap_or_else(PoisonError::into_inner) = (shape, Instant::now());
    }

    /// How many series it has now.
    pub fn series(&self) -> u64 {
        let (shape, since) = *self.shape.lock().unwrap_or_else(PoisonError::into_inner);
        shape.at(since.elapsed().as_secs_f64()).0
    }

    /// Makes it a target: a Service without a selector, whose one endpoint is this program.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn expose(&self, world: &World) {
        let port = json!({ "name": "http", "port": self.address.port(), "protocol": "TCP" });
        world
            .apply(&json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": { "name": JOB, "namespace": NAMESPACE,
                              "annotations": { "prometheus.io/scrape": "true" } },
                "spec": { "ports": [port] },
            }))
            .await;
        world
            .apply(&json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": { "name": format!("{JOB}-outside"), "namespace": NAMESPACE,
                              "labels": { "kubernetes.io/service-name": JOB } },
                "endpoints": [{ "addresses": [self.address.ip().to_string()],
                                "conditions": { "ready": true } }],
                "ports": [port],
            }))
            .await;
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shape {
    /// How many series there are after so many seconds, and the number of the first one.
    fn at(self, seconds: f64) -> (u64, u64) {
        match self {
            Self::Still(series) => (series, 0),
            Self::Replaced(series) => (series, 10_000_000),
            Self::Growing(series, rate) => (series + (seconds * rate) as u64, 0),
            Self::Churning(series, life) => (series, (seconds / life * series as f64) as u64),
        }
    }
}

async fn metrics(State(shape): State<Arc<Mutex<(Shape, Instant)>>>) -> impl IntoResponse {
    let (shape, since) = *shape.lock().unwrap_or_else(PoisonError::into_inner);
    let (series, first) = shape.at(since.elapsed().as_secs_f64());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], page(series, first))
}

fn page(series: u64, first: u64) -> String {
    let mut text = String::with_capacity(usize::try_from(series).unwrap_or_default().saturating_mul(40));
    for number in first..first + series {
        let _ = writeln!(text, "load_value{{series=\"{number:08}\"}} 1");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_as_many_as_they_shall_be() {
        assert_eq!(Shape::Still(5).at(9.0), (5, 0));
        assert_eq!(Shape::Growing(5, 2.0).at(9.0), (23, 0));
        assert_eq!(Shape::Churning(10, 5.0).at(9.0), (10, 18));
        assert_eq!(page(2, 3), "load_value{series=\"00000003\"} 1\nload_value{series=\"00000004\"} 1\n");
    }
}
