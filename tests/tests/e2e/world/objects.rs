//! Objects of `monitoring.coreos.com`, as charts bring them: they go in unchanged, one at fault is kept out by
//! itself, and all of it follows what changes.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use obstack_crds::Component;
use obstack_tests::receiver::Receiver;
use obstack_tests::wait::until;
use obstack_tests::world::{NAMESPACE, World};
use obstack_tests::{ask, coreos};
use serde_json::{Value, json};

/// For one step; most take some seconds.
const BOUND: Duration = Duration::from_secs(120);
/// What a status names at most, its last entry being how many more there are.
const SHOWN: usize = 32;
/// No URL, so that the object that refers to it is at fault.
const SECRET: &str = "not a url: notforyoureyes";
/// The job of the ServiceMonitor `web`.
const JOB: &str = "serviceMonitor/monitoring/web/0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_charts_bring_goes_in_and_one_at_fault_stays_out() {
    let world = World::start().await;
    let receiver = Receiver::start().await.unwrap();
    world.create_stack("main", spec()).await;
    // Volumes keep the size that they are made with: those of this spec, and not of the example's.
    world.live("main", BOUND).await;
    world.apply_example("quickstart.yaml").await;
    world.patch_stack("main", json!({ "spec": spec() })).await;
    world.live("main", BOUND).await;

    // The watches start when the types appear.
    for definition in coreos::definitions() {
        world.apply(&definition).await;
    }
    world.secret("login", &[("user", "me"), ("word", "first")]).await;
    for (kind, name, spec) in good(&receiver) {
        world.apply(&coreos::object(kind, NAMESPACE, name, spec)).await;
    }
    world.apply(&coreos::object("ServiceMonitor", NAMESPACE, "broken", broken())).await;
    let prometheus = world.url("main", "metrics").await;
    counted(&world, &[("ServiceMonitor", 2, 1), ("ScrapeConfig", 1, 0), ("PrometheusRule", 1, 0)]).await;
    targets(&prometheus, 2).await;
    let stack = world.live("main", BOUND).await;
    let rejected = &stack.status.unwrap().rejected;
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!(rejected[0].object, "ServiceMonitor/monitoring/broken");
    assert!(
        rejected[0].reason.starts_with("spec.endpoints[0].interval: found \"soon\"; write "),
        "{rejected:?}"
    );

    more_are_kept_out_than_a_status_holds(&world).await;

    // A rule of one object fires, and the route of another tells it.
    until("the alert at the receiver", BOUND, || async {
        if receiver.mentioning("FromAnObject").is_empty() { Err(receiver.bodies()) } else { Ok(()) }
    })
    .await;

    a_secret_is_rotated(&world).await;
    delete(&world, "ServiceMonitor", "web").await;
    targets(&prometheus, 0).await;

    // A type that goes takes its objects along, and nothing else.
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client());
    definitions.delete("servicemonitors.monitoring.coreos.com", &DeleteParams::default()).await.unwrap();
    counted(&world, &[("ScrapeConfig", 1, 0), ("PrometheusRule", 1, 0)]).await;
    world.live("main", BOUND).await;
    world.stop().await;
}

/// The status names the first of them, and the operator's own list all, without what Secrets hold; then they go.
async fn more_are_kept_out_than_a_status_holds(world: &World) {
    let names: Vec<String> = (0..SHOWN + 8).map(|number| format!("broken-{number}")).collect();
    for name in &names {
        world.apply(&coreos::object("ServiceMonitor", NAMESPACE, name, broken())).await;
    }
    // At fault by what its Secret holds.
    world.secret("no-url", &[("url", SECRET)]).await;
    let hook = json!({ "name": "hook", "slackConfigs": [{ "apiURL": { "name": "no-url", "key": "url" } }] });
    let leaky = json!({ "route": { "receiver": "hook" }, "receivers": [hook] });
    world.apply(&coreos::object("AlertmanagerConfig", NAMESPACE, "leaky", leaky)).await;

    let token = world.reader(NAMESPACE, "reader").await;
    let url = format!("{}/rejected.json", world.operator_url().await);
    let wanted = names.len() + 2;
    let text = until("everything that is kept out to be listed", BOUND, || async {
        let text = ask::with_token(&url, &token).await?;
        let lists: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let listed = lists[0]["rejected"].as_array().map_or(0, Vec::len);
        let shown = world.stack("main").await.status.unwrap_or_default().rejected;
        let says = shown.last().map(|last| last.object.clone()).unwrap_or_default();
        let more = format!("{} more", wanted - SHOWN + 1);
        let all = listed == wanted && shown.len() == SHOWN && says == more;
        if all { Ok(text) } else { Err(format!("{listed} of {wanted}; {} shown, {says:?}", shown.len())) }
    })
    .await;
    let lists: Value = serde_json::from_str(&text).unwrap();
    let list = &lists[0];
    assert_eq!((&list["namespace"], &list["name"]), (&json!(NAMESPACE), &json!("main")));
    assert_eq!((lists.as_array().unwrap().len(), &list["complete"]), (1, &json!(true)));
    let reason = |object: &str| {
        let mut rejected = list["rejected"].as_array().unwrap().iter();
        let found =
            rejected.find(|one| one["object"] == object).unwrap_or_else(|| panic!("{object}: {text}"));
        found["reason"].as_str().unwrap().to_owned()
    };
    for name in &names {
        let reason = reason(&format!("ServiceMonitor/{NAMESPACE}/{name}"));
        assert!(reason.starts_with("spec.endpoints[0].interval: found \"soon\"; write "), "{reason}");
    }
    assert!(!reason(&format!("AlertmanagerConfig/{NAMESPACE}/leaky")).is_empty());
    assert!(!text.contains("notforyoureyes"), "{text}");
    assert!(ask::text(&url).await.unwrap_err().contains("401"), "nobody reads it without a token");

    for name in &names {
        delete(world, "ServiceMonitor", name).await;
    }
    delete(world, "AlertmanagerConfig", "leaky").await;
    until("one to be left", BOUND, || async {
        let left = world.stack("main").await.status.unwrap_or_default().rejected;
        if left.len() == 1 { Ok(()) } else { Err(left.len()) }
    })
    .await;
}

