//! Real processes as pods of an embedded cluster. Needs bubblewrap and the real parts (`scripts/parts`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test says what broke"
)]

mod support;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Service};
use kube::Api;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, ResourceExt};
use serde_json::{Value, json};
use support::{TestCluster, apply, eventually, get_text, is_ready, shell_pod};

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
    apply(
        &client,
        json!({
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
                    "livenessProbe": { "exec": { "command": ["/bin/promtool", "--version"] } },
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
        }),
    )
    .await;
    apply(
        &client,
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "prometheus", "namespace": "default" },
            "spec": {
                "selector": { "app": "prometheus" },
                "ports": [{ "name": "web", "port": 9090, "targetPort": "web" }],
            },
        }),
    )
    .await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod = ready(&pods, "prometheus").await;
    let address = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
    assert!(get_text(&format!("http://{address}:9090/-/ready")).await.unwrap().contains("Ready"));

    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let service = services.get("prometheus").await.unwrap().spec.unwrap().cluster_ip.unwrap();
    eventually("the Service's address answers", async || {
        get_text(&format!("http://{service}:9090/-/healthy")).await
    })
    .await;

    let logs = pods.logs("prometheus", &LogParams::default()).await.unwrap();
    assert!(logs.contains("Server is ready to receive web requests"), "{logs}");

    pods.delete("prometheus", &DeleteParams::default()).await.unwrap();
    gone(&pods, "prometheus").await;
    assert!(get_text(&format!("http://{address}:9090/-/ready")).await.is_err(), "the process is gone");
    cluster.stop().await;
}

/// Waits until a pod is ready.
async fn ready(pods: &Api<Pod>, name: &str) -> Pod {
    eventually(&format!("{name} is ready"), async || {
        let pod = pods.get(name).await.map_err(|error| error.to_string())?;
        if is_ready(&pod) { Ok(pod) } else { Err(format!("{:?}", pod.status)) }
    })
    .await
}

async fn gone(pods: &Api<Pod>, name: &str) {
    eventually(&format!("{name} is gone"), async || match pods.get_opt(name).await {
        Ok(None) => Ok(()),
        other => Err(format!("{:?}", other.map(|pod| pod.map(|pod| pod.name_any())))),
    })
    .await;
}

