//! The store between runs, and faults.

use crate::harness::{Api, config_map, ok, start, start_with, version};
use obstack_sandbox::api::{Config, Fault};
use obstack_sandbox::raw::JSON;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn start_in(folder: &std::path::Path) -> Api {
    start_with(Config { state_dir: Some(folder.to_owned()), ..Config::default() }).await
}

#[tokio::test]
async fn a_store_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = start_in(folder.path()).await;
    for crd in obstack_crds::all() {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        ok(first.post(path, serde_json::to_value(&crd).unwrap()).await);
    }
    let kept = ok(first.post(MAPS, config_map("kept", json!({"a": "b"}))).await);
    ok(first.post(MAPS, config_map("gone", json!({}))).await);
    ok(first.delete(&format!("{MAPS}/gone")).await);
    let token = first.handle.token_for("default", "default");
    let (ca, last) = (first.handle.ca_pem(), first.handle.resource_version());
    first.handle.stop().await;

    let second = start_in(folder.path()).await;
    assert_eq!(ok(second.get(&format!("{MAPS}/kept")).await), kept);
    assert_eq!(second.get(&format!("{MAPS}/gone")).await.code, 404);
    assert_eq!(ok(second.get("/apis/obstack.io/v1alpha1/observabilitystacks").await)["items"], json!([]));
    assert_eq!(second.handle.ca_pem(), ca);
    let review = json!({"spec": {"token": token}});
    let reviewed = ok(second.post("/apis/authentication.k8s.io/v1/tokenreviews", review).await);
    assert_eq!(reviewed["status"]["authenticated"], true);
    let written = ok(second.post(MAPS, config_map("new", json!({}))).await);
    assert!(version(&written) > last, "versions go on");
    let mut watch = second.watch(&format!("{MAPS}?watch=true&resourceVersion={}", version(&kept))).await;
    let (kind, status) = watch.next().await.unwrap().unwrap();
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
    ok(api.post(MAPS, config_map("a", json!({}))).await);
    let dropped = api.raw.send("POST", MAPS, JSON, Some(&config_map("b", json!({})))).await;
    assert!(dropped.is_err(), "the connection is closed");
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
