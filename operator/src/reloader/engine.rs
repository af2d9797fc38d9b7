//! The engine over HTTP: reload, and what it says it runs.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::time::Duration;

use serde_json::Value;

use crate::running::{Engine, generation_in};

use super::checker::reason;

const CONNECT: Duration = Duration::from_secs(2);
/// Time for an answer about its state.
const ASK: Duration = Duration::from_secs(10);
/// Prometheus answers a reload only when it is done, which takes long with many rules or targets.
const RELOAD: Duration = Duration::from_secs(180);
/// Most bytes of an answer: the whole configuration is in it.
const MAX_BODY: usize = 64 << 20;

/// Most bytes of Prometheus' own metrics: a dozen lines for each job.
const MAX_METRICS: usize = 128 << 20;
/// Most bytes of a line of them.
const MAX_LINE: usize = 64 << 10;

/// A client of the engine in the same pod.
#[derive(Clone, Debug)]
pub(super) struct EngineClient {
    engine: Engine,
    url: String,
    http: reqwest::Client,
}

/// Why the engine did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EngineError {
    /// It does not answer, or not yet.
    Away(String),
    /// It answers, and says no.
    Refused(String),
}

/// What the engine says it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    /// The generation that its configuration names.
    pub(super) generation: Option<String>,
    /// Whether its last reload went through in all parts. Prometheus shows a new configuration also where
    /// its rules or its targets failed to load.
    pub(super) whole: bool,
}

/// What Prometheus counts and does not say when it reloads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Failures {
    /// Scrape pools that it could not make since it started.
    pub(super) pools: f64,
    /// Discoveries of scrape jobs that it could not make at its last reload.
    pub(super) discoveries: f64,
}

impl Failures {
    fn note(&mut self, line: &[u8]) {
        let Ok(line) = std::str::from_utf8(line) else { return };
        let value = |line: &str| line.rsplit_once(' ').and_then(|(_, value)| value.parse().ok());
        if line.starts_with("prometheus_target_scrape_pools_failed_total ") {
            self.pools = value(line).unwrap_or_default();
        } else if line.starts_with("prometheus_sd_failed_configs{") && line.contains("name=\"scrape\"") {
            self.discoveries += value(line).unwrap_or(0.0);
        }
    }
}

impl EngineClient {
    pub(super) fn new(engine: Engine, url: &str) -> Result<Self, reqwest::Error> {
        crate::tls::install_provider();
        // The engine is in the same pod; no proxy is on the way there.
        let http = reqwest::Client::builder().connect_timeout(CONNECT).no_proxy().build()?;
        Ok(Self { engine, url: bracketed(url.trim_end_matches('/')), http })
    }

    /// Tells the engine to read its configuration again.
    pub(super) async fn reload(&self) -> Result<(), EngineError> {
        let request = self.http.post(format!("{}/-/reload", self.url)).timeout(RELOAD);
        let (status, body) = self.send(request).await?;
        if status.is_success() {
            return Ok(());
        }
        let body = reason(&String::from_utf8_lossy(&body));
        match status.as_u16() {
            // The engine is still starting.
            503 => Err(EngineError::Away(format!("HTTP {status}: {body}"))),
            _ => {
                Err(EngineError::Refused(format!("the engine refused the reload with HTTP {status}: {body}")))
            }
        }
    }

    /// Asks the engine which generation its configuration names.
    pub(super) async fn generation(&self) -> Result<Option<String>, EngineError> {
        Ok(match self.engine {
            Engine::Prometheus => generation_of(&self.ask("/api/v1/status/config").await?["data"]["yaml"]),
            Engine::Alertmanager => generation_of(&self.ask("/api/v2/status").await?["config"]["original"]),
        })
    }

