//! A receiver in Slack's shape: keeps every JSON body that is posted to it and answers `ok`, as Slack's
//! incoming webhooks do.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, routing::post};
use serde_json::Value;

/// A running receiver; it stops when it is dropped.
pub struct Receiver {
    /// What Alertmanager posts to.
    pub url: String,
    bodies: Arc<Mutex<Vec<Value>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Starts a receiver on a free port of loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> std::io::Result<Self> {
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new().route("/{*path}", post(keep)).with_state(bodies.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/services/T000/B000/not-a-real-token", listener.local_addr()?);
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { url, bodies, server })
    }

    /// Everything that was posted so far.
    pub fn bodies(&self) -> Vec<Value> {
        self.bodies.lock().map(|bodies| bodies.clone()).unwrap_or_default()
    }

    /// Everything that was posted so far and mentions `text`.
    pub fn mentioning(&self, text: &str) -> Vec<Value> {
        self.bodies().into_iter().filter(|body| body.to_string().contains(text)).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn keep(State(bodies): State<Arc<Mutex<Vec<Value>>>>, Json(body): Json<Value>) -> &'static str {
    if let Ok(mut bodies) = bodies.lock() {
        bodies.push(body);
    }
    "ok"
}
