//! Workload controllers with the real kubelet. Needs bubblewrap and the real parts (`scripts/parts`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test says what broke"
)]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, ResourceExt};
use obstack_sandbox::cluster::Options;
use serde_json::{Value, json};
use support::{TestCluster, apply, eventually, get_text, is_ready};

/// A StatefulSet whose pods keep their number in their volume, and find each other by name.
fn stateful_set(replicas: i32, text: &str) -> Value {
    let script = format!(
        "hostname >> /data/names; echo {text} > /data/text; \
         until getent hosts web-0.web-headless.default.svc; do sleep 0.2; done; sleep 1000"
    );
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "serviceName": "web-headless",
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{
                        "name": "main", "image": "example-app", "command": ["/bin/sh", "-c", script],
                        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
                    }],
                },
            },
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
            }],
        },
    })
}

async fn rolled_out(sets: &Api<StatefulSet>, replicas: i32) {
    eventually("the StatefulSet is rolled out", async || {
        let set = sets.get("web").await.map_err(|error| error.to_string())?;
        let status = set.status.clone().unwrap_or_default();
        let done = status.observed_generation == set.metadata.generation
            && status.ready_replicas.unwrap_or(0) == replicas
            && status.replicas == replicas
            && status.updated_replicas.unwrap_or(0) == replicas
            && status.current_revision == status.update_revision;
        if done { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_keeps_its_volumes_through_updates_and_a_new_start() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    apply(
        &client,
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "web-headless", "namespace": "default" },
            "spec": {
                "clusterIP": "None", "publishNotReadyAddresses": true,
                "selector": { "app": "web" }, "ports": [{ "port": 80 }],
            },
        }),
    )
    .await;
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), "default");
    apply(&client, stateful_set(2, "one")).await;
    rolled_out(&sets, 2).await;
    let volume = |claim: &str| {
        let root = cluster.cluster().state().join("volumes");
        let start = format!("default_{claim}_");
        let mut folders = std::fs::read_dir(root).unwrap().flatten().map(|entry| entry.path());
        folders.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(&start)).unwrap()
    };
    let read = async |claim: &str, file: &str, expected: &str| {
        let path = volume(claim).join(file);
        eventually(&format!("{file} of {claim} is {expected:?}"), async || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if text == expected { Ok(()) } else { Err(text) }
        })
        .await;
    };
    read("data-web-1", "text", "one\n").await;

    apply(&client, stateful_set(2, "two")).await;
    rolled_out(&sets, 2).await;
    read("data-web-0", "text", "two\n").await;
    read("data-web-0", "names", "web-0\nweb-0\n").await;

    sets.delete("web", &DeleteParams::default()).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    eventually("all pods are gone", async || {
        let left = pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} pods")) }
    })
    .await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), "default");
    assert_eq!(claims.list(&ListParams::default()).await.unwrap().items.len(), 2, "claims outlive their set");
    apply(&client, stateful_set(2, "three")).await;
    rolled_out(&sets, 2).await;
    read("data-web-0", "names", "web-0\nweb-0\nweb-0\n").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_rolls_over_without_a_gap_at_its_service() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    let deployment = |version: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "app", "namespace": "default" },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "app": "app" } },
                "template": {
                    "metadata": { "labels": { "app": "app", "version": version } },
                    "spec": { "containers": [{
                        "name": "app", "image": "ghcr.io/obstack/example-app:0.1.0",
                        "ports": [{ "name": "http", "containerPort": 8080 }],
                        "readinessProbe": { "httpGet": { "path": "/healthz", "port": "http" } },
                        "lifecycle": { "preStop": { "sleep": { "seconds": 1 } } },
                    }] },
                },
            },
        })
    };
    apply(&client, deployment("1")).await;
    apply(
        &client,
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "app", "namespace": "default" },
            "spec": { "selector": { "app": "app" }, "ports": [{ "name": "http", "port": 8081, "targetPort": "http" }] },
        }),
    )
    .await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
    let rolled_out = async || {
        eventually("the Deployment is rolled out", async || {
            let deployment = deployments.get("app").await.map_err(|error| error.to_string())?;
            let status = deployment.status.clone().unwrap_or_default();
            let done = status.observed_generation == deployment.metadata.generation
                && status.updated_replicas == Some(2)
                && status.available_replicas == Some(2)
                && status.replicas == Some(2);
            if done { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    };
    rolled_out().await;
    let services: Api<k8s_openapi::api::core::v1::Service> = Api::namespaced(client.clone(), "default");
    let address = services.get("app").await.unwrap().spec.unwrap().cluster_ip.unwrap();
    let url = format!("http://{address}:8081/healthz");
    eventually("the Service answers", async || get_text(&url).await).await;
    apply(&client, deployment("2")).await;
    let (done, mut stop) = tokio::sync::watch::channel(false);
    let asking = async {
        let mut answers = 0;
        while !*stop.borrow_and_update() {
            get_text(&url).await.expect("the Service always answers");
            answers += 1;
        }
        answers
    };
    let rolling = async {
        rolled_out().await;
        done.send_replace(true);
    };
    let (answers, ()) = tokio::join!(asking, rolling);
    assert!(answers > 0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_to_its_end() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    apply(
        &client,
        json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "job", "namespace": "default" },
            "spec": { "completions": 3, "parallelism": 2, "template": { "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": "c", "image": "example-app", "command": ["/bin/sh", "-c", "exit 0"] }],
            } } },
        }),
    )
    .await;
    let jobs: Api<Job> = Api::namespaced(client, "default");
    eventually("the job is complete", async || {
        let status = jobs.get("job").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let complete = status.conditions.iter().flatten().any(|condition| condition.type_ == "Complete");
        if complete && status.succeeded == Some(3) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { state: Some(folder.path().join("state")), ..Options::default() };
    let cluster = TestCluster::start_with(options()).await;
    let headless = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web-headless", "namespace": "default" },
        "spec": { "clusterIP": "None", "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
    });
    apply(&cluster.client(), headless).await;
    apply(&cluster.client(), stateful_set(1, "x")).await;
    rolled_out(&Api::namespaced(cluster.client(), "default"), 1).await;
    let before = Api::<Pod>::namespaced(cluster.client(), "default").get("web-0").await.unwrap();
    let orphan = cluster.cluster().state().join("pods/gone");
    cluster.stop().await;
    std::fs::create_dir(&orphan).unwrap();

    let cluster = TestCluster::start_with(options()).await;
    let pods: Api<Pod> = Api::namespaced(cluster.client(), "default");
    let after = eventually("the pod runs again", async || {
        let pod = pods.get("web-0").await.map_err(|error| error.to_string())?;
        let status = pod.status.clone().unwrap_or_default();
        let restarts =
            status.container_statuses.unwrap_or_default().first().map_or(0, |one| one.restart_count);
        if restarts == 1 && is_ready(&pod) { Ok(pod) } else { Err(format!("{:?}", pod.status)) }
    })
    .await;
    assert_eq!(after.uid(), before.uid());
    assert_eq!(after.status.unwrap().pod_ip, before.status.unwrap().pod_ip);
    assert!(!orphan.exists(), "folders of pods that are gone are removed");
    cluster.stop().await;
}

