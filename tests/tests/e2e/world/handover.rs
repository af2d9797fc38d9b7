//! Engines that are handed over to prometheus-operator and back. There is none here: the test says what one would
//! say in the status of its resources.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use obstack_crds::record::{ChosenBy, Phase};
use obstack_crds::status::ComponentState;
use obstack_crds::{Component, DecisionRecord, ObservabilityStack};
use obstack_tests::coreos;
use obstack_tests::wait::until;
use obstack_tests::world::{NAMESPACE, World};
use serde_json::{Value, json};

/// For one step; most take some seconds.
const BOUND: Duration = Duration::from_secs(120);
/// The resources that stand for workloads.
const RESOURCES: [(&str, &str); 2] = [("Prometheus", "main-metrics"), ("Alertmanager", "main-alerting")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_go_to_prometheus_operator_and_come_back_without_a_gap() {
    let world = World::start().await;
    world.create_stack("main", spec(&handed_over())).await;

    // Without its types nothing is handed over, and the rest of the stack goes on.
    let stack = condition(&world, "Degraded", "True", "TypesMissing").await;
    let message = World::condition(&stack, "Degraded").unwrap().message;
    assert!(message.contains("install prometheus-operator with its types"), "{message}");
    assert_eq!(state(&stack, Component::Delivery), Some(ComponentState::Pending));
    until("Grafana's Deployment", BOUND, || async {
        let deployments: Api<Deployment> = Api::namespaced(world.client(), NAMESPACE);
        let found = deployments.get_opt("main-dashboards").await.map_err(|error| error.to_string())?;
        found.map(drop).ok_or_else(|| "it is not there".to_owned())
    })
    .await;
    assert_eq!(sets(&world).await, Vec::<String>::new());

    // Grafana cannot run here, and would keep the stack from being ready.
    let none = json!({ "choose": "None", "because": "another team has them" });
    world.patch_stack("main", json!({ "spec": { "decisions": { "dashboards": none } } })).await;

    // They appear, and so do the resources.
    for definition in coreos::definitions() {
        world.apply(&definition).await;
    }
    for (kind, name) in RESOURCES {
        there(&world, kind, name).await;
    }
    there(&world, "PrometheusRule", "main-metrics-library-general").await;
    assert_eq!(sets(&world).await, Vec::<String>::new(), "no workload of ours");
    let stack = condition(&world, "ConfigurationLive", "Unknown", "RunByPrometheusOperator").await;
    let live = World::condition(&stack, "ConfigurationLive").unwrap();
    assert!(live.message.contains("choose Native in spec.decisions.delivery"), "{}", live.message);
    until("the record of the choice", BOUND, || async {
        let records: Api<DecisionRecord> = Api::namespaced(world.client(), NAMESPACE);
        let records = records.list(&Default::default()).await.map_err(|error| error.to_string())?;
        let phase = |record: &DecisionRecord| record.status.as_ref().and_then(|status| status.phase);
        let mut of_delivery = records.into_iter().filter(|r| r.spec.component == Component::Delivery);
        let in_force = of_delivery.find(|record| phase(record) == Some(Phase::Accepted));
        let spec = in_force.ok_or("none is in force")?.spec;
        let by_person = spec.chosen_by == ChosenBy::Person;
        let chosen = spec.chosen.as_deref() == Some("PrometheusOperator");
        if by_person && chosen { Ok(()) } else { Err(spec.statement) }
    })
    .await;
    until("the stack to wait for a word of prometheus-operator", BOUND, || async {
        let stack = condition(&world, "Ready", "False", "ComponentsProgressing").await;
        let message = World::condition(&stack, "Ready").unwrap().message;
        let waits = message.contains("has not said anything of Prometheus main-metrics yet");
        if waits { Ok(()) } else { Err(message) }
    })
    .await;

    // What it says of its resources is what the stack says.
    say(&world, "Prometheus", "main-metrics", "Reconciled", "False", "it cannot").await;
    let stack = condition(&world, "Ready", "False", "ComponentsPending").await;
    assert!(World::condition(&stack, "Ready").unwrap().message.contains("it cannot"));
    for (kind, name) in RESOURCES {
        say(&world, kind, name, "Available", "True", "").await;
    }
    condition(&world, "Ready", "True", "AllReady").await;
    condition(&world, "Degraded", "False", "AsExpected").await;
    world.quiet(Duration::from_secs(3), BOUND).await;

    // The word taken back, our own engines start, and only then the resources go.
    world.patch_stack("main", json!({ "spec": { "decisions": { "delivery": null } } })).await;
    world.live("main", BOUND).await;
    assert_eq!(sets(&world).await, ["main-alerting", "main-metrics"]);
    for (kind, name) in RESOURCES {
        gone(&world, kind, name).await;
    }
    gone(&world, "PrometheusRule", "main-metrics-library-general").await;

    // Handed over again, our own run until it says that its run.
    world.patch_stack("main", json!({ "spec": { "decisions": { "delivery": handed_over() } } })).await;
    for (kind, name) in RESOURCES {
        there(&world, kind, name).await;
    }
    say(&world, "Alertmanager", "main-alerting", "Available", "True", "").await;
    until("our own Alertmanager to go", BOUND, || async {
        let left = sets(&world).await;
        if left == ["main-metrics"] { Ok(()) } else { Err(left) }
    })
    .await;
    say(&world, "Prometheus", "main-metrics", "Available", "True", "").await;
    until("our own Prometheus to go", BOUND, || async {
        let left = sets(&world).await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    world.stop().await;
}

fn handed_over() -> Value {
    json!({ "choose": "PrometheusOperator", "because": "the platform team runs it" })
}

fn spec(delivery: &Value) -> Value {
    json!({
        "environment": "dev",
        "requirements": { "activeSeries": "10k", "scrapeInterval": "2s" },
        "decisions": { "delivery": delivery }
    })
}

fn api(world: &World, kind: &str) -> Api<DynamicObject> {
    let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk("monitoring.coreos.com", "v1", kind));
    if kind == "Prometheus" {
        "prometheuses".clone_into(&mut resource.plural);
    }
    Api::namespaced_with(world.client(), NAMESPACE, &resource)
}

async fn there(world: &World, kind: &str, name: &str) {
    until(&format!("{kind} {name}"), BOUND, || async {
        let found = api(world, kind).get_opt(name).await.map_err(|error| error.to_string())?;
        found.map(drop).ok_or_else(|| "it is not there".to_owned())
    })
    .await;
}

async fn gone(world: &World, kind: &str, name: &str) {
    until(&format!("{kind} {name} to go"), BOUND, || async {
        let found = api(world, kind).get_opt(name).await.map_err(|error| error.to_string())?;
        found.map_or(Ok(()), |_| Err("it is there".to_owned()))
    })
    .await;
}

/// Says of a resource what prometheus-operator would say.
async fn say(world: &World, kind: &str, name: &str, condition: &str, status: &str, message: &str) {
    let objects = api(world, kind);
    let generation = objects.get(name).await.unwrap().metadata.generation;
    let condition = json!({
        "type": condition, "status": status, "reason": "Said", "message": message,
        "observedGeneration": generation, "lastTransitionTime": "2026-11-01T00:00:00Z"
    });
    let status = json!({ "status": { "conditions": [condition], "availableReplicas": 1 } });
    objects.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

/// The names of our own stateful workloads, sorted.
async fn sets(world: &World) -> Vec<String> {
    let sets: Api<StatefulSet> = Api::namespaced(world.client(), NAMESPACE);
    let found = sets.list(&Default::default()).await.unwrap();
    let mut names: Vec<String> = found.into_iter().filter_map(|set| set.metadata.name).collect();
    names.sort();
    names
}

fn state(stack: &ObservabilityStack, component: Component) -> Option<ComponentState> {
    let components = &stack.status.as_ref()?.components;
    components.iter().find(|one| one.component == component).map(|one| one.state)
}

async fn condition(world: &World, kind: &str, status: &str, reason: &str) -> ObservabilityStack {
    until(&format!("{kind} {status} {reason}"), BOUND, || async {
        let stack = world.stack("main").await;
        let found = World::condition(&stack, kind);
        let is_it = found.as_ref().is_some_and(|found| found.status == status && found.reason == reason);
        if is_it { Ok(stack) } else { Err(format!("{:?}", stack.status)) }
    })
    .await
}
