//! Sending alerts to Alertmanager: those of what the operator judges by itself.

use serde_json::Value;

use crate::observe::engines::client;

/// Sends alerts.
#[derive(Clone)]
pub struct Teller {
    http: reqwest::Client,
}

impl Teller {
    /// Tells with a [`client`] of its own.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn new() -> Result<Self, reqwest::Error> {
        Ok(Self { http: client()? })
    }

    /// Tells every replica of Alertmanager, at its URL with its prefix, as Prometheus does: they agree among
    /// themselves on who notifies. Gives what went wrong, one line for each replica that was not told.
    pub async fn tell(&self, replicas: &[String], alerts: &[Value]) -> Vec<String> {
        if alerts.is_empty() {
            return Vec::new();
        }
        let told = replicas.iter().map(|url| async move {
            let request = self.http.post(format!("{url}/api/v2/alerts")).json(alerts).send();
            match request.await.map_err(reqwest::Error::without_url) {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(format!("{url}: answered {}", answer.status().as_u16())),
                Err(error) => Some(format!("{url}: {error}")),
            }
        });
        futures::future::join_all(told).await.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Json;
    use axum::extract::State;
    use axum::http::StatusCode;
    use axum::routing::post;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn every_replica_is_told_and_one_that_fails_stops_no_other() {
        type Told = Arc<Mutex<Vec<Value>>>;
        let told = Told::default();
        let take = |State(told): State<Told>, Json(alerts): Json<Value>| async move {
            told.lock().unwrap().push(alerts);
        };
        let app = axum::Router::new()
            .route("/a/api/v2/alerts", post(|| async { StatusCode::BAD_REQUEST }))
            .route("/b/api/v2/alerts", post(take))
            .with_state(told.clone());
        crate::tls::install_provider();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let teller = Teller::new().unwrap();
        let replicas = ["http://127.0.0.1:9".to_owned(), format!("{url}/a"), format!("{url}/b")];
        let alerts = [json!({ "labels": { "alertname": "TradeoffTripped" } })];
        let failed = teller.tell(&replicas, &alerts).await;
        assert_eq!(failed.len(), 2, "{failed:?}");
        assert_eq!(failed[1], format!("{url}/a: answered 400"));
        assert_eq!(*told.lock().unwrap(), [json!(alerts)]);

        assert_eq!(teller.tell(&replicas, &[]).await, Vec::<String>::new());
        assert_eq!(told.lock().unwrap().len(), 1, "nothing is sent where there is nothing to tell");
    }
}
