//! What each replica's engine says of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{EngineFact, Fact, ReloaderFact};
use crate::names::Role;
use crate::running::generation_in;

/// Longest time that one question to an engine may take.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer of an engine that is read: its whole configuration is in it.
pub const MAX_ANSWER: usize = 32 << 20;

/// Longest answer of a reloader that is read.
const MAX_STATE: usize = 64 << 10;

/// Asks engines.
#[derive(Clone)]
pub struct Engines {
    pub(super) http: reqwest::Client,
}

/// Why an engine's answer could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The request failed.
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    /// The engine answered with another code than 200.
    #[error("answered {0}")]
    Status(u16),
    /// The answer is too long.
    #[error("answered with more than {} MiB", .0 >> 20)]
    TooLong(usize),
    /// The answer is not what the engine's API promises.
    #[error("answered with something else than expected: {0}")]
    Unexpected(#[from] serde_json::Error),
    /// The question could not be written down.
    #[error("cannot be asked: {0}")]
    Question(String),
}

#[derive(Deserialize)]
struct Prometheus<T> {
    data: T,
}

#[derive(Deserialize)]
struct PrometheusConfig {
    yaml: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct AlertmanagerStatus {
    config: AlertmanagerConfig,
    #[serde(rename = "versionInfo")]
    version_info: Version,
}

#[derive(Deserialize)]
struct AlertmanagerConfig {
    original: String,
}

/// A client for engines, without proxies and redirects: they are asked and told at their pods' addresses. An
/// answer may take [`TIMEOUT`].
///
/// # Errors
/// When the client cannot be made.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .connect_timeout(Duration::from_secs(2))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

impl Engines {
    /// Asks with a [`client`] of its own.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn new() -> Result<Self, reqwest::Error> {
        Ok(Self { http: client()? })
    }

    /// What the engine of a role says, at the URL of one replica, prefix included.
    pub async fn ask(&self, role: Role, url: &str) -> Fact<EngineFact> {
        let answer = match role {
            Role::Metrics => self.prometheus(url).await,
            Role::Alerting => self.alertmanager(url).await,
            Role::Dashboards => Err(EngineError::Question("it does not say what it runs".to_owned())),
        };
        answer.map_or_else(|error| Fact::Unavailable(error.to_string()), Fact::Known)
    }

    /// What the reloader of a replica says; `url` is the reloader's.
    pub async fn reloader(&self, url: &str) -> Fact<ReloaderFact> {
        let answer = self.get_within(self.http.get(format!("{url}/status")), MAX_STATE).await;
        answer.map_or_else(|error: EngineError| Fact::Unavailable(error.to_string()), Fact::Known)
    }

    async fn prometheus(&self, url: &str) -> Result<EngineFact, EngineError> {
        let config: Prometheus<PrometheusConfig> = self.get(format!("{url}/api/v1/status/config")).await?;
        let flags: Prometheus<BTreeMap<String, String>> =
            self.get(format!("{url}/api/v1/status/flags")).await?;
        let build: Prometheus<Version> = self.get(format!("{url}/api/v1/status/buildinfo")).await?;
        Ok(EngineFact {
            generation: generation_in(&config.data.yaml).map(str::to_owned),
            flags: Some(flags.data),
            version: plain_version(&build.data.version),
        })
    }

    async fn alertmanager(&self, url: &str) -> Result<EngineFact, EngineError> {
        let status: AlertmanagerStatus = self.get(format!("{url}/api/v2/status")).await?;
        Ok(EngineFact {
            generation: generation_in(&status.config.original).map(str::to_owned),
            flags: None,
            version: plain_version(&status.version_info.version),
        })
    }

    async fn get<T: DeserializeOwned>(&self, url: String) -> Result<T, EngineError> {
        self.get_within(self.http.get(url), MAX_ANSWER).await
    }

    /// The answer to a question, of at most `most` bytes.
    pub(super) async fn get_within<T: DeserializeOwned>(
        &self,
        question: reqwest::RequestBuilder,
        most: usize,
    ) -> Result<T, EngineError> {
        let mut response = question.send().await.map_err(reqwest::Error::without_url)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(EngineError::Status(response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + chunk.len() > most {
                return Err(EngineError::TooLong(most));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

fn plain_version(version: &str) -> String {
    version.strip_prefix('v').unwrap_or(version).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_lose_their_leading_v() {
        assert_eq!(plain_version("v3.5.0"), "3.5.0");
        assert_eq!(plain_version("0.33.1"), "0.33.1");
    }

    #[tokio::test]
    async fn an_engine_that_answers_with_too_much_or_not_at_all_is_unavailable() {
        use axum::routing::get;
        let long = axum::Router::new().route("/api/v2/status", get(|| async { "x".repeat(MAX_ANSWER + 1) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, long).await });
        crate::tls::install_provider();
        let engines = Engines::new().unwrap();
        let Fact::Unavailable(reason) = engines.ask(Role::Alerting, &url).await else {
            panic!("an answer of any length was read")
        };
        assert_eq!(reason, "answered with more than 32 MiB");
        let nothing = engines.ask(Role::Metrics, "http://127.0.0.1:9").await;
        assert!(matches!(nothing, Fact::Unavailable(_)), "{nothing:?}");
    }

    #[tokio::test]
    async fn a_reloader_is_read_as_it_tells_of_itself() {
        use crate::observe::Refusal;
        use crate::reloader;
        let refused = reloader::Refusal {
            generation: "abc".to_owned(),
            reason: "rules/x.yaml: no".to_owned(),
            path: Some("rules/x.yaml".to_owned()),
        };
        let state = reloader::State {
            refused: Some(refused),
            mounted: Some("old".to_owned()),
            confirmed: Some("now".to_owned()),
            ..Default::default()
        };
        let said = serde_json::to_string(&state).unwrap();
        let app = axum::Router::new().route("/status", axum::routing::get(|| async { said }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        crate::tls::install_provider();
        let engines = Engines::new().unwrap();
        let refused = Refusal {
            generation: "abc".to_owned(),
            reason: "rules/x.yaml: no".to_owned(),
            path: Some("rules/x.yaml".to_owned()),
        };
        let wanted = ReloaderFact {
            confirmed: Some("now".to_owned()),
            mounted: Some("old".to_owned()),
            refused: Some(refused),
        };
        assert_eq!(engines.reloader(&url).await, Fact::Known(wanted));
        assert!(matches!(engines.reloader("http://127.0.0.1:9").await, Fact::Unavailable(_)));
    }
}
