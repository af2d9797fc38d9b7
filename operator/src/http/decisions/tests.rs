use axum::body::{Body, to_bytes};
use axum::http::Request;
use obstack_crds::stack::Override;
use obstack_crds::{Component, ObservabilityStack};
use tower::ServiceExt;

use super::*;
use crate::decide::testing::{catalog, valid, with};
use crate::decide::{DecideFacts, Previous, decide, records};
use crate::observe::{ClusterFacts, Fact};
use crate::validate::Valid;

const HOSTILE: &str = "\"><script>alert('x')</script><img src=x onerror=alert(1)> & \u{202e}";

fn decided(valid: &Valid, existing: &[obstack_crds::DecisionRecord]) -> Vec<obstack_crds::DecisionRecord> {
    let facts = DecideFacts { cluster: Fact::Known(ClusterFacts::default()), measured: None };
    let plan = decide(valid, &facts, &Previous::of_records(existing), &catalog());
    let now = "2026-11-21T12:00:00Z".parse().unwrap();
    records::after(existing, &records::next(&plan, valid, existing, now))
}

fn stack() -> ObservabilityStack {
    let mut stack = ObservabilityStack::new("main", Default::default());
    stack.metadata.namespace = Some("monitoring".into());
    stack
}

/// A stack with a person's choice, a proposal and a history.
fn view() -> StackView {
    let mut valid = valid();
    let because = format!("we like it {HOSTILE}");
    valid.overrides.insert(Component::Dashboards, Override { choose: "Perses".into(), because });
    let small = decided(&valid, &[]);
    let mut large = with(|r| r.active_series = "50M".parse().unwrap());
    large.overrides = valid.overrides;
    let records = decided(&large, &small);
    views([&stack()], &records).remove(0)
}

struct Fixed(Vec<StackView>);

impl DecisionsSource for Fixed {
    fn stacks<'a>(&'a self, viewer: &'a Viewer) -> BoxFuture<'a, Vec<StackView>> {
        let seen = if viewer.token.as_deref() == Some("stranger") { Vec::new() } else { self.0.clone() };
        Box::pin(async move { seen })
    }
}

async fn ask(path: &str, token: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let router = router(Arc::new(Fixed(vec![view()])));
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), 1 << 22).await.unwrap();
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

/// Where a folder is given, the pages are written there, to be looked at.
#[tokio::test]
async fn every_part_is_in_the_overview() {
    let html = render_index(&[view()]);
    if let Some(folder) = std::env::var_os("OBSTACK_PAGES") {
        let folder = std::path::PathBuf::from(folder);
        std::fs::write(folder.join("index.html"), &html).unwrap();
        let record = ask("/decisions/monitoring/main/main-metrics-store-0002", None).await.2;
        std::fs::write(folder.join("record.html"), record).unwrap();
    }
    for component in Component::ALL {
        assert!(html.contains(&format!("id=\"monitoring.main.{component}\"")), "{component}");
    }
    for text in [
        "Prometheus",
        "proposes <b>",
        "spec.decisions.metricsStore.choose",
        "Accepted with it",
        "Ruled out",
        "When to look again",
        "by a person",
        "The engine would choose <b><bdi>Grafana",
        "judgement of the obstack project",
        "href=\"decisions/monitoring/main/main-metrics-store-0001\"",
        "class=\"range\"",
    ] {
        assert!(html.contains(text), "{text}");
    }
}

#[tokio::test]
async fn hostile_words_are_text() {
    for path in [
        "/decisions",
        "/decisions/monitoring/main/main-dashboards-0001",
        "/decisions/monitoring/main/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    ] {
        let (_, headers, html) = ask(path, None).await;
        assert!(!html.contains("<script") && !html.contains("<img"), "{path}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    }
    assert!(ask("/decisions", None).await.2.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    let (_, headers, text) = ask("/decisions/monitoring/main/main-dashboards-0001.md", None).await;
    assert_eq!(headers[header::CONTENT_TYPE], "text/markdown; charset=utf-8");
    assert!(!text.contains("<script"));
}

#[tokio::test]
async fn json_has_what_the_command_line_prints_and_more() {
    let (status, _, text) = ask("/decisions.json", None).await;
    assert_eq!(status, StatusCode::OK);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let store = &json[0]["decisions"][0];
    assert_eq!(json[0]["namespace"], "monitoring");
    assert_eq!(store["component"], "metricsStore");
    assert_eq!(store["chosen"], "Prometheus");
    assert_eq!(store["chosenBy"], "engine");
    assert_eq!(store["proposed"], "main-metrics-store-0002");
    for list in ["eliminated", "ranking", "tradeoffs", "flipPoints", "tripwires"] {
        assert!(store[list].is_array(), "{list}");
    }
}

#[tokio::test]
async fn a_record_is_shown_in_full_and_a_stranger_sees_none() {
    let path = "/decisions/monitoring/main/main-metrics-store-0002";
    let (status, _, html) = ask(path, None).await;
    assert_eq!(status, StatusCode::OK);
    for text in [
        "What was asked for",
        "activeSeries",
        "As Markdown",
        "## Decision Outcome",
        "requirements.activeSeries",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert_eq!(ask(path, Some("stranger")).await.0, StatusCode::NOT_FOUND);
    assert!(ask("/decisions", Some("stranger")).await.2.contains("There is no stack yet"));
}
