//! How the tripwires of a stack stand, as one engine says it: values, pressures and firing alerts, by one
//! question.

use std::collections::BTreeMap;

use obstack_crds::record::TripwireState;
use serde::Deserialize;

use super::engines::{EngineError, Engines};
use super::{Fact, WireReading, WireSaid};
use crate::names::StackId;

/// Longest answer that is read: five series of each of a few dozen tripwires are some 50 KiB.
const MAX_ANSWER: usize = 1 << 20;
/// The recorded value of a tripwire.
const VALUE: &str = "obstack:tripwire:value";
/// The recorded pressure of a tripwire.
const PRESSURE: &str = "obstack:tripwire:pressure";
/// The alerts of a tripwire, each with the state that it stands for.
const ALERTS: [(&str, TripwireState); 3] = [
    ("TradeoffTripped", TripwireState::Tripped),
    ("TradeoffAtRisk", TripwireState::AtRisk),
    ("TradeoffUnknown", TripwireState::Unknown),
];

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// Time in seconds, and the value as Prometheus writes numbers: `0.5`, `+Inf`, `NaN`.
    value: (f64, String),
}

impl Engines {
    /// What the engine at the URL of one replica, prefix included, says of the tripwires of a stack.
    pub async fn wires(&self, id: &StackId, url: &str) -> Fact<Vec<WireReading>> {
        match self.ask_for_wires(id, url).await {
            Ok(readings) => Fact::Known(readings),
            Err(error) => Fact::Unavailable(error.to_string()),
        }
    }

    async fn ask_for_wires(&self, id: &StackId, url: &str) -> Result<Vec<WireReading>, EngineError> {
        let query = [("query", query(id)), ("timeout", "4s".to_owned())];
        let url = reqwest::Url::parse_with_params(&format!("{url}/api/v1/query"), query)
            .map_err(|error| EngineError::Question(error.to_string()))?;
        let answer: Answer = self.get_within(self.http.get(url), MAX_ANSWER).await?;
        Ok(answer.data.result.iter().filter_map(reading).collect())
    }
}

/// One selector for all: an empty alternative matches the recorded series, which have no such label.
fn query(id: &StackId) -> String {
    let alerts = ALERTS.map(|(name, _)| name).join("|");
    format!(
        "{{__name__=~\"{VALUE}|{PRESSURE}|ALERTS\",alertname=~\"{alerts}|\",alertstate=~\"firing|\",\
         namespace=\"{}\",stack=\"{}\"}}",
        id.namespace, id.name
    )
}

/// A series as a reading; none where it is no number, which is no value.
fn reading(series: &Series) -> Option<WireReading> {
    let label = |name: &str| series.metric.get(name).map(String::as_str);
    let value = number(&series.value.1).filter(|value| !value.is_nan());
    let said = match label("__name__")? {
        VALUE => WireSaid::Value(value?),
        PRESSURE => WireSaid::Pressure(value?),
        _ => {
            let name = label("alertname")?;
            WireSaid::Firing(ALERTS.into_iter().find(|(known, _)| *known == name)?.1)
        }
    };
    Some(WireReading { record: label("record")?.to_owned(), tripwire: label("tripwire")?.to_owned(), said })
}

/// A number as Prometheus writes it. Rust reads `+Inf` and `NaN` too.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::extract::{Query, State};
    use axum::routing::get;

    use super::*;

    /// As Prometheus 3 answered, with one alert pending, one of another name, and one of another stack beside.
    const ANSWER: &str = include_str!("wires_answer.json");

    fn id() -> StackId {
        StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() }
    }

    async fn serve(app: axum::Router) -> String {
        crate::tls::install_provider();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    #[tokio::test]
    async fn one_question_brings_values_pressures_and_firing_alerts() {
        type Asked = std::sync::Arc<std::sync::Mutex<BTreeMap<String, String>>>;
        let asked = Asked::default();
        let answer = |State(asked): State<Asked>, Query(query): Query<BTreeMap<String, String>>| async move {
            *asked.lock().unwrap() = query;
            ANSWER
        };
        let app =
            axum::Router::new().route("/prometheus/api/v1/query", get(answer)).with_state(asked.clone());
        let url = serve(app).await;
        let said = Engines::new().unwrap().wires(&id(), &format!("{url}/prometheus")).await;
        let reading = |tripwire: &str, said| WireReading {
            record: "main-metrics-store-0001".to_owned(),
            tripwire: tripwire.to_owned(),
            said,
        };
        let expected = vec![
            reading("inf", WireSaid::Value(f64::INFINITY)),
            reading("memory", WireSaid::Value(74_190_848.0)),
            reading("memory", WireSaid::Pressure(74.190_848)),
            reading("memory", WireSaid::Firing(TripwireState::Tripped)),
        ];
        assert_eq!(said, Fact::Known(expected), "what is no number is no value");
        let asked = asked.lock().unwrap().clone();
        assert_eq!(asked["timeout"], "4s");
        assert_eq!(
            asked["query"],
            "{__name__=~\"obstack:tripwire:value|obstack:tripwire:pressure|ALERTS\",\
             alertname=~\"TradeoffTripped|TradeoffAtRisk|TradeoffUnknown|\",alertstate=~\"firing|\",\
             namespace=\"monitoring\",stack=\"main\"}"
        );
    }

    #[tokio::test]
    async fn what_is_no_answer_is_unavailable() {
        let long = "x".repeat(MAX_ANSWER + 1);
        let app = axum::Router::new()
            .route("/long/api/v1/query", get(|| async { long }))
            .route("/other/api/v1/query", get(|| async { "{\"status\":\"success\",\"data\":{}}" }));
        let url = serve(app).await;
        let engines = Engines::new().unwrap();
        for (path, reason) in [
            ("/long", "answered with more than 1 MiB"),
            ("/other", "answered with something else than expected: missing field `result`"),
            ("/missing", "answered 404"),
        ] {
            let Fact::Unavailable(said) = engines.wires(&id(), &format!("{url}{path}")).await else {
                panic!("{path} was taken for an answer")
            };
            assert!(said.starts_with(reason), "{path}: {said}");
        }
        let nobody = engines.wires(&id(), "http://127.0.0.1:9").await;
        assert!(matches!(nobody, Fact::Unavailable(_)), "{nobody:?}");
    }
}
