//! Changes of Alertmanager's configuration notify nobody a second time.

use std::time::{Duration, Instant};

use obstack_tests::coreos;
use obstack_tests::receiver::Receiver;
use obstack_tests::wait::{throughout, until};
use obstack_tests::world::NAMESPACE;
use serde_json::{Value, json};

use super::table::{Figures, table};
use super::{BOUND, Trial, build, publish};

/// Changes of AlertmanagerConfigs while an alert fires.
const CHANGES: usize = 20;
/// How long nothing more may come after the last: several times the wait of a group, and of its interval.
const AFTER: Duration = Duration::from_secs(15);

fn spec() -> Value {
    let always = json!({ "alert": "Always", "expr": "vector(1)", "labels": { "namespace": NAMESPACE } });
    json!({
        "environment": "dev",
        "requirements": { "activeSeries": "10k", "scrapeInterval": "5s" },
        "metrics": { "replicas": 1, "evaluationInterval": "1s", "alertResendDelay": "2s" },
        "rules": { "groups": [{ "name": "always", "rules": [always] }] },
        "collection": { "services": false, "pods": false },
        "alerting": {
            "replicas": 1,
            "route": { "receiver": "team", "groupBy": ["alertname"],
                       "groupWait": "1s", "groupInterval": "2s", "repeatInterval": "4h" },
            "receivers": [{ "name": "team", "webhook": [{ "urlSecret": { "name": "hook", "key": "url" } }] }]
        },
        "decisions": { "dashboards": { "choose": "None", "because": "nobody looks at it here" } },
    })
}

/// An AlertmanagerConfig whose route takes the alert too, and goes on. The matchers stay: by them Alertmanager knows
/// what it has told already, so other ones are another group to it.
fn routing(receiver: &Receiver, number: usize) -> Value {
    json!({
        "route": { "receiver": "hook", "groupBy": ["alertname"], "groupWait": "1s", "groupInterval": "2s",
                   "repeatInterval": format!("{}h", 4 + number) },
        "receivers": [{ "name": "hook", "webhookConfigs": [{ "url": format!("{}/object", receiver.url) }] }]
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make live"]
async fn twenty_changes_of_alertmanager_notify_nobody_twice() {
    let (own, object) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    let trial = Trial::start_with(spec(), 0, &own.url).await;
    let kind = "AlertmanagerConfig";
    let told = |receiver: &Receiver| receiver.mentioning("\"Always\"").len();
    until("the alert to be told by the stack's own route", BOUND, || async {
        if told(&own) > 0 { Ok(()) } else { Err(own.bodies()) }
    })
    .await;
    // The first one brings a receiver that was not there: it is told once.
    let before = trial.wanted("alerting").await.expect("a pointer");
    trial.create(kind, coreos::object(kind, NAMESPACE, "team", routing(&object, 0))).await;
    trial.live("alerting", &before, Instant::now()).await;
    until("the alert to be told by the object's route", BOUND, || async {
        if told(&object) > 0 { Ok(()) } else { Err(object.bodies()) }
    })
    .await;
    let mut took = Figures::default();
    for number in 1..=CHANGES {
        let before = trial.wanted("alerting").await.expect("a pointer");
        if number % 4 == 0 {
            // Another team's object, with a receiver that gets nothing.
            let mut other = routing(&object, number);
            other["route"]["matchers"] = json!([{ "name": "team", "value": "nobody", "matchType": "=" }]);
            trial.create(kind, coreos::object(kind, NAMESPACE, &format!("other-{number}"), other)).await;
        } else {
            trial.merge(kind, "team", json!({ "spec": routing(&object, number) })).await;
        }
        let all = trial.live("alerting", &before, Instant::now()).await.ended;
        took.add(all);
    }
    throughout("one notification each", AFTER, || async {
        let counts = (told(&own), told(&object));
        if counts == (1, 1) { Ok(()) } else { Err(format!("{counts:?}: {:?}", object.bodies())) }
    })
    .await;
    let replica = trial.ready("alerting").await.pop().expect("a replica");
    let reloads = trial.told(&replica, "obstack_reloader_reloads_total{result=\"success\"}").await;
    assert!(reloads >= CHANGES as f64, "{reloads} reloads");
    let text = format!(
        "## Alertmanager\n\n{CHANGES} changes of AlertmanagerConfigs while an alert fires, {reloads} reloads; {}. Each \
         of two receivers was told of the alert once. Changes are gathered for 5 s there, because each reload makes \
         its groups anew.\n\n{}",
        build(),
        table(&[("from the API's answer until Alertmanager names it", &took)]),
    );
    publish("3-alertmanager", &text);
    trial.world.stop().await;
}
