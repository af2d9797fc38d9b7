//! A client that speaks plain JSON to an API server and shows each answer as it is: code, body, warnings. For
//! tests, which want to see what a typed client would hide.

use axum::http::{Request, header};
use futures::stream::BoxStream;
use futures::{AsyncBufReadExt, StreamExt};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use std::time::Duration;

/// Content type of plain JSON.
pub const JSON: &str = "application/json";
/// Content type of a merge patch (RFC 7386).
pub const MERGE: &str = "application/merge-patch+json";
/// Content type of a strategic merge patch.
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// Content type of a JSON patch (RFC 6902).
pub const JSON_PATCH: &str = "application/json-patch+json";
/// Content type of a server-side apply.
pub const APPLY: &str = "application/apply-patch+yaml";
/// What `kubectl get` accepts.
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// The user agent of these requests, without a version: the manager of fields that they write.
pub const AGENT: &str = "tester";

/// Longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time until the next event of a watch.
const NEXT: Duration = Duration::from_secs(15);

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Method and path of the request.
    pub request: String,
    /// HTTP status code.
    pub code: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// The body as JSON; null where it is none.
    pub body: Value,
    /// The body as it came.
    pub text: String,
    /// `Warning` headers.
    pub warnings: Vec<String>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Further headers, beside the user agent. `Content-Type` and `Accept` are JSON where they are not here,
    /// and left out where they are empty.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body; empty for none.
    pub body: Vec<u8>,
}

/// The client.
#[derive(Clone)]
pub struct Raw {
    client: Client,
}

impl Raw {
    /// A client for the current context of a kubeconfig. It tries nothing twice.
    ///
    /// # Errors
    /// What is wrong with the kubeconfig.
    pub async fn new(kubeconfig: &str) -> Result<Self, String> {
        Self::from_kubeconfig(Kubeconfig::from_yaml(kubeconfig).map_err(|e| e.to_string())?).await
    }

    /// As [`Raw::new`], for a kubeconfig that was read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn from_kubeconfig(kubeconfig: Kubeconfig) -> Result<Self, String> {
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let mut config = config.map_err(|e| e.to_string())?;
        config.default_retry = false;
        Ok(Self { client: Client::try_from(config).map_err(|e| e.to_string())? })
    }

    /// The client below, for typed requests.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    fn request(ask: &Ask<'_>) -> Result<Request<Vec<u8>>, String> {
        let mut request = Request::builder().method(ask.method).uri(ask.path);
        request = request.header(header::USER_AGENT, format!("{AGENT}/1"));
        for name in [header::CONTENT_TYPE, header::ACCEPT] {
            let given = ask.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name.as_str()));
            let bodiless = name == header::CONTENT_TYPE && ask.body.is_empty();
            if !given && !bodiless {
                request = request.header(name, JSON);
            }
        }
        for (name, value) in ask.headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        request.body(ask.body.clone()).map_err(|e| e.to_string())
    }

    /// Sends a request, whatever the answer is.
    ///
    /// # Errors
    /// There is no answer; the text says to what request.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<Answer, String> {
        let line = format!("{} {}", ask.method, ask.path);
        let work = async {
            let (parts, body) = Self::request(&ask)?.into_parts();
            let request = Request::from_parts(parts, Body::from(body));
            let response = self.client.send(request).await.map_err(|e| e.to_string())?;
            let text =
                |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let headers = response.headers();
            let warnings = headers.get_all(header::WARNING).iter().map(text).collect();
            let content_type = headers.get(header::CONTENT_TYPE).map(text).unwrap_or_default();
            let code = response.status().as_u16();
            let bytes = response.into_body().collect_bytes().await.map_err(|e| e.to_string())?;
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Ok(Answer { request: line.clone(), code, content_type, body, text, warnings })
        };
        let answer = tokio::time::timeout(TIMEOUT, work).await;
        answer.unwrap_or_else(|_| Err("no answer in time".to_owned())).map_err(|why| format!("{line}: {why}"))
    }

    /// Sends a JSON document with the content type `kind`, or no body.
    ///
    /// # Errors
    /// As [`Raw::ask`].
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let headers = [("content-type", kind)];
        let headers = if body.is_some() { &headers[..] } else { &[] };
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        self.ask(Ask { method, path, headers, body }).await
    }

    /// The events of a watch, within the query of `path`.
    ///
    /// # Errors
    /// The server refuses it; the text is its message.
    pub async fn watch(&self, path: &str, accept: &str) -> Result<Watch, String> {
        // A real server compresses each event by itself where it may, which not every decoder reads.
        let headers = [("accept", accept), ("accept-encoding", "identity")];
        let ask = Ask { method: "GET", path, headers: &headers, body: Vec::new() };
        let stream = tokio::time::timeout(TIMEOUT, self.client.request_stream(Self::request(&ask)?)).await;
        let stream = stream.map_err(|_| format!("GET {path}: no answer in time"))?;
        let stream = stream.map_err(|e| format!("GET {path}: {e}"))?;
        Ok(Watch { path: path.to_owned(), lines: Box::pin(stream.lines()) })
    }
}

/// A running watch; it ends when it is dropped.
pub struct Watch {
    path: String,
    lines: BoxStream<'static, std::io::Result<String>>,
}

impl Watch {
    /// Type and object of the next event; `None` when the server has ended the watch.
    ///
    /// # Errors
    /// Nothing came within 15 s, or something that is no event.
    pub async fn next(&mut self) -> Result<Option<(String, Value)>, String> {
        let path = &self.path;
        let line = tokio::time::timeout(NEXT, self.lines.next()).await;
        let line = line.map_err(|_| format!("GET {path}: no event within {} s", NEXT.as_secs()))?;
        let Some(line) = line else { return Ok(None) };
        let line = line.map_err(|e| format!("GET {path}: {e}"))?;
        let event: Value = serde_json::from_str(&line).map_err(|e| format!("GET {path}: {e}: {line}"))?;
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        Ok(Some((kind, event["object"].clone())))
    }
}
