//! Writes at rest, drift, and what others may add.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use obstack_tests::wait::{throughout, until};
use serde_json::json;

use super::bench::{BOUND, Bench, NAMESPACE, OPERATOR};

/// Longer than several resyncs of the operators of these tests.
const REST: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_at_rest_is_not_written_to() {
    let bench = Bench::start().await;
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    until("nothing to be on its way", BOUND, || async {
        let seen = bench.condition("Progressing").await;
        if seen == "False Settled" { Ok(()) } else { Err(seen) }
    })
    .await;
    bench.settled().await;
    let begun = bench.server().audit_next();
    let before = operator.metric("obstack_reconcile_seconds_count").await;
    throughout("a stack at rest", REST, || async {
        let writes = bench.writes_since(begun, OPERATOR);
        if writes.is_empty() { Ok(()) } else { Err(format!("{writes:?}")) }
    })
    .await;
    let after = operator.metric("obstack_reconcile_seconds_count").await;
    assert!(after >= before + 4.0, "it was looked at {} times in {REST:?}", after - before);

    // A new process knows nothing of the writes before; it applies, and nothing changes.
    operator.stop().await;
    let version = bench.server().resource_version();
    let operator = bench.operator().await;
    bench.settled().await;
    assert_eq!(bench.server().resource_version(), version);
    assert_eq!(operator.metric("obstack_drift_corrections_total{kind=\"StatefulSet\"}").await, 0.0);
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_edit_of_our_field_is_put_back_and_what_others_add_stays() {
    let bench = Bench::start().await;
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    bench.settled().await;

    let sets = bench.of("StatefulSet");
    let edit = json!({
        "metadata": { "annotations": { "example.com/owner": "somebody" } },
        "spec": { "replicas": 3, "template": {
            "metadata": { "annotations": { "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z" } },
            "spec": { "containers": [{ "name": "injected", "image": "example.com/sidecar:1" }] }
        } }
    });
    sets.patch("main-metrics", &PatchParams::default(), &Patch::Strategic(&edit)).await.unwrap();
    until("the field to be put back", BOUND, || async {
        let set = sets.get("main-metrics").await.unwrap();
        if set.data["spec"]["replicas"] == 1 { Ok(()) } else { Err(set.data["spec"]["replicas"].clone()) }
    })
    .await;
    bench.settled().await;
    let set = sets.get("main-metrics").await.unwrap();
    assert_eq!(set.annotations()["example.com/owner"], "somebody");
    let template = &set.data["spec"]["template"];
    assert_eq!(
        template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"],
        "2026-01-01T00:00:00Z"
    );
    let containers = template["spec"]["containers"].as_array().unwrap();
    assert!(containers.iter().any(|container| container["name"] == "injected"), "{containers:?}");
    assert_eq!(operator.metric("obstack_drift_corrections_total{kind=\"StatefulSet\"}").await, 1.0);

    let events = kube::api::ApiResource::erase::<k8s_openapi::api::events::v1::Event>(&());
    let events = bench.api(&events, Some(NAMESPACE)).list(&ListParams::default()).await.unwrap();
    let told: Vec<&str> = events
        .iter()
        .filter(|event| event.data["reason"] == "DriftCorrected")
        .filter_map(|event| event.data["note"].as_str())
        .collect();
    assert_eq!(told, ["StatefulSet/monitoring/main-metrics: put back spec.replicas"]);
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_object_is_made_anew_and_a_label_that_was_taken_off_is_put_back() {
    let bench = Bench::start().await;
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    bench.settled().await;
    bench.of("Service").delete("main-metrics", &DeleteParams::default()).await.unwrap();
    // Without its label the object is out of the watch's sight, and ours all the same.
    let unlabel = json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": null } } });
    let services = bench.of("Service");
    services.patch("main-alerting", &PatchParams::default(), &Patch::Merge(&unlabel)).await.unwrap();
    until("both to be put back", BOUND, || async {
        let made = services.get_opt("main-metrics").await.unwrap();
        let labelled = services.get("main-alerting").await.unwrap();
        let label = labelled.labels().get("app.kubernetes.io/managed-by").cloned();
        if made.is_some() && label.as_deref() == Some("obstack") { Ok(()) } else { Err(label) }
    })
    .await;
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_stack_is_not_corrected_until_it_goes_on() {
    let bench = Bench::start().await;
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    bench.settled().await;
    bench.stack(json!({ "paused": true })).await;
    until("the pause to be seen", BOUND, || async {
        let seen = bench.condition("Progressing").await;
        if seen == "False Paused" { Ok(()) } else { Err(seen) }
    })
    .await;
    let begun = bench.server().audit_next();
    let edit = json!({ "spec": { "replicas": 0 } });
    let sets = bench.of("StatefulSet");
    sets.patch("main-metrics", &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
    throughout("a paused stack", Duration::from_secs(3), || async {
        let writes = bench.writes_since(begun, OPERATOR);
        let of_objects = writes.iter().find(|entry| entry.request.resource != "observabilitystacks");
        of_objects.map_or(Ok(()), |entry| Err(entry.request.path.clone()))
    })
    .await;
    bench.stack(json!({ "paused": false })).await;
    until("the correction", BOUND, || async {
        let set = sets.get("main-metrics").await.unwrap();
        if set.data["spec"]["replicas"] == 1 { Ok(()) } else { Err(()) }
    })
    .await;
    operator.stop().await;
    bench.stop().await;
}