/// The log of a container, once it holds a text.
async fn log_with(pods: &Api<Pod>, name: &str, text: &str) -> String {
    eventually(&format!("the log of {name} says {text:?}"), async || {
        let log = pods.logs(name, &LogParams::default()).await.map_err(|error| error.to_string())?;
        if log.contains(text) { Ok(log) } else { Err(log) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_its_user_its_names_and_its_account_and_may_not_write_to_its_root() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    apply(
        &client,
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "db", "namespace": "default" },
            "spec": { "selector": { "app": "none" }, "ports": [{ "port": 5432 }] },
        }),
    )
    .await;
    let script = r#"
        id -u; touch /tmp/x 2>/dev/null && echo wrote; touch /data/x && echo kept
        cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; echo
        head -c 2 /var/run/secrets/kubernetes.io/serviceaccount/token; echo
        grep -c BEGIN /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
        hostname; echo $URL; ls /work 2>/dev/null; ls / | tr '\n' ' '
        getent hosts db.default.svc | tr -s ' '; ls /proc | grep -c '^[0-9]'; echo end"#;
    let mut pod = shell_pod("inside", script);
    pod["spec"]["containers"][0]["env"] = json!([
        { "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
        { "name": "URL", "value": "http://$(IP)" },
    ]);
    pod["spec"]["containers"][0]["securityContext"] =
        json!({ "readOnlyRootFilesystem": true, "runAsUser": 1234 });
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    apply(&client, pod).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let log = log_with(&pods, "inside", "end").await;
    let address = pods.get("inside").await.unwrap().status.unwrap().pod_ip.unwrap();
    let services: Api<Service> = Api::namespaced(client, "default");
    let database = services.get("db").await.unwrap().spec.unwrap().cluster_ip.unwrap();
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(
        lines[..7],
        ["1234", "kept", "default", "ey", "1", "inside", &format!("http://{address}")],
        "{log}"
    );
    assert!(!log.contains("wrote"), "the root is read-only: {log}");
    assert!(log.contains(&format!("{database} ")), "{log}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_secrets_and_config_maps_reach_a_mounted_volume() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    let map = |text: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m", "namespace": "default" },
            "data": { "key": format!("{text}\n") },
        })
    };
    apply(&client, map("one")).await;
    let mut pod = shell_pod(
        "watcher",
        "while true; do cat /etc/deep/er/key /etc/deep/er/late 2>/dev/null; sleep 0.1; done",
    );
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "v", "mountPath": "/etc/deep/er" }]);
    pod["spec"]["volumes"] = json!([{ "name": "v", "projected": { "sources": [
        { "configMap": { "name": "m" } },
        { "secret": { "name": "s", "optional": true } },
    ] } }]);
    apply(&client, pod).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    log_with(&pods, "watcher", "one").await;
    apply(&client, map("two")).await;
    log_with(&pods, "watcher", "two").await;
    apply(
        &client,
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "namespace": "default" },
            "stringData": { "late": "three\n" },
        }),
    )
    .await;
    log_with(&pods, "watcher", "three").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_ends_is_restarted_with_a_back_off_and_its_last_log_is_kept() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    apply(&client, shell_pod("crash", "echo run; exit 7")).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let status = eventually("the back-off shows", async || {
        let pod = pods.get("crash").await.map_err(|error| error.to_string())?;
        let status = pod.status.unwrap_or_default().container_statuses.unwrap_or_default().pop();
        let status = status.ok_or("no status yet")?;
        let waiting = status.state.clone().and_then(|state| state.waiting).and_then(|waiting| waiting.reason);
        if waiting.as_deref() == Some("CrashLoopBackOff") { Ok(status) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert!(status.restart_count >= 1);
    assert_eq!(status.last_state.unwrap().terminated.unwrap().exit_code, 7);
    let previous = LogParams { previous: true, ..LogParams::default() };
    assert_eq!(pods.logs("crash", &previous).await.unwrap(), "run\n");
    let events: Api<Event> = Api::namespaced(client, "default");
    eventually("an Event tells of the back-off", async || {
        let events = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let told = events.iter().any(|event| event.reason.as_deref() == Some("BackOff"));
        if told { Ok(()) } else { Err(format!("{:?}", events.items)) }
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_binary_leaves_its_pod_pending_with_that_reason() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    let mut pod = shell_pod("grafana", "");
    pod["spec"]["containers"][0]["image"] = "docker.io/grafana/grafana:12.0".into();
    apply(&client, pod).await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    eventually("the reason shows", async || {
        let status = pods.get("grafana").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let waiting = status.container_statuses.clone().unwrap_or_default().pop();
        let waiting = waiting.and_then(|container| container.state).and_then(|state| state.waiting);
        let told = waiting.as_ref().is_some_and(|waiting| {
            waiting.reason.as_deref() == Some("ErrImagePull")
                && waiting.message.as_deref().is_some_and(|text| {
                    text.contains("no binary for image docker.io/grafana/grafana:12.0 on this machine")
                })
        });
        if told && status.phase.as_deref() == Some("Pending") { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn init_containers_run_in_order_and_a_sidecar_outlives_the_main_container() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    let container = |name: &str, script: &str| -> Value {
        json!({
            "name": name, "image": "example-app", "command": ["/bin/sh", "-c", script],
            "volumeMounts": [{ "name": "v", "mountPath": "/v" }],
        })
    };
    let mut sidecar =
        container("side", "trap 'cat /v/log > /v/seen; exit 0' TERM; while true; do sleep 0.05; done");
    sidecar["restartPolicy"] = "Always".into();
    apply(
        &client,
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "order", "namespace": "default" },
            "spec": {
                "restartPolicy": "Never",
                "volumes": [{ "name": "v", "emptyDir": {} }],
                "initContainers": [
                    container("first", "echo first >> /v/log"),
                    sidecar,
                    container("second", "echo second >> /v/log"),
                ],
                "containers": [container("main", "echo main >> /v/log; cat /v/log")],
            },
        }),
    )
    .await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let pod = eventually("the pod has succeeded", async || {
        let pod = pods.get("order").await.map_err(|error| error.to_string())?;
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone());
        let ended = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
        let ended =
            ended.filter(|one| one.state.as_ref().is_some_and(|state| state.terminated.is_some())).count();
        if phase.as_deref() == Some("Succeeded") && ended == 3 {
            Ok(pod)
        } else {
            Err(format!("{:?}", pod.status))
        }
    })
    .await;
    let main = LogParams { container: Some("main".to_owned()), ..LogParams::default() };
    assert_eq!(pods.logs("order", &main).await.unwrap(), "first\nsecond\nmain\n");
    let folder = cluster.cluster().state().join("pods").join(pod.uid().unwrap()).join("volumes/v");
    assert_eq!(std::fs::read_to_string(folder.join("seen")).unwrap(), "first\nsecond\nmain\n");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_liveness_probe_restarts_and_a_failing_readiness_probe_takes_out_of_the_service() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    let mut pod = shell_pod("probed", "touch /v/alive /v/ready; while true; do sleep 0.1; done");
    let probe = |file: &str| json!({ "exec": { "command": ["/bin/test", "-e", file] }, "periodSeconds": 1, "failureThreshold": 1 });
    pod["metadata"]["labels"] = json!({ "app": "probed" });
    pod["spec"]["terminationGracePeriodSeconds"] = 1.into();
    pod["spec"]["volumes"] = json!([{ "name": "v", "emptyDir": {} }]);
    let container = &mut pod["spec"]["containers"][0];
    container["volumeMounts"] = json!([{ "name": "v", "mountPath": "/v" }]);
    container["readinessProbe"] = probe("/v/ready");
    container["livenessProbe"] = probe("/v/alive");
    container["livenessProbe"]["initialDelaySeconds"] = 1.into();
    apply(&client, pod).await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    let pod = ready(&pods, "probed").await;
    let folder = cluster.cluster().state().join("pods").join(pod.uid().unwrap()).join("volumes/v");
    std::fs::remove_file(folder.join("ready")).unwrap();
    eventually("the pod is not ready", async || {
        let pod = pods.get("probed").await.map_err(|error| error.to_string())?;
        if is_ready(&pod) { Err("still ready".to_owned()) } else { Ok(()) }
    })
    .await;
    std::fs::remove_file(folder.join("alive")).unwrap();
    eventually("the container was restarted", async || {
        let status = pods.get("probed").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let restarts = status.container_statuses.unwrap_or_default()[0].restart_count;
        if restarts > 0 { Ok(()) } else { Err("not restarted".to_owned()) }
    })
    .await;
    ready(&pods, "probed").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_until_its_container_ends() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    let mut pod = shell_pod("talk", "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done");
    pod["spec"]["restartPolicy"] = "Never".into();
    apply(&client, pod).await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    log_with(&pods, "talk", "line 1").await;
    let follow = LogParams { follow: true, tail_lines: Some(1), ..LogParams::default() };
    let stream = pods.log_stream("talk", &follow).await.unwrap();
    let lines =
        tokio::time::timeout(std::time::Duration::from_secs(20), stream.lines().try_collect::<Vec<_>>());
    let lines = lines.await.expect("the stream ends with the container").unwrap();
    assert_eq!(lines.last().map(String::as_str), Some("line 5"));
    assert!(lines.len() < 6, "only the last line of those before: {lines:?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_told_to_end_before_it_listens_still_ends_by_itself() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    let mut pod = shell_pod("late", "echo deaf; sleep 1; trap 'exit 0' TERM; while true; do sleep 0.1; done");
    // Longer than any wait of this test.
    pod["spec"]["terminationGracePeriodSeconds"] = 600.into();
    apply(&client, pod).await;
    let pods: Api<Pod> = Api::namespaced(client, "default");
    log_with(&pods, "late", "deaf").await;
    pods.delete("late", &DeleteParams::default()).await.unwrap();
    gone(&pods, "late").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_for_a_secret_that_is_missing_and_says_so() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    let mut pod = shell_pod("waits", "echo $VALUE; sleep 100");
    pod["spec"]["containers"][0]["env"] =
        json!([{ "name": "VALUE", "valueFrom": { "secretKeyRef": { "name": "late", "key": "value" } } }]);
    apply(&client, pod).await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    eventually("the pod says what it waits for", async || {
        let status = pods.get("waits").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let text = format!("{status:?}");
        let told = text.contains("CreateContainerConfigError")
            && text.contains("late")
            && text.contains("not found");
        if told { Ok(()) } else { Err(text) }
    })
    .await;
    apply(
        &client,
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "late", "namespace": "default" },
            "stringData": { "value": "there" },
        }),
    )
    .await;
    log_with(&pods, "waits", "there").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_run_side_by_side() {
    let (first, second) = tokio::join!(TestCluster::start(), TestCluster::start());
    let mut addresses = Vec::new();
    for cluster in [&first, &second] {
        let mut pod = shell_pod("app", "");
        pod["spec"]["containers"][0] = json!({
            "name": "app", "image": "quay.io/prometheus/alertmanager:v1",
            "args": ["--config.file=/etc/alertmanager.yml", "--storage.path=/alertmanager"],
            "volumeMounts": [{ "name": "v", "mountPath": "/etc/alertmanager.yml", "subPath": "alertmanager.yml" }],
            "readinessProbe": { "httpGet": { "path": "/-/ready", "port": 9093 } },
        });
        pod["spec"]["volumes"] = json!([{ "name": "v", "configMap": { "name": "c" } }]);
        let maps: Api<ConfigMap> = Api::namespaced(cluster.client(), "default");
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" },
            "data": { "alertmanager.yml": "route: {receiver: none}\nreceivers: [{name: none}]\n" },
        });
        maps.patch("c", &PatchParams::apply("test"), &Patch::Apply(map)).await.unwrap();
        apply(&cluster.client(), pod).await;
        let pods: Api<Pod> = Api::namespaced(cluster.client(), "default");
        addresses.push(ready(&pods, "app").await.status.unwrap().pod_ip.unwrap());
    }
    assert_ne!(addresses[0], addresses[1]);
    for address in &addresses {
        assert_eq!(get_text(&format!("http://{address}:9093/-/healthy")).await.unwrap(), "OK");
    }
    first.stop().await;
    assert!(get_text(&format!("http://{}:9093/-/healthy", addresses[0])).await.is_err());
    assert!(get_text(&format!("http://{}:9093/-/healthy", addresses[1])).await.is_ok());
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_holds_more_memory_than_its_limit_is_killed_and_says_so() {
    let cluster = TestCluster::start().await;
    let client = cluster.client();
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    // A shell holds what it reads, as long as it does not become its last command.
    let hold = |mib: u32| format!("x=$(head -c {mib}M /dev/zero | tr '\\0' x)");
    let limited = |name: &str, script: String| {
        let mut pod = shell_pod(name, &script);
        pod["spec"]["restartPolicy"] = json!("Never");
        pod["spec"]["containers"][0]["resources"] = json!({ "limits": { "memory": "128Mi" } });
        pod
    };
    apply(&client, limited("greedy", format!("{}; sleep 600; :", hold(200)))).await;
    let three = format!("for each in 1 2 3; do ({}; sleep 600; :) & done; wait", hold(50));
    apply(&client, limited("together", three)).await;
    apply(&client, limited("modest", format!("{}; echo holds; sleep 3", hold(8)))).await;
    let ended = async |name: &str| {
        eventually(&format!("{name} ends"), async || {
            let status = pods.get(name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
            let state = status.container_statuses.unwrap_or_default().into_iter().next();
            let ended = state.and_then(|container| container.state?.terminated).ok_or("it runs")?;
            Ok::<_, String>((ended.reason.unwrap_or_default(), ended.exit_code))
        })
        .await
    };
    assert_eq!(ended("greedy").await, ("OOMKilled".to_owned(), 137));
    assert_eq!(ended("together").await, ("OOMKilled".to_owned(), 137), "all processes count together");
    assert_eq!(ended("modest").await, ("Completed".to_owned(), 0));
    cluster.stop().await;
}
