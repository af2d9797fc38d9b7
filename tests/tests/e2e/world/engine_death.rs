//! The death of the metrics store, of which no engine can tell: the operator judges it, tells it once, and
//! proposes; and takes it all back when the engine answers again.

use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use obstack_crds::DecisionRecord;
use obstack_crds::record::{Phase, TripwireState};
use obstack_tests::receiver::Receiver;
use obstack_tests::wait::until;
use obstack_tests::world::{NAMESPACE, World};
use serde_json::json;

const BOUND: Duration = Duration::from_secs(90);
const FIRST: &str = "main-metrics-store-0001";
const PROPOSAL: &str = "main-metrics-store-0002";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metrics_store_that_does_not_come_back_is_told_once_and_prompts_a_proposal() {
    let receiver = Receiver::start().await.unwrap();
    let world = World::start_with(&["--resync=2s"]).await;
    world.secret("hook", &[("url", &receiver.url)]).await;
    let spec = json!({
        "requirements": { "recoveryTime": "20s" },
        "alerting": {
            "route": { "receiver": "team", "groupBy": ["alertname", "tripwire"],
                       "groupWait": "1s", "groupInterval": "1s", "repeatInterval": "1h" },
            "receivers": [{ "name": "team", "webhook": [{ "urlSecret": { "name": "hook", "key": "url" } }] }]
        }
    });
    world.create_stack("main", spec).await;
    world.live("main", BOUND).await;
    stands(&world, TripwireState::Holding).await;

    // No pod of this image ever runs, so the engine does not come back from its restart.
    let image = |repository| json!({ "spec": { "metrics": { "image": { "repository": repository } } } });
    world.patch_stack("main", image(json!("gone.example.com/none"))).await;
    stands(&world, TripwireState::Tripped).await;
    until("the condition, and the proposal", BOUND, || async {
        let holding = World::condition(&world.stack("main").await, "DecisionsHolding").ok_or("none")?;
        let said = format!("{} {}: {}", holding.status, holding.reason, holding.message);
        let told =
            said.starts_with("False Tripped") && said.contains("engine-dead") && said.contains(PROPOSAL);
        if told { Ok(()) } else { Err(said) }
    })
    .await;
    let proposal = record(&world, PROPOSAL).await;
    assert_eq!(proposal.status.as_ref().unwrap().phase, Some(Phase::Proposed));
    assert_eq!(proposal.spec.supersedes.as_deref(), Some(FIRST));
    assert_eq!(proposal.spec.prompted_by[0].tripwire, "engine-dead");
    assert!(proposal.spec.prompted_by[0].value.is_some_and(|value| value >= 20.0));
    until("the channel to be told", BOUND, || async {
        let bodies = receiver.mentioning("engine-dead");
        if bodies.is_empty() { Err(format!("{:?}", receiver.bodies())) } else { Ok(()) }
    })
    .await;

    world.patch_stack("main", image(json!(null))).await;
    stands(&world, TripwireState::Holding).await;
    until("the proposal to be closed", BOUND, || async {
        let phase = record(&world, PROPOSAL).await.status.and_then(|status| status.phase);
        if phase == Some(Phase::Superseded) { Ok(()) } else { Err(format!("{phase:?}")) }
    })
    .await;
    let events: Api<Event> = Api::namespaced(world.client(), NAMESPACE);
    let events = events.list(&ListParams::default()).await.unwrap().items;
    let trips: Vec<Event> =
        events.into_iter().filter(|event| event.reason.as_deref() == Some("TradeoffTripped")).collect();
    let notes: Vec<_> = trips.iter().filter_map(|event| event.note.as_deref()).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with(&format!("tripwire engine-dead of {FIRST}")), "{notes:?}");
    assert_eq!(receiver.mentioning("engine-dead").len(), 1, "told once: {:?}", receiver.bodies());
    world.stop().await;
}

async fn record(world: &World, name: &str) -> DecisionRecord {
    Api::namespaced(world.client(), NAMESPACE).get(name).await.expect("the record is there")
}

/// Waits until the tripwire of the engine's death is in a state.
async fn stands(world: &World, state: TripwireState) {
    until(&format!("engine-dead to be {state:?}"), BOUND, || async {
        let records: Api<DecisionRecord> = Api::namespaced(world.client(), NAMESPACE);
        let record = records.get(FIRST).await.map_err(|error| error.to_string())?;
        let status = record.status.unwrap_or_default();
        let wire = status.tripwires.iter().find(|wire| wire.id == "engine-dead");
        if wire.is_some_and(|wire| wire.state == state) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
}
