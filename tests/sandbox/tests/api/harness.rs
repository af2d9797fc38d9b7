//! A server and a client that speaks plain JSON to it.

use axum::http::Request;
use futures::{AsyncBufReadExt, StreamExt};
use kube::client::Body;
use kube::{Client, Config};
use obstack_sandbox::api::{ApiServer, Handle};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) struct Api {
    pub(crate) handle: Handle,
    pub(crate) client: Client,
}

/// An answer: code and body.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    pub(crate) fn ok(self) -> Value {
        assert!(self.code < 300, "{} {}", self.code, self.body);
        self.body
    }

    /// The message of an error with that code.
    pub(crate) fn error(self, code: u16) -> String {
        assert_eq!(self.code, code, "{}", self.body);
        assert_eq!(self.body["kind"], "Status");
        assert_eq!(self.body["status"], "Failure");
        self.body["message"].as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) async fn start() -> Api {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let handle = ApiServer::start(obstack_sandbox::api::Config::default()).await.unwrap();
    let client = client(&handle.admin_kubeconfig()).await;
    Api { handle, client }
}

pub(crate) async fn client(kubeconfig: &str) -> Client {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    // Each request is looked at as it is.
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

impl Api {
    pub(crate) async fn send(&self, method: &str, path: &str, kind: &str, body: Option<&Value>) -> Answer {
        let body = body.map(|b| serde_json::to_vec(b).unwrap()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .header("accept", "application/json")
            .header("user-agent", "tester/1")
            .body(Body::from(body))
            .unwrap();
        let response = self.client.send(request).await.unwrap();
        let code = response.status().as_u16();
        let warnings =
            response.headers().get_all("warning").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
        let bytes = response.into_body().collect_bytes().await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { code, body, warnings }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "application/json", None).await
    }

    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Value {
        let request =
            Request::builder().uri(path).header("accept", accept).body(Body::from(Vec::new())).unwrap();
        let response = self.client.send(request).await.unwrap();
        let bytes = response.into_body().collect_bytes().await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, "application/json", Some(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, "application/json", Some(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "application/json", None).await
    }

    pub(crate) async fn merge(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, "application/merge-patch+json", Some(&body)).await
    }

    pub(crate) async fn strategic(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, "application/strategic-merge-patch+json", Some(&body)).await
    }

    pub(crate) async fn json(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, "application/json-patch+json", Some(&body)).await
    }

    pub(crate) async fn apply(&self, path: &str, manager: &str, body: Value) -> Answer {
        let path = format!("{path}?fieldManager={manager}");
        self.send("PATCH", &path, "application/apply-patch+yaml", Some(&body)).await
    }

    pub(crate) async fn force(&self, path: &str, manager: &str, body: Value) -> Answer {
        let path = format!("{path}?fieldManager={manager}&force=true");
        self.send("PATCH", &path, "application/apply-patch+yaml", Some(&body)).await
    }

    /// Events of a watch, as type and object.
    pub(crate) async fn watch(&self, path: &str) -> Watch {
        let request = Request::builder().uri(path).body(Vec::new()).unwrap();
        let lines = self.client.request_stream(request).await.unwrap().lines();
        Watch(Box::pin(lines))
    }

    /// Waits until the path answers with 404.
    pub(crate) async fn gone(&self, path: &str) {
        within(async {
            while self.get(path).await.code != 404 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

/// Fails when something takes longer than ten seconds.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work).await.expect("took longer than ten seconds")
}

pub(crate) struct Watch(futures::stream::BoxStream<'static, std::io::Result<String>>);

impl Watch {
    /// The next event, within ten seconds; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        let line = within(self.0.next()).await?.unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        Some((event["type"].as_str().unwrap().to_owned(), event["object"].clone()))
    }

    /// The next event as `TYPE name`.
    pub(crate) async fn name(&mut self) -> String {
        let (kind, object) = self.next().await.unwrap();
        format!("{kind} {}", object["metadata"]["name"].as_str().unwrap_or_default())
    }
}

/// `resourceVersion` of an object or list.
pub(crate) fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// A pod with one container.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "registry/app:1"}]},
    })
}

/// A Deployment with one container.
pub(crate) fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "registry/app:1"}]},
            },
        },
    })
}
