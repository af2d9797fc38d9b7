//! The audit log, and tokens that the handle gives out.

use crate::harness::{config_map, error, ok, start};
use obstack_sandbox::raw::{JSON, Raw};
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn the_audit_log_tells_writes_that_changed_something_from_others() {
    let api = start().await;
    let created = ok(api.post(MAPS, config_map("a", json!({"k": "v"}))).await);
    let path = format!("{MAPS}/a");
    let before = api.handle.resource_version();
    ok(api.put(&path, created).await);
    ok(api.merge(&path, json!({"data": {"k": "v"}})).await);
    ok(api.merge(&format!("{path}?dryRun=All"), json!({"data": {"k": "w"}})).await);
    assert_eq!(api.handle.resource_version(), before);
    ok(api.merge(&path, json!({"data": {"k": "w"}})).await);
    let audit = api.handle.audit_since(0);
    let writes: Vec<(&str, u16, bool, bool)> = audit
        .iter()
        .filter(|entry| entry.request.is_mutating())
        .map(|entry| (entry.request.verb.as_str(), entry.code, entry.request.dry_run, entry.changed))
        .collect();
    let wanted = [
        ("create", 201, false, true),
        ("update", 200, false, false),
        ("patch", 200, false, false),
        ("patch", 200, true, false),
        ("patch", 200, false, true),
    ];
    assert_eq!(writes, wanted);
}

#[tokio::test]
async fn the_audit_log_has_what_a_request_looks_like() {
    let api = start().await;
    ok(api.get(&format!("{MAPS}?limit=5&labelSelector=a")).await);
    let entry = api.handle.audit_since(0).pop().unwrap();
    assert_eq!(entry.request.parameters, ["labelSelector", "limit"]);
    assert_eq!((entry.request.accept.as_str(), entry.request.content_type.as_str()), (JSON, ""));
    assert_eq!(entry.request.user_agent, "tester/1");
    ok(api.post(MAPS, config_map("a", json!({}))).await);
    let entry = api.handle.audit_since(0).pop().unwrap();
    assert_eq!(entry.request.content_type, JSON);
}

#[tokio::test]
async fn the_kubeconfig_of_an_account_is_that_account() {
    let api = start().await;
    let raw = Raw::new(&api.handle.kubeconfig_for_account("default", "default")).await.unwrap();
    let denied = raw.send("GET", MAPS, JSON, None).await.unwrap();
    assert!(error(denied, 403).contains("system:serviceaccount:default:default"));
    let entry = api.handle.audit_since(0).pop().unwrap();
    assert_eq!((entry.request.user.as_str(), entry.code), ("system:serviceaccount:default:default", 403));
}