    /// Asks the engine what it runs, and whether all of it. For that Prometheus gathers all of its metrics, a dozen
    /// for each job, so it is asked where there is no answer to a reload to go by.
    pub(super) async fn running(&self) -> Result<Running, EngineError> {
        let generation = self.generation().await?;
        let whole = match self.engine {
            Engine::Prometheus => {
                let runtime = self.ask("/api/v1/status/runtimeinfo").await?;
                runtime["data"]["reloadConfigSuccess"] != false
            }
            Engine::Alertmanager => true,
        };
        Ok(Running { generation, whole })
    }

    /// What Prometheus could not make, from its own metrics. They are read line by line: there can be many.
    pub(super) async fn failures(&self) -> Result<Failures, EngineError> {
        let away = |error: reqwest::Error| EngineError::Away(error.without_url().to_string());
        let request = self.http.get(format!("{}/metrics", self.url)).timeout(ASK);
        let mut answer = request.send().await.map_err(away)?;
        if !answer.status().is_success() {
            return Err(EngineError::Away(format!("HTTP {} at /metrics", answer.status())));
        }
        let (mut failures, mut rest, mut read) = (Failures::default(), Vec::new(), 0);
        while let Some(chunk) = answer.chunk().await.map_err(away)? {
            read += chunk.len();
            rest.extend_from_slice(&chunk);
            if let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') {
                rest[..end].split(|byte| *byte == b'\n').for_each(|line| failures.note(line));
                rest.drain(..=end);
            }
            if read > MAX_METRICS || rest.len() > MAX_LINE {
                return Err(EngineError::Away(format!("more than {MAX_METRICS} bytes at /metrics")));
            }
        }
        failures.note(&rest);
        Ok(failures)
    }

    /// The jobs that Prometheus has a scrape pool for.
    pub(super) async fn pools(&self) -> Result<BTreeSet<String>, EngineError> {
        let mut answer = self.ask("/api/v1/scrape_pools").await?;
        let names = answer["data"]["scrapePools"].take();
        serde_json::from_value(names).map_err(|_| EngineError::Away("no list of scrape pools".to_owned()))
    }

    async fn ask(&self, path: &str) -> Result<Value, EngineError> {
        let request = self.http.get(format!("{}{path}", self.url)).timeout(ASK);
        let (status, body) = self.send(request).await?;
        if !status.is_success() {
            return Err(EngineError::Away(format!("HTTP {status} at {path}")));
        }
        serde_json::from_slice(&body).map_err(|_| EngineError::Away(format!("no JSON at {path}")))
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(reqwest::StatusCode, Vec<u8>), EngineError> {
        let away = |error: reqwest::Error| EngineError::Away(error.without_url().to_string());
        let mut answer = request.send().await.map_err(away)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(away)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(EngineError::Away(format!("an answer of more than {MAX_BODY} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((answer.status(), body))
    }
}

fn generation_of(config: &Value) -> Option<String> {
    config.as_str().and_then(generation_in).map(str::to_owned)
}

/// Puts brackets around an IPv6 address: the pod's own address reaches the URL through a variable of its
/// manifest, which cannot add them.
fn bracketed(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once(':') {
        Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => format!("{scheme}://[{host}]:{port}{path}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_found_among_the_metrics() {
        let mut failures = Failures::default();
        for line in [
            "# HELP prometheus_target_scrape_pools_failed_total Total number of failures.",
            "prometheus_target_scrape_pools_failed_total 3",
            "prometheus_target_scrape_pools_total 2000",
            "prometheus_sd_failed_configs{name=\"notify\"} 5",
            "prometheus_sd_failed_configs{name=\"scrape\"} 1",
        ] {
            failures.note(line.as_bytes());
        }
        assert_eq!(failures, Failures { pools: 3.0, discoveries: 1.0 });
    }

    #[test]
    fn addresses_of_either_family_make_a_url() {
        for (written, url) in [
            ("http://10.0.0.7:9090/prometheus", "http://10.0.0.7:9090/prometheus"),
            ("http://fd00::7:9090/prometheus", "http://[fd00::7]:9090/prometheus"),
            ("http://[fd00::7]:9090", "http://[fd00::7]:9090"),
        ] {
            assert_eq!(bracketed(written), url);
        }
    }
}
