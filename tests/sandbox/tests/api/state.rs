//! The store between runs, and faults.

use crate::harness::{Api, client, config_map, start, version, within};
use obstack_sandbox::api::{ApiServer, Config, Fault};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn start_in(folder: &std::path::Path) -> Api {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Config { state_dir: Some(folder.to_owned()), ..Config::default() };
    let handle = ApiServer::start(config).await.unwrap();
    let client = client(&handle.admin_kubeconfig()).await;
    Api { handle, client }
}

#[tokio::test]
async fn a_store_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = start_in(folder.path()).await;
    for crd in obstack_crds::all() {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        first.post(path, serde_json::to_value(&crd).unwrap()).await.ok();
    }
    let kept = first.post(MAPS, config_map("kept", json!({"a": "b"}))).await.ok();
    first.post(MAPS, config_map("gone", json!({}))).await.ok();
    first.delete(&format!("{MAPS}/gone")).await.ok();
    let token = first.handle.token_for("default", "default");
    let (ca, last) = (first.handle.ca_pem(), first.handle.resource_version());
    first.handle.stop().await;

    let second = start_in(folder.path()).await;
    assert_eq!(second.get(&format!("{MAPS}/kept")).await.ok(), kept);
    assert_eq!(second.get(&format!("{MAPS}/gone")).await.code, 404);
    assert_eq!(second.get("/apis/obstack.io/v1alpha1/observabilitystacks").await.ok()["items"], json!([]));
    assert_eq!(second.handle.ca_pem(), ca);
    let review = json!({"spec": {"token": token}});
    let reviewed = second.post("/apis/authentication.k8s.io/v1/tokenreviews", review).await.ok();
    assert_eq!(reviewed["status"]["authenticated"], true);
    let written = second.post(MAPS, config_map("new", json!({}))).await.ok();
    assert!(version(&written) > last, "versions go on");
    let mut watch = second.watch(&format!("{MAPS}?watch=true&resourceVersion={}", version(&kept))).await;
    let (kind, status) = watch.next().await.unwrap();
    assert_eq!((kind.as_str(), &status["code"]), ("ERROR", &json!(410)), "history does not");
}

#[tokio::test]
async fn faults_before_and_after_a_write() {
    let api = start().await;
    api.handle.set_fault(Some(Arc::new(|info| (info.verb == "create").then(Fault::unavailable))));

    let refused = api.post(MAPS, config_map("a", json!({}))).await;
    assert_eq!(refused.body["reason"], "ServiceUnavailable");
    assert_eq!(refused.code, 503);
    api.handle.set_fault(None);
    assert_eq!(api.get(&format!("{MAPS}/a")).await.code, 404);

    let writes = Arc::new(AtomicUsize::new(0));
    let seen = writes.clone();
    api.handle.set_fault_after(Some(Arc::new(move |info, code, changed| {
        if !info.is_mutating() {
            return None;
        }
        assert_eq!((code, changed), (201, true));
        (seen.fetch_add(1, Ordering::SeqCst) == 1).then_some(Fault::Drop)
    })));
    api.post(MAPS, config_map("a", json!({}))).await.ok();
    let request = axum::http::Request::post(MAPS)
        .header("content-type", "application/json")
        .body(kube::client::Body::from(serde_json::to_vec(&config_map("b", json!({}))).unwrap()))
        .unwrap();
    assert!(within(api.client.send(request)).await.is_err(), "the connection is closed");
    api.handle.set_fault_after(None);
    assert_eq!(api.get(&format!("{MAPS}/b")).await.code, 200, "but the write happened");

    api.handle.set_fault(Some(Arc::new(|info| (info.verb == "get").then_some(Fault::Hang))));
    let path = format!("{MAPS}/a");
    let hanging = tokio::time::timeout(Duration::from_millis(200), api.get(&path)).await;
    assert!(hanging.is_err());
    let delay = Duration::from_millis(50);
    api.handle.set_fault(Some(Arc::new(move |_| Some(Fault::Delay(delay)))));
    let started = std::time::Instant::now();
    assert_eq!(api.get(&path).await.code, 200);
    assert!(started.elapsed() >= delay);
}
