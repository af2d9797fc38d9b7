use axum::body::{Body, to_bytes};
use axum::http::Request;
use obstack_crds::record::{Measured, Range, TripwireState, WireStatus};
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
    fn stacks<'a>(&'a self, viewer: &'a Viewer) -> BoxFuture<'a, Result<Seen, Denied>> {
        let seen = match viewer.token.as_deref() {
            Some("stranger") => Ok(Seen { stacks: Vec::new(), limited: true }),
            Some("broken") => Err(Denied::BadToken),
            Some("late") => Err(Denied::NoAnswer(HOSTILE.to_owned())),
            Some(_) => Ok(Seen { stacks: self.0.clone(), limited: true }),
            None => Err(Denied::NoToken),
        };
        Box::pin(async move { seen })
    }
}

async fn ask_with(path: &str, authorization: Option<&str>) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::get(path);
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let router = router(Arc::new(Fixed(vec![view()])));
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = to_bytes(response.into_body(), 1 << 22).await.unwrap();
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

async fn ask(path: &str, token: &str) -> (StatusCode, HeaderMap, String) {
    ask_with(path, Some(&format!("Bearer {token}"))).await
}

#[test]
fn every_part_is_in_the_overview() {
    let html = render_index(&Seen { stacks: vec![view()], limited: false });
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
        let (_, headers, html) = ask(path, "friend").await;
        assert!(!html.contains("<script") && !html.contains("<img"), "{path}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    }
    assert!(ask("/decisions", "friend").await.2.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    let (_, headers, text) = ask("/decisions/monitoring/main/main-dashboards-0001.md", "friend").await;
    assert_eq!(headers[header::CONTENT_TYPE], "text/markdown; charset=utf-8");
    assert!(!text.contains("<script"));
}

#[tokio::test]
async fn json_has_what_the_command_line_prints_and_more() {
    let (status, _, text) = ask("/decisions.json", "friend").await;
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
    let (status, _, html) = ask(path, "friend").await;
    assert_eq!(status, StatusCode::OK);
    for text in [
        "What was asked for",
        "activeSeries",
        "As Markdown",
        "<textarea id=\"markdown\"",
        "href=\"main-metrics-store-0002.md\"",
        "## Decision Outcome",
        "requirements.activeSeries",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert_eq!(ask(path, "stranger").await.0, StatusCode::NOT_FOUND);
    assert!(ask("/decisions", "stranger").await.2.contains("none that this token may see"));
}

#[tokio::test]
async fn refusals_show_nothing_and_say_why() {
    let record = "/decisions/monitoring/main/main-metrics-store-0001";
    for path in ["/decisions", "/decisions.json", record, &format!("{record}.md")] {
        for (authorization, code, words) in [
            (None, 401, "create token ACCOUNT"),
            (Some("Bearer"), 401, "create token ACCOUNT"),
            (Some("Digest x"), 401, "create token ACCOUNT"),
            (Some("Bearer broken"), 401, "does not accept this token"),
            (Some("Bearer late"), 503, "did not say"),
        ] {
            let (status, headers, text) = ask_with(path, authorization).await;
            assert_eq!(status.as_u16(), code, "{path} with {authorization:?}");
            assert!(text.contains(words), "{path} with {authorization:?}: {text}");
            assert!(!text.contains("Prometheus"), "{text}");
            let is_page = headers[header::CONTENT_TYPE] == "text/html; charset=utf-8";
            assert!(!is_page || !text.contains("<script"), "{text}");
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
            let challenges: Vec<_> = headers.get_all(header::WWW_AUTHENTICATE).iter().collect();
            assert_eq!(challenges.len(), if code == 401 { 2 } else { 0 });
        }
    }
}

#[tokio::test]
async fn a_browser_brings_the_token_as_a_password() {
    for (pair, code) in [("me:friend", 200), (":friend", 200), ("friend:", 401), ("friend", 401)] {
        let authorization = format!("Basic {}", STANDARD.encode(pair));
        assert_eq!(ask_with("/decisions", Some(&authorization)).await.0.as_u16(), code, "{pair}");
    }
    assert_eq!(ask_with("/decisions", Some("Basic %%%")).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ask_with("/decisions", Some("bearer  friend ")).await.0, StatusCode::OK);
}

/// A record with a state for each of its tripwires but one.
fn watched() -> StackView {
    let mut view = view();
    let record = view.records.iter_mut().find(|r| r.spec.component == Component::MetricsStore).unwrap();
    let ids: Vec<String> = record.spec.tripwires.iter().map(|wire| wire.id.clone()).collect();
    let states = [
        (TripwireState::Tripped, Some(">=1.0")),
        (TripwireState::AtRisk, Some("0.8-1.0")),
        (TripwireState::Holding, Some("<0.5")),
    ];
    let wires = ids.iter().take(ids.len() - 1).zip(states).map(|(id, (state, pressure))| WireStatus {
        silent: Vec::new(),
        id: id.clone(),
        state,
        pressure: pressure.map(str::to_owned),
        reason: (state == TripwireState::Tripped).then(|| HOSTILE.to_owned()),
    });
    let status = record.status.get_or_insert_default();
    status.tripwires = wires.collect();
    status.tripwire_state = Some(TripwireState::Tripped);
    record.spec.measured = vec![Measured {
        quantity: "bytesPerSeries".into(),
        unit: "bytes".into(),
        prior: Some(Range { low: 2048.0, high: 8192.0 }),
        measured: 4100.0,
        error: Some(0.25),
    }];
    view
}

#[test]
fn each_tripwire_has_its_state_its_pressure_and_its_reason() {
    let view = watched();
    let record = view.records.iter().find(|r| !r.spec.measured.is_empty()).unwrap();
    assert!(record.spec.tripwires.len() > 1, "the store has tripwires");
    for html in
        [render_index(&Seen { stacks: vec![view.clone()], limited: false }), render_record(&view, record)]
    {
        for wire in &record.spec.tripwires {
            assert!(html.contains(&format!("<th scope=\"row\"><bdi>{}</bdi>", wire.id)), "{}", wire.id);
        }
        for text in [
            "</i>tripped</span>",
            "<bdi>&gt;=1.0</bdi>",
            "onerror=alert(1)&gt;",
            "no value",
            "<bdi>4100 bytes</bdi>",
            "+25 %",
        ] {
            assert!(html.contains(text), "{text}: {html}");
        }
        assert!(!html.contains("<img"));
    }
    let json = serde_json::to_value(view.report()).unwrap();
    let store = &json["decisions"][0];
    let wires = store["tripwireStates"].as_array().unwrap();
    assert_eq!(wires.len(), record.spec.tripwires.len());
    assert_eq!(wires[0]["state"], "Tripped");
    assert_eq!(wires[wires.len() - 1]["state"], "Unknown", "what is not heard of never holds");
}

#[test]
fn records_supersede_one_another() {
    let mut view = view();
    let mut newer = view.records[0].clone();
    newer.metadata.name = Some("main-metrics-store-0009".into());
    newer.spec.number = 9;
    newer.spec.supersedes = view.records[0].metadata.name.clone();
    view.records.push(newer.clone());
    let html = render_record(&view, &newer);
    assert!(
        html.contains("supersedes <a href=\"../../../decisions/monitoring/main/main-metrics-store-0001\">#1")
    );
    newer.spec.reaffirms = true;
    newer.spec.supersedes = Some("main-metrics-store-0007".into());
    view.records.pop();
    view.records.push(newer.clone());
    assert!(render_record(&view, &newer).contains("reaffirms <bdi>main-metrics-store-0007</bdi>"));
}

/// Contrast of two colours, by the definition of the Web Content Accessibility Guidelines.
fn contrast(a: &str, b: &str) -> f64 {
    let luminance = |colour: &str| {
        let part = |at: usize| {
            let c = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_text_can_be_read_in_both_colour_schemes() {
    let variable = regex::Regex::new("--([a-z-]+): (#[0-9a-f]{6});").unwrap();
    let schemes: Vec<&str> = html::STYLE.split("@media (prefers-color-scheme: dark)").collect();
    assert_eq!(schemes.len(), 2);
    for scheme in schemes {
        let block = scheme.split_once(":root {").unwrap().1.split_once('}').unwrap().0;
        let colours: std::collections::BTreeMap<&str, &str> = variable
            .captures_iter(block)
            .map(|c| (c.get(1).unwrap().as_str(), c.get(2).unwrap().as_str()))
            .collect();
        for ink in ["ink", "soft", "accent", "ok", "warn", "bad", "person"] {
            for ground in ["ground", "card", "well"] {
                let found = contrast(colours[ink], colours[ground]);
                assert!(found >= 4.5, "{ink} on {ground}: {found:.2}");
            }
        }
    }
}