/// Nothing but Leases is written while nothing happens.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_at_rest_is_not_written_to() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    apply(&client, stateful_set(1, "rest")).await;
    let headless = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web-headless", "namespace": "default" },
        "spec": { "clusterIP": "None", "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
    });
    apply(&client, headless).await;
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), "default");
    rolled_out(&sets, 1).await;
    // Rest begins when a second has passed without a write; it must then last.
    let api = cluster.cluster().api();
    let written_since = |index: u64| {
        let entries = api.audit_since(index).into_iter();
        entries.filter(|entry| entry.changed && entry.request.resource != "leases").collect::<Vec<_>>()
    };
    eventually("the cluster comes to rest", async || {
        let index = api.audit_next();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let written = written_since(index);
        if written.is_empty() { Ok(()) } else { Err(format!("{written:?}")) }
    })
    .await;
    let index = api.audit_next();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mutating: Vec<_> = api
        .audit_since(index)
        .into_iter()
        .filter(|entry| !matches!(entry.request.verb.as_str(), "get" | "list" | "watch"))
        .filter(|entry| entry.request.resource != "leases")
        .collect();
    assert!(mutating.is_empty(), "{mutating:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alertmanagers_find_each_other_by_name() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    apply(
        &client,
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c", "namespace": "default" },
            "data": { "alertmanager.yml": "route: {receiver: none}\nreceivers: [{name: none}]\n" },
        }),
    )
    .await;
    apply(
        &client,
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "am", "namespace": "default" },
            "spec": {
                "clusterIP": "None", "publishNotReadyAddresses": true,
                "selector": { "app": "am" }, "ports": [{ "name": "http", "port": 9093 }],
            },
        }),
    )
    .await;
    apply(
        &client,
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "am", "namespace": "default" },
            "spec": {
                "replicas": 2, "serviceName": "am", "podManagementPolicy": "Parallel",
                "selector": { "matchLabels": { "app": "am" } },
                "template": { "metadata": { "labels": { "app": "am" } }, "spec": {
                    "volumes": [{ "name": "c", "configMap": { "name": "c" } }],
                    "containers": [{
                        "name": "alertmanager", "image": "quay.io/prometheus/alertmanager:v1",
                        "env": [{ "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }],
                        "args": [
                            "--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager",
                            "--cluster.listen-address=[$(POD_IP)]:9094",
                            "--cluster.peer=am-0.am.default.svc:9094", "--cluster.peer=am-1.am.default.svc:9094",
                            "--cluster.reconnect-interval=1s",
                        ],
                        "readinessProbe": { "httpGet": { "path": "/-/ready", "port": 9093 } },
                        "volumeMounts": [{ "name": "c", "mountPath": "/etc/alertmanager" }],
                    }],
                } },
            },
        }),
    )
    .await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    for name in ["am-0", "am-1"] {
        eventually(&format!("{name} knows both peers"), async || {
            let pod = pods.get(name).await.map_err(|error| error.to_string())?;
            if !is_ready(&pod) {
                return Err(format!("{:?}", pod.status));
            }
            let address = pod.status.and_then(|status| status.pod_ip).unwrap_or_default();
            let text = get_text(&format!("http://{address}:9093/api/v2/status")).await?;
            let status: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let peers: BTreeSet<_> = status["cluster"]["peers"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|peer| peer["address"].as_str().map(str::to_owned))
                .collect();
            if peers.len() == 2 { Ok(()) } else { Err(text) }
        })
        .await;
    }
    cluster.stop().await;
}

/// A label that somebody adds to a pod in passing must not be undone by a controller.
#[tokio::test(flavor = "multi_thread")]
async fn controllers_leave_alone_what_others_add() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    apply(&client, stateful_set(1, "x")).await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let pod = eventually("the pod is there", async || pods.get("web-0").await).await;
    let patch = json!({ "metadata": { "labels": { "mine": "yes" } } });
    pods.patch("web-0", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let after = eventually("the pod runs", async || {
        let pod = pods.get("web-0").await.map_err(|error| error.to_string())?;
        if is_ready(&pod) { Ok(pod) } else { Err(format!("{:?}", pod.status)) }
    })
    .await;
    assert_eq!(after.uid(), pod.uid());
    assert_eq!(after.labels()["mine"], "yes");
    cluster.stop().await;
}
