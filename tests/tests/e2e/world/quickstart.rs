//! The life of a stack, end to end: applied, scraping, alerting, changed, edited by hand, deleted, taken up
//! again. One cluster, one story, in order: each step needs the one before.

use std::time::Duration;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use obstack_crds::status::{ComponentState, ComponentStatus};
use obstack_crds::{Component, DecisionRecord, ObservabilityStack};
use obstack_tests::ask;
use obstack_tests::receiver::Receiver;
use obstack_tests::wait::{throughout, until};
use obstack_tests::world::{NAMESPACE, World};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_stack() {
    let receiver = Receiver::start().await.unwrap();
    let world = World::start().await;
    world.secret("slack", &[("url", &receiver.url)]).await;
    world.apply_example("quickstart.yaml").await;
    world.patch_stack("main", quick_alerts()).await;

    becomes_live(&world).await;
    logs_are_read_through_the_api(&world).await;
    scrapes_everything(&world).await;
    an_alert_arrives(&world, &receiver).await;
    a_change_becomes_live_without_a_restart(&world).await;
    a_hand_edit_is_put_back_and_an_addition_stays(&world).await;
    volumes_and_records_outlive_the_stack(&world).await;
    // A claim of any other pod: the cluster is up, and its start costs more than this.
    super::volumes::a_claim_is_bound_to_a_volume_that_goes_with_it(world.server()).await;
    world.stop().await;
}

/// Slack, and intervals that a test can wait for.
fn quick_alerts() -> Value {
    json!({ "spec": {
        "requirements": { "scrapeInterval": "2s" },
        "metrics": { "evaluationInterval": "1s", "alertResendDelay": "2s" },
        "alerting": {
            "route": { "receiver": "team", "groupWait": "1s", "groupInterval": "2s", "repeatInterval": "1h" },
            "receivers": [{
                "name": "team",
                "slack": [{ "apiUrl": { "name": "slack", "key": "url" }, "channel": "#alerts" }]
            }]
        }
    } })
}

fn component(stack: &ObservabilityStack, wanted: Component) -> Option<ComponentStatus> {
    let status = stack.status.as_ref()?;
    status.components.iter().find(|c| c.component == wanted).cloned()
}

async fn becomes_live(world: &World) {
    world.live("main", BOUND).await;
    // An engine runs what is wanted a moment before its pod counts as ready.
    let stack = until("the components that can run to be Ready", BOUND, || async {
        let stack = world.stack("main").await;
        let state = |wanted| component(&stack, wanted).map(|found| found.state);
        let states = [Component::MetricsStore, Component::Alerting, Component::Dashboards].map(state);
        let settled = [ComponentState::Ready, ComponentState::Ready, ComponentState::Pending].map(Some);
        if states == settled { Ok(stack) } else { Err(states) }
    })
    .await;
    // Grafana has no binary here: its pod stays Pending, the status says why, and nothing else waits for it.
    let dashboards = component(&stack, Component::Dashboards).unwrap();
    assert!(dashboards.message.clone().unwrap_or_default().contains("grafana"), "{dashboards:?}");
    let ready = World::condition(&stack, "Ready").unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "ComponentsPending"));
}

/// What `kubectl logs` does with its options.
async fn logs_are_read_through_the_api(world: &World) {
    let pods: Api<Pod> = Api::namespaced(world.client(), NAMESPACE);
    let read = |params: LogParams| {
        let params = LogParams { container: Some("prometheus".to_owned()), ..params };
        let pods = pods.clone();
        async move { pods.logs("main-metrics-0", &params).await }
    };
    let all = read(LogParams::default()).await.unwrap();
    assert!(all.lines().count() > 3 && all.contains("Server is ready"), "{all}");
    let last =
        read(LogParams { tail_lines: Some(1), timestamps: true, ..LogParams::default() }).await.unwrap();
    assert_eq!(last.lines().count(), 1, "{last}");
    assert!(last.split(' ').next().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()), "{last}");
    let refused = read(LogParams { previous: true, ..LogParams::default() }).await.unwrap_err().to_string();
    assert!(refused.contains("previous terminated container"), "{refused}");

    let params = LogParams { follow: true, tail_lines: Some(1), ..LogParams::default() };
    let mut following = pods.log_stream("main-alerting-0", &alertmanager(params)).await.unwrap().lines();
    let line = tokio::time::timeout(BOUND, following.try_next()).await.unwrap().unwrap();
    assert!(line.is_some_and(|line| !line.is_empty()));
}

