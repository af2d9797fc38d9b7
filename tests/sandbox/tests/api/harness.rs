//! A server and a client that speaks plain JSON to it.

use obstack_sandbox::api::{ApiServer, Config, Handle};
use obstack_sandbox::raw::{Answer, JSON, MERGE, Raw, Watch};
use serde_json::{Value, json};

pub(crate) struct Api {
    pub(crate) handle: Handle,
    pub(crate) raw: Raw,
}

pub(crate) async fn start() -> Api {
    start_with(Config::default()).await
}

pub(crate) async fn start_with(config: Config) -> Api {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let handle = ApiServer::start(config).await.unwrap();
    let raw = Raw::new(&handle.admin_kubeconfig()).await.unwrap();
    Api { handle, raw }
}

impl Api {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.raw.send("GET", path, JSON, None).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.raw.send("POST", path, JSON, Some(&body)).await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.raw.send("PUT", path, JSON, Some(&body)).await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.raw.send("DELETE", path, JSON, None).await.unwrap()
    }

    pub(crate) async fn merge(&self, path: &str, body: Value) -> Answer {
        self.raw.send("PATCH", path, MERGE, Some(&body)).await.unwrap()
    }

    pub(crate) async fn watch(&self, path: &str) -> Watch {
        self.raw.watch(path, JSON).await.unwrap()
    }
}

/// The body of an answer that is no error.
pub(crate) fn ok(answer: Answer) -> Value {
    assert!(answer.code < 300, "{} {}", answer.code, answer.text);
    answer.body
}

/// The message of an error with that code.
pub(crate) fn error(answer: Answer, code: u16) -> String {
    assert_eq!(answer.code, code, "{}", answer.text);
    answer.body["message"].as_str().unwrap_or_default().to_owned()
}

/// `resourceVersion` of an object or list.
pub(crate) fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}
