//! Short ways to ask Prometheus and Alertmanager what they see.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

/// For one answer.
const BOUND: Duration = Duration::from_secs(5);

/// GET of a JSON document, within 5 seconds.
///
/// # Errors
/// The request's, as text.
pub async fn json(url: &str) -> Result<Value, String> {
    let answer = client()?.get(url).send().await.map_err(told)?;
    answer.error_for_status().map_err(told)?.json().await.map_err(told)
}

/// GET of a text, within 5 seconds.
///
/// # Errors
/// The request's, as text.
pub async fn text(url: &str) -> Result<String, String> {
    let answer = client()?.get(url).send().await.map_err(told)?;
    answer.error_for_status().map_err(told)?.text().await.map_err(told)
}

/// GET of a text with a bearer token, within 5 seconds.
///
/// # Errors
/// The request's, as text.
pub async fn with_token(url: &str, token: &str) -> Result<String, String> {
    let answer = client()?.get(url).bearer_auth(token).send().await.map_err(told)?;
    answer.error_for_status().map_err(told)?.text().await.map_err(told)
}

/// One client for all tests: making one costs more than what it asks. It keeps no connection, because a
/// connection belongs to the runtime of one test.
fn client() -> Result<&'static reqwest::Client, String> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        obstack::tls::install_provider();
        let builder = reqwest::Client::builder().timeout(BOUND).pool_max_idle_per_host(0);
        builder.build().map_err(told)
    });
    client.as_ref().map_err(Clone::clone)
}

/// An error with its causes: the first alone says of each only that the request failed.
fn told(error: reqwest::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// The result of an instant query at a Prometheus, as the list of its samples.
///
/// # Errors
/// The request's, as text.
pub async fn query(prometheus: &str, expr: &str) -> Result<Vec<Value>, String> {
    let url = reqwest::Url::parse_with_params(&format!("{prometheus}/api/v1/query"), [("query", expr)])
        .map_err(|e| e.to_string())?;
    let answer = json(url.as_str()).await?;
    Ok(answer["data"]["result"].as_array().cloned().unwrap_or_default())
}

/// The alerts of a Prometheus with this name.
///
/// # Errors
/// The request's, as text.
pub async fn alerts(prometheus: &str, name: &str) -> Result<Vec<Value>, String> {
    let answer = json(&format!("{prometheus}/api/v1/alerts")).await?;
    let all = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
    Ok(all.into_iter().filter(|alert| alert["labels"]["alertname"] == name).collect())
}