fn alertmanager(params: LogParams) -> LogParams {
    LogParams { container: Some("alertmanager".to_owned()), ..params }
}

async fn scrapes_everything(world: &World) {
    let prometheus = world.url("main", "metrics").await;
    // Found by discovery: no address stands in the configuration.
    let config = ask::json(&format!("{prometheus}/api/v1/status/config")).await.unwrap();
    assert!(!config["data"]["yaml"].as_str().unwrap().contains("static_configs"));
    for (what, selector, count) in [
        ("itself", r#"up{job=~".*metrics.*",pod="main-metrics-0"}"#, 1),
        ("Alertmanager", r#"up{pod="main-alerting-0",job!~".*reloader.*"}"#, 1),
        ("the operator", r#"up{namespace="obstack-system"}"#, 1),
        ("the example application", r#"up{pod=~"example-app-.*"}"#, 2),
    ] {
        until(&format!("Prometheus to scrape {what}"), BOUND, || async {
            // A pod that was replaced leaves its last sample for as long as Prometheus looks back.
            let fresh = format!("{selector} == 1 and timestamp({selector}) > time() - 45");
            let found = ask::query(&prometheus, &fresh).await?;
            if found.len() == count { Ok(()) } else { Err(format!("{} targets: {found:?}", found.len())) }
        })
        .await;
    }
}

async fn an_alert_arrives(world: &World, receiver: &Receiver) {
    for pod in world.pods("app=example-app").await {
        let ip = pod.status.and_then(|status| status.pod_ip).unwrap();
        let url = format!("http://{ip}:8080/set?value=95");
        reqwest::Client::new().post(url).send().await.unwrap().error_for_status().unwrap();
    }
    let body = until("the alert in Slack's shape", BOUND, || async {
        receiver.mentioning("ExampleTooHot").first().cloned().ok_or_else(|| receiver.bodies())
    })
    .await;
    assert_eq!(body["channel"], "#alerts");
    let attachment = &body["attachments"][0];
    assert!(attachment["title"].as_str().unwrap_or_default().contains("ExampleTooHot"), "{body}");
    assert!(attachment["text"].as_str().unwrap_or_default().contains("95 degrees"), "{body}");
}

async fn a_change_becomes_live_without_a_restart(world: &World) {
    let before = world.pods("obstack.io/stack=main").await;
    let group = json!({ "name": "added", "rules": [{ "record": "added:up:sum", "expr": "sum(up)" }] });
    let example = serde_json::to_value(&world.stack("main").await.spec.rules.groups[0]).unwrap();
    world.patch_stack("main", json!({ "spec": { "rules": { "groups": [example, group] } } })).await;
    world.live("main", BOUND).await;
    let prometheus = world.url("main", "metrics").await;
    until("the new rule to record", BOUND, || async {
        let found = ask::query(&prometheus, "added:up:sum").await?;
        if found.is_empty() { Err("no sample") } else { Ok(()) }.map_err(ToOwned::to_owned)
    })
    .await;
    let key = |pods: &[Pod]| {
        let mut keys: Vec<_> = pods.iter().map(|pod| (pod.name_any(), pod.uid(), restarts(pod))).collect();
        keys.sort();
        keys
    };
    assert_eq!(
        key(&before),
        key(&world.pods("obstack.io/stack=main").await),
        "a change of rules restarts nothing"
    );
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
    statuses.unwrap_or_default().iter().map(|container| container.restart_count).sum()
}

async fn a_hand_edit_is_put_back_and_an_addition_stays(world: &World) {
    let merge = PatchParams::default();
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(world.client(), NAMESPACE);
    let edit = json!({ "spec": { "maxUnavailable": 0 } });
    budgets.patch("main-metrics", &merge, &Patch::Merge(edit)).await.unwrap();
    until("the edited budget to be put back", BOUND, || async {
        let found = budgets.get("main-metrics").await.map_err(|e| e.to_string())?;
        let found = serde_json::to_value(&found.spec).unwrap();
        if found["maxUnavailable"] == 1 { Ok(()) } else { Err(found.to_string()) }
    })
    .await;

    // On the Deployment that has no binary here, so that the edit rolls out nothing that the story needs.
    let deployments: Api<Deployment> = Api::namespaced(world.client(), NAMESPACE);
    let addition = json!({
        "metadata": { "annotations": { "team.example.com/owner": "somebody" } },
        "spec": { "template": { "spec": { "containers": [
            { "name": "grafana", "image": "edited.example.com/grafana:1" },
            { "name": "sidecar", "image": "sidecar.example.com/sidecar:1" }
        ] } } }
    });
    deployments.patch("main-dashboards", &merge, &Patch::Strategic(addition)).await.unwrap();
    let additions = |deployment: &Deployment| {
        let containers = deployment.spec.template.spec.clone().unwrap().containers;
        let image = |name: &str| containers.iter().find(|c| c.name == name).and_then(|c| c.image.clone());
        let owner = deployment.annotations().get("team.example.com/owner").cloned();
        (image("grafana").unwrap_or_default(), image("sidecar"), owner)
    };
    until("the edited image to be put back", BOUND, || async {
        let found = additions(&deployments.get("main-dashboards").await.map_err(|e| e.to_string())?);
        if found.0.contains("edited") { Err(format!("{found:?}")) } else { Ok(()) }
    })
    .await;
    throughout("what others added", Duration::from_secs(5), || async {
        let found = additions(&deployments.get("main-dashboards").await.map_err(|e| e.to_string())?);
        if found.1.is_some() && found.2.is_some() { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

async fn volumes_and_records_outlive_the_stack(world: &World) {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(world.client(), NAMESPACE);
    let records: Api<DecisionRecord> = Api::namespaced(world.client(), NAMESPACE);
    let uids = |mut list: Vec<(String, Option<String>)>| {
        list.sort();
        list
    };
    let all = ListParams::default();
    let claims_before =
        uids(claims.list(&all).await.unwrap().iter().map(|c| (c.name_any(), c.uid())).collect());
    let records_before =
        uids(records.list(&all).await.unwrap().iter().map(|r| (r.name_any(), r.uid())).collect());
    assert!(!claims_before.is_empty() && records_before.len() >= Component::ALL.len());
    let then = jiff::Timestamp::now().as_second();

    let stack = world.stack("main").await;
    let stacks: Api<ObservabilityStack> = Api::namespaced(world.client(), NAMESPACE);
    stacks.delete("main", &DeleteParams::default()).await.unwrap();
    until("everything that the stack owned to be gone", BOUND, || async {
        let left = world.owned_by_obstack().await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    let now = uids(claims.list(&all).await.unwrap().iter().map(|c| (c.name_any(), c.uid())).collect());
    assert_eq!(now, claims_before, "volumes stay");
    let now = uids(records.list(&all).await.unwrap().iter().map(|r| (r.name_any(), r.uid())).collect());
    assert_eq!(now, records_before, "records stay");

    let again = ObservabilityStack::new("main", stack.spec);
    stacks.create(&Default::default(), &again).await.unwrap();
    world.live("main", BOUND).await;
    let now = uids(claims.list(&all).await.unwrap().iter().map(|c| (c.name_any(), c.uid())).collect());
    assert_eq!(now, claims_before, "a stack of the same name takes the volumes up");
    let prometheus = world.url("main", "metrics").await;
    let url = format!("{prometheus}/api/v1/query?query=up&time={then}");
    let answer = ask::json(&url).await.unwrap();
    assert!(
        !answer["data"]["result"].as_array().unwrap().is_empty(),
        "samples from before are there: {answer}"
    );
    let now = uids(records.list(&all).await.unwrap().iter().map(|r| (r.name_any(), r.uid())).collect());
    assert_eq!(now, records_before, "the same decisions need no new records");
}
