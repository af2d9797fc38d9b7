//! What happens to every stack trips nothing: its first days, a restart of the engine, rollouts of the engine and
//! of all targets, a short spike.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use obstack_crds::record::TripwireState::Holding;
use obstack_tests::load::Shape;
use obstack_tests::wait::{throughout, until};
use obstack_tests::world::NAMESPACE;
use serde_json::json;

use super::{BOUND, LONG, LONG_BLOCKS, LONG_INTERVAL, RECORD, Seen, Trial};

/// The longest wait: the trend of series needs 42 hours, which are 126 s here.
const LONG_BOUND: Duration = Duration::from_secs(300);
/// How long a trial is looked at after each happening. The longest `for` is that of the trend of series, 36
/// hours, which are 108 s here; what happens counts for it for a day and a quarter.
const AFTER: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make live-tripwires"]
async fn a_fresh_stack_a_restart_rollouts_and_a_spike_trip_nothing() {
    let still = Shape::Still(2_000);
    let spec = json!({ "requirements": { "activeSeries": "20k" } });
    let trial = Trial::start(&LONG, LONG_INTERVAL, LONG_BLOCKS, still, spec).await;
    let seen = Seen::of(&trial, RECORD);
    trial.stands(&seen, Holding, LONG_BOUND).await;
    calm(&trial, "a fresh stack", AFTER).await;

    let pods: Api<Pod> = Api::namespaced(trial.world.client(), NAMESPACE);
    let old = started(&trial).await.expect("Prometheus runs");
    pods.delete("main-metrics-0", &DeleteParams::default()).await.unwrap();
    again(&trial, &old).await;
    calm(&trial, "a restart", AFTER).await;

    let old = started(&trial).await.expect("Prometheus runs");
    let noted = json!({ "metadata": { "annotations": { "example.com/rolled": "once" } } });
    trial.world.patch_stack("main", json!({ "spec": { "metrics": { "podTemplate": noted } } })).await;
    again(&trial, &old).await;
    calm(&trial, "a rollout of the engine", AFTER).await;

    trial.load.set(Shape::Replaced(2_000));
    calm(&trial, "a rollout of all targets", AFTER).await;

    // Five seconds are 100 minutes here.
    trial.load.set(Shape::Still(8_000));
    calm(&trial, "a spike", Duration::from_secs(5)).await;
    trial.load.set(Shape::Replaced(2_000));
    calm(&trial, "a spike that is over", AFTER).await;
    trial.stands(&seen, Holding, LONG_BOUND).await;
    println!("the states of {RECORD}: {:?}", seen.story());
    trial.world.stop().await;
}

/// Looks for a while that no wire has been at risk or worse, from the begin of the stack on.
async fn calm(trial: &Trial, after: &str, span: Duration) {
    throughout(&format!("calm after {after}"), span, || async {
        let alarmed = trial.alarmed().await;
        if alarmed == BTreeSet::new() { Ok(()) } else { Err((alarmed, trial.wires(RECORD).await)) }
    })
    .await;
    println!("nothing after {after}");
}

/// When the process of Prometheus started, as it says itself.
async fn started(trial: &Trial) -> Option<String> {
    let metrics = obstack_tests::ask::text(&format!("{}/metrics", trial.prometheus)).await.ok()?;
    metrics.lines().find_map(|line| line.strip_prefix("process_start_time_seconds ").map(ToOwned::to_owned))
}

/// Waits until another process of Prometheus answers.
async fn again(trial: &Trial, old: &str) {
    until("Prometheus to be back", BOUND, || async {
        let now = started(trial).await;
        if now.as_deref().is_some_and(|now| now != old) { Ok(()) } else { Err(now) }
    })
    .await;
}
