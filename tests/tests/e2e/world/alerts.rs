//! A reload for an unrelated change moves neither a pending nor a firing alert.

use std::time::Duration;

use obstack_tests::ask;
use obstack_tests::receiver::Receiver;
use obstack_tests::wait::until;
use obstack_tests::world::World;
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(60);

/// Two alerts that hold from the start: one fires at once, one waits for longer than the test lasts.
fn spec(more: &[Value]) -> Value {
    let mut groups = vec![json!({ "name": "steady", "rules": [
        { "alert": "Firing", "expr": "vector(1)" },
        { "alert": "Waiting", "expr": "vector(1)", "for": "1h" },
    ] })];
    groups.extend_from_slice(more);
    json!({
        "requirements": { "scrapeInterval": "2s" },
        "metrics": { "evaluationInterval": "1s", "alertResendDelay": "2s" },
        "rules": { "groups": groups },
        "alerting": {
            "route": { "receiver": "team", "groupBy": ["alertname"],
                       "groupWait": "1s", "groupInterval": "1s", "repeatInterval": "1h" },
            "receivers": [{ "name": "team", "webhook": [{ "urlSecret": { "name": "hook", "key": "url" } }] }]
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unrelated_reload_moves_no_alert() {
    let receiver = Receiver::start().await.unwrap();
    let world = World::start().await;
    world.secret("hook", &[("url", &receiver.url)]).await;
    world.create_stack("main", spec(&[])).await;
    world.live("main", BOUND).await;
    let prometheus = world.url("main", "metrics").await;
    let firing = state_of(&prometheus, "Firing", "firing").await;
    let waiting = state_of(&prometheus, "Waiting", "pending").await;
    until("the firing alert to be told", BOUND, || async {
        if receiver.mentioning("\"Firing\"").is_empty() { Err("nothing") } else { Ok(()) }
    })
    .await;
    let loaded = reload_time(&prometheus).await;

    for round in 0..3 {
        let name = format!("unrelated-{round}");
        let more = json!({ "name": name, "rules": [{ "record": "unrelated", "expr": "vector(1)" }] });
        world.patch_stack("main", json!({ "spec": spec(&[more]) })).await;
        until("the unrelated group to be loaded", BOUND, || async {
            let rules = ask::text(&format!("{prometheus}/api/v1/rules")).await?;
            if rules.contains(&name) { Ok(()) } else { Err("not there".to_owned()) }
        })
        .await;
    }
    assert!(reload_time(&prometheus).await > loaded, "there were reloads");
    assert_eq!(state_of(&prometheus, "Firing", "firing").await, firing, "active since the same moment");
    assert_eq!(state_of(&prometheus, "Waiting", "pending").await, waiting, "pending since the same moment");
    assert_eq!(receiver.mentioning("\"Firing\"").len(), 1, "told once: {:?}", receiver.bodies());
    world.stop().await;
}

/// Waits until an alert is in a state; gives the moment since when it is active.
async fn state_of(prometheus: &str, name: &str, state: &str) -> String {
    until(&format!("{name} to be {state}"), BOUND, || async {
        let alerts = ask::alerts(prometheus, name).await?;
        let found = alerts.iter().find(|alert| alert["state"] == state);
        found.and_then(|alert| alert["activeAt"].as_str()).map(ToOwned::to_owned).ok_or(format!("{alerts:?}"))
    })
    .await
}

async fn reload_time(prometheus: &str) -> f64 {
    let metrics = ask::text(&format!("{prometheus}/metrics")).await.unwrap();
    let name = "prometheus_config_last_reload_success_timestamp_seconds ";
    metrics.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap()
}
