//! What a cluster comes to serve later is noticed when it comes, and nothing is asked meanwhile.

use std::time::Duration;

use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams};
use kube::core::GroupVersionKind;
use obstack::observe::cluster::Cluster;
use obstack::observe::foreign::Foreign;
use obstack::observe::stores::{Scope, Trigger};
use obstack::observe::{ClusterFacts, Fact, News};
use obstack::scrape::sources::SourceKind;
use obstack_tests::coreos;
use obstack_tests::wait::{throughout, until};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;

use super::bench::{BOUND, Bench};

const ROUTES: &str = "httproutes.gateway.networking.k8s.io";

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": ROUTES,
            "annotations": { "api-approved.kubernetes.io": "https://github.com/kubernetes/enhancements/pull/1111" }
        },
        "spec": {
            "group": "gateway.networking.k8s.io", "scope": "Namespaced",
            "names": { "kind": "HTTPRoute", "plural": "httproutes", "singular": "httproute" },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true
                } }
            }]
        }
    })
}

/// Waits until what is known is as wanted: far longer than it takes, and far shorter than it is believed unasked.
async fn known(cluster: &Cluster, what: &str, wanted: impl Fn(&ClusterFacts) -> bool) {
    until(what, BOUND, || async {
        match cluster.read().await {
            Fact::Known(facts) if wanted(&facts) => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_and_a_storage_class_that_come_later_are_noticed_at_once() {
    let bench = Bench::start().await;
    let (triggers, mut told) = unbounded_channel();
    let mut tasks = JoinSet::new();
    let cluster = Cluster::start(&bench.admin, &Scope::Cluster, &[], &triggers, &mut tasks);
    known(&cluster, "the first answer", |facts| !facts.http_route).await;
    until("both watches", BOUND, || async {
        let entries = bench.server().audit_since(0);
        // The cluster's own controllers watch whole objects.
        let watched = |resource: &str| {
            let mut asked = entries.iter().map(|entry| &entry.request);
            asked.any(|r| {
                r.verb == "watch" && r.resource == resource && r.accept.contains("PartialObjectMetadata")
            })
        };
        let both = watched("customresourcedefinitions") && watched("storageclasses");
        if both { Ok(()) } else { Err("not yet") }
    })
    .await;
    let from = bench.server().audit_next();
    throughout("nothing to be asked", Duration::from_secs(2), || async {
        let asked = bench.server().audit_since(from);
        if asked.is_empty() { Ok(()) } else { Err(format!("{asked:?}")) }
    })
    .await;
    assert!(told.try_recv().is_err(), "what was there at first is no news");

    let types = ApiResource::erase::<CustomResourceDefinition>(&());
    bench.put(&types, None, definition()).await;
    known(&cluster, "the type to be noticed", |facts| facts.http_route).await;
    assert_eq!(told.recv().await, Some(Trigger::All), "every stack is looked at again");

    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.com/none",
        "metadata": {
            "name": "a-later-one", "annotations": { "storageclass.kubernetes.io/is-default-class": "true" }
        }
    });
    bench.put(&ApiResource::erase::<StorageClass>(&()), None, class).await;
    known(&cluster, "the class to be noticed", |facts| {
        facts.default_storage_class.as_deref() == Some("a-later-one")
    })
    .await;
    assert_eq!(told.recv().await, Some(Trigger::All));

    bench.api(&types, None).delete(ROUTES, &DeleteParams::default()).await.unwrap();
    known(&cluster, "the type to be missed", |facts| !facts.http_route).await;
    tasks.shutdown().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitors_whose_types_come_later_are_read_at_once() {
    let bench = Bench::start().await;
    let (triggers, _told) = unbounded_channel();
    let (mut tasks, news) = (JoinSet::new(), News::default());
    let foreign = Foreign::start(&bench.admin, &Scope::Cluster, &news, &triggers, &mut tasks);
    let _cluster = Cluster::start(&bench.admin, &Scope::Cluster, &[news], &triggers, &mut tasks);
    let asked = |from| {
        let entries = bench.server().audit_since(from);
        entries.iter().filter(|entry| entry.request.path == format!("/apis/{}", coreos::GROUP)).count()
    };
    until("the types to be asked for when definitions are watched", BOUND, || async {
        let asked = asked(0);
        if asked >= 2 && !foreign.is_pending() { Ok(()) } else { Err(asked) }
    })
    .await;
    let from = bench.server().audit_next();
    throughout("no type to be asked for", Duration::from_secs(11), || async {
        let asked = asked(from);
        if asked == 0 { Ok(()) } else { Err(asked) }
    })
    .await;

    let types = ApiResource::erase::<CustomResourceDefinition>(&());
    for definition in coreos::definitions() {
        bench.put(&types, None, definition).await;
    }
    let monitors = ApiResource::from_gvk(&GroupVersionKind::gvk(coreos::GROUP, "v1", "ServiceMonitor"));
    let spec = json!({ "selector": {}, "endpoints": [{ "port": "http" }] });
    let object = coreos::object("ServiceMonitor", "default", "late", spec);
    bench.put(&monitors, Some("default"), object).await;
    until("the monitor to be read", BOUND, || async {
        match foreign.read(SourceKind::ServiceMonitor) {
            Fact::Known(sources) if sources.iter().count() == 1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    tasks.shutdown().await;
    bench.stop().await;
}
