//! Each trouble trips its own wire, and no other says that it is at risk or worse.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use obstack_crds::record::TripwireState::{AtRisk, Holding, Tripped};
use obstack_tests::load::Shape;
use obstack_tests::wait::{throughout, until};
use serde_json::json;

use super::{LONG, LONG_BLOCKS, LONG_INTERVAL, RECORD, Seen, Trial};

/// The longest wait of a long trial: the trend of series needs 42 hours, which are 126 s here.
const LONG_BOUND: Duration = Duration::from_secs(300);

async fn start(shape: Shape, spec: serde_json::Value) -> Trial {
    Trial::start(&LONG, LONG_INTERVAL, LONG_BLOCKS, shape, spec).await
}

fn only(wire: &str) -> BTreeSet<String> {
    BTreeSet::from([wire.to_owned()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make live-tripwires"]
async fn churn_trips_its_own_wire_alone() {
    let trial = start(Shape::Still(2_000), json!({ "requirements": { "activeSeries": "60k" } })).await;
    let seen = Seen::of(&trial, RECORD);
    trial.stands(&seen, Holding, LONG_BOUND).await;
    trial.load.set(Shape::Churning(2_000, 2.0));
    trial.wire(RECORD, "churn", Tripped, LONG_BOUND).await;
    // The series that churned and have not left the head are a step for the trend. It lasts for less than the
    // trend waits, 36 hours, which are 108 s here.
    throughout("churn alone", Duration::from_secs(120), || async {
        let alarmed = trial.alarmed().await;
        if alarmed == only("metricsStore/churn") { Ok(()) } else { Err(alarmed) }
    })
    .await;
    trial.load.set(Shape::Still(2_000));
    trial.wire(RECORD, "churn", Holding, LONG_BOUND).await;
    trial.world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make live-tripwires"]
async fn memory_near_its_limit_trips_its_own_wire_alone_and_before_the_limit_is_reached() {
    const LIMIT: f64 = 268_435_456.0;
    let spec = json!({
        "requirements": { "activeSeries": "2M" },
        "metrics": { "resources": { "requests": { "memory": "128Mi" }, "limits": { "memory": "256Mi" } } },
    });
    let trial = start(Shape::Still(8_000), spec).await;
    let seen = Seen::of(&trial, RECORD);
    trial.stands(&seen, Holding, LONG_BOUND).await;
    // As many series as bring memory close to the limit, by steps: how much one takes differs by machine.
    let mut series = trial.load.series();
    loop {
        let used = trial.memory().await.unwrap() / LIMIT;
        println!("memory is at {used:.2} of its limit with {series} series");
        if used > 0.84 {
            break;
        }
        series += series / 4;
        trial.load.set(Shape::Still(series));
        let scraped = format!("scrape_samples_scraped{{job=\"load\"}} == {series}");
        until("all series to be scraped", LONG_BOUND, || async {
            trial.number(&scraped).await?.ok_or("fewer".to_owned())
        })
        .await;
    }
    trial.wire(RECORD, "memory", Tripped, LONG_BOUND).await;
    assert_eq!(trial.alarmed().await, only("metricsStore/memory"));
    assert_eq!(trial.last_end().await, None, "Prometheus runs since its start");
    // Prometheus gives memory back slowly, and not all of it: pages of its files stay.
    trial.load.set(Shape::Still(500));
    trial.wire_in(RECORD, "memory", &[Holding, AtRisk], LONG_BOUND).await;
    trial.world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make live-tripwires"]
async fn evaluations_that_are_missed_trip_their_own_wire_alone() {
    let trial = start(Shape::Still(100), json!({ "requirements": { "activeSeries": "20k" } })).await;
    let seen = Seen::of(&trial, RECORD);
    trial.stands(&seen, Holding, LONG_BOUND).await;
    // A million steps take longer than the interval on every machine.
    let slow = json!({ "record": "slow", "expr": "sum(sum_over_time(vector(1)[1000s:1ms]))" });
    let group = json!({ "name": "slow", "interval": "100ms", "rules": [slow] });
    trial.world.patch_stack("main", json!({ "spec": { "rules": { "groups": [group] } } })).await;
    trial.wire(RECORD, "rules-missed", Tripped, LONG_BOUND).await;
    assert_eq!(trial.alarmed().await, only("metricsStore/rules-missed"));
    trial.world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make live-tripwires"]
async fn retention_that_size_cuts_short_trips_its_own_wire_alone() {
    // Of 10 MiB blocks may take 8; 2 days are 192 s here.
    let spec = json!({
        "requirements": { "activeSeries": "60k", "retention": "2d" },
        "metrics": { "storage": { "size": "10Mi" } },
    });
    let trial = start(Shape::Still(100), spec).await;
    trial.wire(RECORD, "retention", Holding, LONG_BOUND).await;
    trial.load.set(Shape::Still(10_000));
    trial.wire(RECORD, "retention", Tripped, LONG_BOUND).await;
    let cuts = trial.number("max(prometheus_tsdb_size_retentions_total)").await.unwrap();
    assert!(cuts.is_some_and(|cuts| cuts > 0.0), "{cuts:?}");
    assert_eq!(trial.alarmed().await, only("metricsStore/retention"));
    trial.world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make live-tripwires"]
async fn notifications_that_fail_trip_their_own_wire_alone() {
    const NOTIFICATION: &str = "main-notification-0001";
    let refuses = Arc::new(AtomicBool::new(false));
    let asked = refuses.clone();
    let answer = move || async move {
        if asked.load(Ordering::Relaxed) { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let server =
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(answer))).await });
    let spec = json!({
        "requirements": { "activeSeries": "20k" },
        "metrics": { "alertResendDelay": "1s" },
        "rules": { "groups": [{ "name": "always", "rules": [{ "alert": "Always", "expr": "vector(1)" }] }] },
        "alerting": {
            "route": { "receiver": "team", "groupBy": ["alertname"],
                       "groupWait": "1s", "groupInterval": "1s", "repeatInterval": "1s" },
            "receivers": [{ "name": "team", "webhook": [{ "urlSecret": { "name": "hook", "key": "url" } }] }]
        }
    });
    let trial =
        Trial::start_with_hook(&url, &LONG, LONG_INTERVAL, LONG_BLOCKS, Shape::Still(100), spec).await;
    trial.wire(NOTIFICATION, "notifications-failing", Holding, LONG_BOUND).await;
    let seen = Seen::of(&trial, RECORD);
    trial.stands(&seen, Holding, LONG_BOUND).await;
    refuses.store(true, Ordering::Relaxed);
    trial.wire(NOTIFICATION, "notifications-failing", Tripped, LONG_BOUND).await;
    assert_eq!(trial.alarmed().await, only("notification/notifications-failing"));
    server.abort();
    trial.world.stop().await;
}
