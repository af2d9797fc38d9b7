//! What everyday clients send: kube-rs watchers and discovery, tables for kubectl, impersonation, upserts.

use crate::harness::{config_map, deployment, pod, start, within};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Discovery};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

#[tokio::test]
async fn a_watcher_survives_compaction() {
    let api = start().await;
    for initial in [watcher::InitialListStrategy::ListWatch, watcher::InitialListStrategy::StreamingList] {
        let name = format!("map-{}", api.handle.resource_version());
        let config = watcher::Config { initial_list_strategy: initial, ..watcher::Config::default() };
        let maps: Api<ConfigMap> = Api::namespaced(api.client.clone(), "default");
        let mut stream = watcher(maps, config).default_backoff().applied_objects().boxed();
        let mut next = async |wanted: &str| {
            within(async {
                while stream.try_next().await.unwrap().unwrap().metadata.name.as_deref() != Some(wanted) {}
            })
            .await;
        };
        next("kube-root-ca.crt").await;
        api.post(MAPS, config_map(&name, json!({}))).await.ok();
        next(&name).await;
        api.handle.compact();
        let second = format!("{name}-second");
        api.post(MAPS, config_map(&second, json!({}))).await.ok();
        next(&second).await;
    }
}

#[tokio::test]
async fn discovery_in_both_forms_names_the_same() {
    let api = start().await;
    for crd in obstack_crds::all() {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        api.post(path, serde_json::to_value(&crd).unwrap()).await.ok();
    }
    let plain = Discovery::new(api.client.clone()).run().await.unwrap();
    let aggregated = Discovery::new(api.client.clone()).run_aggregated().await.unwrap();
    let kinds = |discovery: &Discovery| {
        let mut kinds: Vec<String> = discovery
            .groups()
            .flat_map(|g| g.recommended_resources())
            .map(|(r, _)| format!("{}/{}", r.group, r.plural))
            .collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(&plain), kinds(&aggregated));
    assert!(kinds(&plain).contains(&"obstack.io/observabilitystacks".to_owned()));
}

#[tokio::test]
async fn tables_show_what_kubectl_shows() {
    let api = start().await;
    let pods = "/api/v1/namespaces/default/pods";
    api.post(pods, pod("a")).await.ok();
    let status = json!({"status": {"phase": "Running", "containerStatuses": [
        {"name": "main", "ready": false, "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "image": "", "imageID": ""},
    ]}});
    api.merge(&format!("{pods}/a/status"), status).await.ok();
    api.post("/apis/apps/v1/namespaces/default/deployments", deployment("d")).await.ok();
    for (path, columns, cells) in [
        (
            pods,
            &["Name", "Ready", "Status", "Restarts", "Age"][..],
            &["a", "0/1", "CrashLoopBackOff", "2"][..],
        ),
        (
            "/apis/apps/v1/namespaces/default/deployments",
            &["Name", "Ready", "Up-to-date", "Available", "Age"],
            &["d", "0/1", "0", "0"],
        ),
    ] {
        let table = api.get_as(path, TABLE).await;
        let shown: Vec<&Value> =
            table["columnDefinitions"].as_array().unwrap().iter().filter(|c| c["priority"] == 0).collect();
        assert_eq!(shown.iter().map(|c| c["name"].as_str().unwrap()).collect::<Vec<_>>(), columns);
        let row: Vec<String> = table["rows"][0]["cells"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c.as_str().map_or_else(|| c.to_string(), str::to_owned))
            .collect();
        assert_eq!(row[..cells.len()], *cells);
    }
}

#[tokio::test]
async fn leases_are_put_in_place_and_others_need_a_version() {
    let api = start().await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    let lease = |holder: &str| {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
            "spec": {"holderIdentity": holder},
        })
    };
    let path = format!("{leases}/l");
    assert_eq!(api.put(&path, lease("a")).await.code, 201);
    let message = api.put(&path, lease("b")).await.error(422);
    assert_eq!(
        message,
        "Lease.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified \
         for an update"
    );
    assert_eq!(api.put(&format!("{MAPS}/none"), config_map("none", json!({}))).await.code, 404);
}

#[tokio::test]
async fn pages_of_a_list_belong_to_one_version() {
    let api = start().await;
    let path = "/api/v1/namespaces/kube-public/configmaps";
    for name in ["a", "b", "c"] {
        api.post(path, config_map(name, json!({"v": "old"}))).await.ok();
    }
    let first = api.get(&format!("{path}?limit=1")).await.ok();
    let token = first["metadata"]["continue"].as_str().unwrap();
    api.delete(&format!("{path}/b")).await.ok();
    api.merge(&format!("{path}/c"), json!({"data": {"v": "new"}})).await.ok();
    api.post(path, config_map("bb", json!({}))).await.ok();
    let rest = api.get(&format!("{path}?continue={token}")).await.ok();
    let items: Vec<String> = rest["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| {
            format!("{}={}", i["metadata"]["name"].as_str().unwrap(), i["data"]["v"].as_str().unwrap_or("-"))
        })
        .collect();
    assert_eq!(items, ["b=old", "c=old", "kube-root-ca.crt=-"]);
    let version = first["metadata"]["resourceVersion"].as_str().unwrap();
    let exact = api.get(&format!("{path}?resourceVersion={version}&resourceVersionMatch=Exact")).await.ok();
    assert_eq!(exact["items"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn what_is_left_out_is_named() {
    let api = start().await;
    for (path, what) in [
        (
            "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
            "horizontalpodautoscalers.autoscaling",
        ),
        (
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            "validatingwebhookconfigurations.admissionregistration.k8s.io",
        ),
        ("/api/v1/namespaces/default/replicationcontrollers", "replicationcontrollers"),
    ] {
        assert_eq!(api.get(path).await.error(501), format!("the sandbox does not serve {what}"));
    }
    assert_eq!(api.get("/api/v1/namespaces/default/nonsense").await.code, 404);
}

#[tokio::test]
async fn an_administrator_may_act_as_others() {
    let api = start().await;
    let request = axum::http::Request::get(MAPS)
        .header("impersonate-user", "system:serviceaccount:default:default")
        .body(kube::client::Body::empty())
        .unwrap();
    let response = api.client.send(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 403);
}

#[tokio::test]
async fn a_status_in_an_applied_object_belongs_to_nobody() {
    let api = start().await;
    let path = "/apis/apps/v1/namespaces/default/deployments/a";
    let mut body = deployment("a");
    body["status"] = json!({"replicas": 3});
    api.apply(path, "one", body.clone()).await.ok();
    api.merge(&format!("{path}/status?fieldManager=two"), json!({"status": {"replicas": 1}})).await.ok();
    let applied = api.apply(path, "one", body).await.ok();
    assert_eq!(applied["status"]["replicas"], 1);
}
