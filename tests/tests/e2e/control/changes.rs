//! What follows a change: pruning, references, and the end of a stack.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ApiResource, DeleteParams, ListParams};
use kube::{CustomResourceExt, ResourceExt};
use obstack::observe::kinds::OWNED;
use obstack_crds::DecisionRecord;
use obstack_tests::wait::until;
use serde_json::{Value, json};

use super::bench::{BOUND, Bench, NAMESPACE};

/// Names of everything of a kind in the stack's namespace.
async fn names(bench: &Bench, kind: &str) -> BTreeSet<String> {
    let list = bench.of(kind).list(&ListParams::default()).await.unwrap();
    list.iter().map(ResourceExt::name_any).collect()
}

fn without_alerting() -> Value {
    json!({ "decisions": { "alerting": { "choose": "None", "because": "another team routes alerts" } } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_the_stack_owns_and_no_longer_wants_is_pruned() {
    let bench = Bench::start().await;
    let look_alike = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "main-alerting-notes", "namespace": NAMESPACE, "labels": {
            "app.kubernetes.io/managed-by": "obstack", "obstack.io/stack": "main", "obstack.io/role": "alerting"
        } }
    });
    bench.put(&ApiResource::erase::<ConfigMap>(&()), Some(NAMESPACE), look_alike).await;
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    bench.settled().await;
    assert!(names(&bench, "StatefulSet").await.contains("main-alerting"));

    bench.stack(without_alerting()).await;
    until("alerting to be pruned", BOUND, || async {
        let mut left = Vec::new();
        for kind in OWNED.iter().filter(|kind| !kind.cluster && !kind.is_handed_over()) {
            let names = names(&bench, kind.name).await;
            left.extend(names.into_iter().filter(|name| name.starts_with("main-alerting")));
        }
        if left == ["main-alerting-notes"] { Ok(()) } else { Err(left) }
    })
    .await;
    assert_eq!(names(&bench, "StatefulSet").await, BTreeSet::from(["main-metrics".to_owned()]));
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_that_cannot_be_deployed_keeps_what_runs() {
    let bench = Bench::start().await;
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    bench.settled().await;
    let other = json!({ "decisions": { "metricsStore": { "choose": "Mimir", "because": "we try it" } } });
    bench.stack(other).await;
    bench.settled().await;
    assert_eq!(bench.condition("Ready").await, "False NotDeployable");
    assert!(names(&bench, "StatefulSet").await.contains("main-metrics"));
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_secret_costs_its_receiver_and_is_taken_up_when_it_appears() {
    const CONTENT: &str = "https://hooks.example.com/services/T0/B0/notforyoureyes";
    let bench = Bench::start().await;
    bench
        .stack(json!({ "alerting": {
            "route": { "receiver": "team" },
            "receivers": [{ "name": "team", "slack": [{
                "apiUrl": { "name": "slack", "key": "url" }, "channel": "#alerts"
            }] }]
        } }))
        .await;
    let operator = bench.operator().await;
    bench.settled().await;
    let stack = bench.stacks().get("main").await.unwrap();
    let rejected = stack.status.unwrap_or_default().rejected;
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(rejected[0].reason.contains("slack"), "{rejected:?}");
    assert_eq!(bench.condition("Accepted").await, "True AcceptedInPart");

    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "slack", "namespace": NAMESPACE }, "stringData": { "url": CONTENT }
    });
    bench.put(&ApiResource::erase::<Secret>(&()), Some(NAMESPACE), secret).await;
    until("the Secret to be taken up", BOUND, || async {
        let stack = bench.stacks().get("main").await.unwrap();
        let rejected = stack.status.unwrap_or_default().rejected;
        if rejected.is_empty() { Ok(()) } else { Err(rejected) }
    })
    .await;
    bench.settled().await;
    for object in bench.state().await.iter().filter(|object| object["kind"] != "Secret") {
        assert!(!object.to_string().contains("notforyoureyes"), "{} tells", object["metadata"]["name"]);
    }
    let events = ApiResource::erase::<k8s_openapi::api::events::v1::Event>(&());
    let events = bench.api(&events, Some(NAMESPACE)).list(&ListParams::default()).await.unwrap();
    assert!(!serde_json::to_string(&events).unwrap().contains("notforyoureyes"));
    assert!(!operator.get("/metrics").await.1.contains("notforyoureyes"));
    assert!(!operator.get("/decisions").await.1.contains("notforyoureyes"));
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_stack_leaves_records_and_nothing_elsewhere() {
    let bench = Bench::start().await;
    // Discovery everywhere needs objects without a namespace, which no owner reference can reach.
    bench.stack(json!({ "collection": { "namespaces": ["*"] } })).await;
    let operator = bench.operator().await;
    bench.settled().await;
    assert_eq!(
        names(&bench, "ClusterRoleBinding").await.iter().filter(|n| n.starts_with("obstack:")).count(),
        1
    );
    let records: Api<DecisionRecord> = Api::namespaced(bench.admin.clone(), NAMESPACE);
    let before = records.list(&ListParams::default()).await.unwrap().items.len();
    assert_eq!(before, 8);
    let roles = bench.of("ClusterRole");
    let role = roles.get("obstack:monitoring:main:metrics").await.unwrap();

    bench.stacks().delete("main", &DeleteParams::background()).await.unwrap();
    until("everything of the stack to go", BOUND, || async {
        let left: Vec<Value> = bench
            .state()
            .await
            .into_iter()
            .filter(|object| object["kind"] != "DecisionRecord")
            .map(|object| json!([object["kind"], object["metadata"]["name"]]))
            .collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    // What a reconcile that was on its way makes only now goes too.
    let late = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": { "name": role.name_any(), "labels": role.labels() },
    });
    let kind = ApiResource::erase::<k8s_openapi::api::rbac::v1::ClusterRole>(&());
    bench.put(&kind, None, late).await;
    until("the late role to go", BOUND, || async {
        let left = roles.get_opt(&role.name_any()).await.unwrap();
        left.map_or(Ok(()), |left| Err(left.name_any()))
    })
    .await;
    assert_eq!(records.list(&ListParams::default()).await.unwrap().items.len(), before);
    let (_, metrics) = operator.get("/metrics").await;
    assert!(!metrics.contains("stack=\"main\""), "{metrics}");

    // A stack of the same name goes on with the records.
    bench.stack(json!({})).await;
    bench.settled().await;
    assert_eq!(records.list(&ListParams::default()).await.unwrap().items.len(), before);
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stack_left_while_no_operator_ran_is_swept_at_the_start() {
    let bench = Bench::start().await;
    bench.stack(json!({ "collection": { "namespaces": ["*"] } })).await;
    let operator = bench.operator().await;
    bench.settled().await;
    operator.stop().await;
    bench.stacks().delete("main", &DeleteParams::background()).await.unwrap();
    let roles = bench.of("ClusterRole");
    assert!(roles.get_opt("obstack:monitoring:main:metrics").await.unwrap().is_some());
    let operator = bench.operator().await;
    until("the sweep", BOUND, || async {
        let role = roles.get_opt("obstack:monitoring:main:metrics").await.unwrap();
        role.map_or(Ok(()), |role| Err(role.name_any()))
    })
    .await;
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_somebody_else_is_left_alone() {
    let bench = Bench::start().await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "main-metrics", "namespace": NAMESPACE },
        "spec": { "selector": { "app": "theirs" }, "ports": [{ "port": 80 }] }
    });
    let services = ApiResource::erase::<k8s_openapi::api::core::v1::Service>(&());
    bench.put(&services, Some(NAMESPACE), service).await;
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    bench.settled().await;
    assert_eq!(bench.condition("Degraded").await, "True NameTaken");
    let theirs = bench.of("Service").get("main-metrics").await.unwrap();
    assert_eq!(theirs.data["spec"]["selector"], json!({ "app": "theirs" }));
    // The other components go on.
    assert!(names(&bench, "StatefulSet").await.contains("main-alerting"));
    operator.stop().await;
    bench.stop().await;
}

/// Keeps the API types of the tests and those of the operator together.
#[test]
fn records_are_not_among_the_owned_kinds() {
    assert!(OWNED.iter().all(|kind| kind.name != DecisionRecord::api_resource().kind));
}
