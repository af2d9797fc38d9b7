//! Real processes as pods of an embedded cluster. Needs bubblewrap and the real parts (`scripts/parts`).

mod support;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ResourceExt};
use serde_json::json;
use support::{TestCluster, apply, eventually, get_text, is_ready};

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_by_hand_runs_prometheus_until_it_is_deleted() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    apply(
        &client,
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "config", "namespace": "default" },
            "data": { "prometheus.yml": "global:\n  scrape_interval: 1s\n" },
        }),
    )
    .await;
    apply(&client, json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "prometheus", "namespace": "default", "labels": { "app": "prometheus" } },
        "spec": {
            "terminationGracePeriodSeconds": 10,
            "securityContext": { "runAsNonRoot": true, "runAsUser": 65534 },
            "containers": [{
                "name": "prometheus",
                "image": "quay.io/prometheus/prometheus:v3.5.0",
                "securityContext": { "readOnlyRootFilesystem": true },
                "args": ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
                "ports": [{ "name": "web", "containerPort": 9090 }],
                "readinessProbe": { "httpGet": { "path": "/-/ready", "port": "web" } },
                "livenessProbe": { "exec": { "command": ["/bin/sh", "-c", "test -d /prometheus"] } },
                "volumeMounts": [
                    { "name": "config", "mountPath": "/etc/prometheus" },
                    { "name": "data", "mountPath": "/prometheus" },
                ],
            }],
            "volumes": [
                { "name": "config", "configMap": { "name": "config" } },
                { "name": "data", "emptyDir": {} },
            ],
        },
    })).await;
    apply(&client, json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "prometheus", "namespace": "default" },
        "spec": { "selector": { "app": "prometheus" }, "ports": [{ "name": "web", "port": 9090, "targetPort": "web" }] },
    })).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod = eventually("prometheus is ready", async || {
        let pod = pods.get("prometheus").await.map_err(|error| error.to_string())?;
        if is_ready(&pod) { Ok(pod) } else { Err(format!("{:?}", pod.status)) }
    })
    .await;
    let address = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
    assert!(get_text(&format!("http://{address}:9090/-/ready")).await.unwrap().contains("Ready"));

    let services: Api<k8s_openapi::api::core::v1::Service> = Api::namespaced(client.clone(), "default");
    let service = services.get("prometheus").await.unwrap().spec.unwrap().cluster_ip.unwrap();
    eventually("the Service's address answers", async || {
        get_text(&format!("http://{service}:9090/-/healthy")).await
    })
    .await;

    let logs = pods.logs("prometheus", &kube::api::LogParams::default()).await.unwrap();
    assert!(logs.contains("Server is ready to receive web requests"), "{logs}");

    pods.delete("prometheus", &DeleteParams::default()).await.unwrap();
    eventually("the pod is gone", async || match pods.get_opt("prometheus").await {
        Ok(None) => Ok(()),
        other => Err(format!("{:?}", other.map(|pod| pod.map(|pod| pod.name_any())))),
    })
    .await;
    assert!(get_text(&format!("http://{address}:9090/-/ready")).await.is_err(), "the process is gone");
    cluster.stop().await;
}
