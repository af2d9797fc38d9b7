use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};

use super::*;
use crate::decide::calibration::{RESIDENT, SERIES};
use crate::decide::testing::catalog;

async fn serve(app: Router) -> String {
    crate::tls::install_provider();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prefix/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().nest("/prefix", app)).await });
    url
}

fn vector(values: &[(&str, &str)]) -> Value {
    let sample = |(instance, value): &(&str, &str)| json!({ "metric": { "instance": instance, "job": "p" }, "value": [1, value] });
    let result: Vec<Value> = values.iter().map(sample).collect();
    json!({ "status": "success", "data": { "resultType": "vector", "result": result } })
}

/// A server that answers each query by `answer`, where the right token is shown.
fn engine(answer: fn(&str) -> Value, asked: Arc<AtomicUsize>) -> Router {
    let query = move |headers: HeaderMap, Query(query): Query<HashMap<String, String>>| async move {
        asked.fetch_add(1, Ordering::SeqCst);
        if headers.get("authorization").is_none_or(|token| token != "Bearer t0k3n") {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        axum::Json(answer(&query["query"])).into_response()
    };
    Router::new().route("/api/v1/query", get(query))
}

fn measurer() -> Measurer {
    crate::tls::install_provider();
    Measurer::new(Some("t0k3n".to_owned())).unwrap()
}

#[tokio::test]
async fn each_question_is_asked_once_and_a_missing_series_is_no_failure() {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = |query: &str| {
        assert!(query.contains(r#"pod="main-metrics-0","#), "{query}");
        if query.starts_with("quantile_over_time(0.95, prometheus_tsdb_head_series") {
            vector(&[("a", "1234")])
        } else {
            vector(&[])
        }
    };
    let url = serve(engine(answer, asked.clone())).await;
    let matchers = r#"pod="main-metrics-0""#;
    let answers =
        measurer().answers(&url, Engine::Prometheus, matchers, Duration::from_secs(60)).await.unwrap();
    assert_eq!(answers, Answers::from([(SERIES, 1234.0)]));
    assert_eq!(asked.load(Ordering::SeqCst), Engine::Prometheus.questions().len());
}

#[tokio::test]
async fn several_engines_in_one_answer_are_told_apart_by_labels_to_write() {
    let url = serve(engine(|_| vector(&[("a", "1"), ("b", "2")]), Arc::default())).await;
    let error = measurer().query(&url, "x").await.unwrap_err();
    let words = r#"holds the metrics of several engines: job="p",instance="a" or job="p",instance="b""#;
    assert_eq!(error.to_string(), words);
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_says_why() {
    let url =
        serve(engine(|_| json!({ "data": { "resultType": "matrix", "result": [] } }), Arc::default())).await;
    assert!(matches!(measurer().query(&url, "x").await, Err(MeasureError::Unexpected(_))));
    let without = Measurer::new(None).unwrap();
    assert!(matches!(without.query(&url, "x").await, Err(MeasureError::Denied(401))));

    let long = Router::new().route("/api/v1/query", get(|| async { "x".repeat(MAX_ANSWER + 1) }));
    assert!(matches!(measurer().query(&serve(long).await, "x").await, Err(MeasureError::TooLong)));
    let said = |text: &'static str| move || async move { (StatusCode::BAD_REQUEST, text) };
    let refused = Router::new().route("/api/v1/query", get(said("parse error\u{1b}[31m")));
    let error = measurer().query(&serve(refused).await, "x").await.unwrap_err();
    assert_eq!(error.to_string(), "answered 400: parse error[31m");
    // A token never goes where a redirect points.
    let away = get(|| async { axum::response::Redirect::temporary("http://127.0.0.1:9/") });
    let away = serve(Router::new().route("/api/v1/query", away)).await;
    assert!(matches!(measurer().query(&away, "x").await, Err(MeasureError::Status { code: 307, .. })));
    let nothing = measurer().query("http://127.0.0.1:9", "x").await.unwrap_err();
    assert!(nothing.to_string().to_lowercase().contains("refused"), "{nothing}");
}

#[tokio::test]
async fn engines_are_told_apart_by_their_build() {
    let tells = |data: Value| {
        let answer = json!({ "status": "success", "data": data });
        Router::new().route("/api/v1/status/buildinfo", get(|| async { axum::Json(answer) }))
    };
    let prometheus = serve(tells(json!({ "version": "3.5.3", "goVersion": "go1.27.1" }))).await;
    assert_eq!(measurer().detect(&prometheus).await.unwrap(), Engine::Prometheus);
    let victoria = serve(tells(json!({ "version": "2.24.0" }))).await;
    assert_eq!(measurer().detect(&victoria).await.unwrap(), Engine::VictoriaMetrics);
}

#[tokio::test]
async fn a_replica_is_read_once_in_a_while_and_by_its_own_metrics() {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = |query: &str| {
        let own = if query.contains(r#"pod="main-metrics-0""#) { "400000000" } else { "900000000" };
        if query.contains("process_resident_memory_bytes") { vector(&[("a", own)]) } else { vector(&[]) }
    };
    let url = serve(engine(answer, asked.clone())).await;
    let readings = Readings::new(measurer(), catalog());
    let resident = |fact: Fact<Reading>| fact.known().unwrap().answers[RESIDENT];
    for _ in 0..3 {
        assert_eq!(resident(readings.of(&url, r#"pod="main-metrics-0""#).await), 4e8);
    }
    assert_eq!(asked.load(Ordering::SeqCst), Engine::Prometheus.questions().len());
    assert_eq!(resident(readings.of(&url, r#"pod="main-metrics-1""#).await), 9e8);
    let gone = readings.of("http://127.0.0.1:9", "").await;
    assert!(matches!(gone, Fact::Unavailable(_)), "{gone:?}");
}
