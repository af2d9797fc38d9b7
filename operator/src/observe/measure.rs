//! Asks an engine for what it measures of itself, over the query API that Prometheus and VictoriaMetrics share.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Fact;
use crate::decide::calibration::{Answers, ENOUGH, Engine, Enough, Reading, read};
use crate::decide::{Catalog, measured};

/// Longest time that one question may take: some look over a day.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// Longest answer that is read: each question has one number for an answer.
pub const MAX_ANSWER: usize = 1 << 20;
/// Most series that an ambiguous answer is told with.
const MOST_TOLD: usize = 5;

/// Why an engine could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// It was not reached, or broke off.
    #[error("{0}")]
    Unreachable(String),
    /// It wants to know who asks.
    #[error("answered {0}: who asks must show a token")]
    Denied(u16),
    /// It answered with another code than 200.
    #[error("answered {code}: {said}")]
    Status {
        /// The HTTP status code.
        code: u16,
        /// The beginning of what it said.
        said: String,
    },
    /// The answer is too long.
    #[error("answered with more than {} MiB", MAX_ANSWER >> 20)]
    TooLong,
    /// The answer is not what the API promises.
    #[error("answered with something else than the API of Prometheus: {0}")]
    Unexpected(String),
    /// It holds the metrics of several engines.
    #[error("holds the metrics of several engines: {0}")]
    Ambiguous(String),
    /// The catalog does not know the engine's option.
    #[error("the catalog has no option {0}")]
    NoOption(&'static str),
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Build {
    #[serde(rename = "goVersion")]
    go_version: Option<String>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(rename = "resultType")]
    kind: String,
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// Asks engines for their own metrics.
#[derive(Clone)]
pub struct Measurer {
    http: reqwest::Client,
    bearer: Option<String>,
}

impl Measurer {
    /// A client that follows no redirects, so that a token goes nowhere else.
    ///
    /// # Errors
    /// Where no HTTP client can be made.
    pub fn new(bearer: Option<String>) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, bearer })
    }

    /// Which engine answers at a URL: both tell their version, and only Prometheus what it was built with.
    ///
    /// # Errors
    /// Where there is no answer, or none of either engine.
    pub async fn detect(&self, url: &str) -> Result<Engine, MeasureError> {
        let build: Answer<Build> = self.get(url, "api/v1/status/buildinfo", &[]).await?;
        let told = build.data.go_version.is_some_and(|version| !version.is_empty());
        Ok(if told { Engine::Prometheus } else { Engine::VictoriaMetrics })
    }

    /// Answers to all questions to an engine, by the metrics that it holds of itself. `matchers` single it out
    /// where it holds those of several; empty is any.
    ///
    /// # Errors
    /// The first question that failed. A question without a series is no failure.
    pub async fn answers(
        &self,
        url: &str,
        engine: Engine,
        matchers: &str,
        window: Duration,
    ) -> Result<Answers, MeasureError> {
        let ask = |question: &'static crate::decide::calibration::Question| async move {
            (question.name, self.query(url, &question.query(matchers, window)).await)
        };
        let mut answers = Answers::new();
        for (name, answer) in join_all(engine.questions().iter().map(ask)).await {
            if let Some(value) = answer? {
                answers.insert(name, value);
            }
        }
        Ok(answers)
    }

    /// What the answers of an engine come to.
    ///
    /// # Errors
    /// As [`Measurer::answers`].
    pub async fn read(
        &self,
        url: &str,
        engine: Engine,
        matchers: &str,
        enough: &Enough,
        catalog: &Catalog,
    ) -> Result<Reading, MeasureError> {
        let option = catalog
            .option(measured::COMPONENT, engine.option())
            .ok_or(MeasureError::NoOption(engine.option()))?;
        let answers = self.answers(url, engine, matchers, enough.window).await?;
        Ok(read(option, &answers, enough))
    }

    /// The one number that a query gives; none where it gives none.
    ///
    /// # Errors
    /// Where the request fails or gives several series.
    pub async fn query(&self, url: &str, expr: &str) -> Result<Option<f64>, MeasureError> {
        let answer: Answer<Vector> = self.get(url, "api/v1/query", &[("query", expr)]).await?;
        if answer.data.kind != "vector" {
            return Err(MeasureError::Unexpected(format!("a result of type {}", answer.data.kind)));
        }
        let mut samples = answer.data.result;
        if samples.len() > 1 {
            let told: Vec<String> = samples.iter().take(MOST_TOLD).map(|s| matchers(&s.metric)).collect();
            return Err(MeasureError::Ambiguous(told.join(" or ")));
        }
        let Some(sample) = samples.pop() else { return Ok(None) };
        let value = sample.value.1.parse().map_err(|_| MeasureError::Unexpected(sample.value.1.clone()))?;
        Ok(Some(value))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        url: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, MeasureError> {
        let unreachable = |error: reqwest::Error| MeasureError::Unreachable(chain(&error.without_url()));
        let url = format!("{}/{path}", url.trim_end_matches('/'));
        let url = reqwest::Url::parse_with_params(&url, query)
            .map_err(|error| MeasureError::Unreachable(format!("{url} is no URL: {error}")))?;
        let request = self.http.get(url);
        let request = match &self.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let code = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(MeasureError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        match code {
            200 => serde_json::from_slice(&body).map_err(|e| MeasureError::Unexpected(e.to_string())),
            401 | 403 => Err(MeasureError::Denied(code)),
            _ => {
                let said = String::from_utf8_lossy(&body);
                let said = said.chars().filter(|c| !c.is_control()).take(200).collect();
                Err(MeasureError::Status { code, said })
            }
        }
    }
}

/// An error with what caused it: reqwest's own words stop at "error sending request".
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Labels as matchers that single the series out.
fn matchers(labels: &BTreeMap<String, String>) -> String {
    let known = ["job", "namespace", "pod", "instance"];
    let pairs = known.iter().filter_map(|name| Some(format!("{name}={:?}", labels.get(*name)?)));
    pairs.collect::<Vec<_>>().join(",")
}

/// Time between two readings of one replica: what is measured moves by the hour.
const FRESH: Duration = Duration::from_secs(30 * 60);
/// The same while there is too little data, or no answer.
const RETRY: Duration = Duration::from_secs(5 * 60);
/// Longest time that a reconcile waits for a reading.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most replicas that are remembered.
const MOST_KEPT: usize = 10_000;

/// A reading, and until when it is believed.
type Kept = (Instant, Fact<Reading>);

/// Readings of the replicas of all stacks, kept for a while.
#[derive(Clone)]
pub struct Readings {
    measurer: Measurer,
    catalog: Arc<Catalog>,
    kept: Arc<Mutex<HashMap<String, Kept>>>,
}

impl Readings {
    /// Nothing is read yet.
    pub fn new(measurer: Measurer, catalog: Catalog) -> Self {
        Self { measurer, catalog: Arc::new(catalog), kept: Arc::default() }
    }

    /// The reading of one replica at its own URL. `matchers` single its own metrics out.
    pub async fn of(&self, url: &str, matchers: &str) -> Fact<Reading> {
        let key = format!("{url} {matchers}");
        if let Some(fact) = self.remembered(&key) {
            return fact;
        }
        // The one engine that this operator deploys.
        let read = self.measurer.read(url, Engine::Prometheus, matchers, &ENOUGH, &self.catalog);
        let fact = match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(reading)) => Fact::Known(reading),
            Ok(Err(error)) => Fact::Unavailable(error.to_string()),
            Err(_) => Fact::Unavailable(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        let complete = fact.known().is_some_and(|reading| reading.lacking.is_empty());
        let until = Instant::now() + if complete { FRESH } else { RETRY };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.retain(|_, (until, _)| *until > Instant::now());
        }
        if kept.len() < MOST_KEPT {
            kept.insert(key, (until, fact.clone()));
        }
        fact
    }

    fn remembered(&self, key: &str) -> Option<Fact<Reading>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(until, _)| *until > Instant::now()).map(|(_, fact)| fact.clone())
    }
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