fn spec() -> Value {
    json!({
        "environment": "dev",
        "requirements": { "activeSeries": "10k", "scrapeInterval": "2s" },
        "collection": { "services": false, "pods": false },
        "alerting": { "route": { "receiver": "nobody" }, "receivers": [{ "name": "nobody" }] }
    })
}

fn good(receiver: &Receiver) -> Vec<(&'static str, &'static str, Value)> {
    let key = |key: &str| json!({ "name": "login", "key": key });
    let login = json!({ "username": key("user"), "password": key("word") });
    let rule = json!({ "alert": "FromAnObject", "expr": "vector(1)", "labels": { "namespace": NAMESPACE } });
    vec![
        (
            "ServiceMonitor",
            "web",
            json!({ "selector": {}, "endpoints": [{ "port": "http", "interval": "1s" }] }),
        ),
        (
            "ServiceMonitor",
            "secret",
            json!({
                "selector": { "matchLabels": { "app": "none" } },
                "endpoints": [{ "port": "http", "basicAuth": login }]
            }),
        ),
        ("ScrapeConfig", "static", json!({ "staticConfigs": [{ "targets": ["127.0.0.1:9"] }] })),
        ("PrometheusRule", "rules", json!({ "groups": [{ "name": "own", "rules": [rule] }] })),
        (
            "AlertmanagerConfig",
            "team",
            json!({
                "route": { "receiver": "hook", "groupWait": "1s" },
                "receivers": [{ "name": "hook", "webhookConfigs": [{ "url": receiver.url }] }]
            }),
        ),
    ]
}

fn broken() -> Value {
    json!({ "selector": {}, "endpoints": [{ "port": "http", "interval": "soon" }] })
}

/// Prometheus scrapes so many targets for the ServiceMonitor `web`. It is asked for targets and not for samples: those
/// of a job that is gone stay for five minutes.
async fn targets(prometheus: &str, wanted: usize) {
    until("the targets of the ServiceMonitor", BOUND, || async {
        let answer = ask::json(&format!("{prometheus}/api/v1/targets?scrapePool={JOB}")).await?;
        let targets = answer["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
        let ours = |target: &&Value| {
            target["scrapePool"] == JOB
                && target["labels"]["service"] == "example-app"
                && target["labels"]["endpoint"] == "http"
                && target["health"] == "up"
        };
        let found = targets.iter().filter(ours).count();
        if found == wanted { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

/// The status says how many objects of each kind were taken and kept out; AlertmanagerConfigs are taken besides.
async fn counted(world: &World, wanted: &[(&str, i32, i32)]) {
    until("the objects to be counted", BOUND, || async {
        let objects = world.stack("main").await.status.unwrap_or_default().objects;
        let counts: Vec<(&str, i32, i32)> = objects
            .iter()
            .filter(|count| count.kind != "AlertmanagerConfig")
            .map(|count| (count.kind.as_str(), count.picked_up, count.rejected))
            .collect();
        if counts == wanted { Ok(()) } else { Err(format!("{objects:?}")) }
    })
    .await;
}

/// The content of a Secret that an object refers to becomes live as any change does.
async fn a_secret_is_rotated(world: &World) {
    let running = |stack: &obstack_crds::ObservabilityStack| {
        let mut components = stack.status.iter().flat_map(|status| &status.components);
        let store = components.find(|one| one.component == Component::MetricsStore);
        store.and_then(|one| one.config_running.clone())
    };
    let before = running(&world.live("main", BOUND).await);
    assert!(before.is_some());
    world.secret("login", &[("user", "me"), ("word", "second")]).await;
    until("another configuration to run", BOUND, || async {
        let now = running(&world.stack("main").await);
        if now.is_some() && now != before { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

async fn delete(world: &World, kind: &str, name: &str) {
    let version = if kind == "AlertmanagerConfig" { "v1alpha1" } else { "v1" };
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("monitoring.coreos.com", version, kind));
    let objects: Api<DynamicObject> = Api::namespaced_with(world.client(), NAMESPACE, &kind);
    objects.delete(name, &DeleteParams::default()).await.unwrap();
}
