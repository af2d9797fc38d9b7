//! Watches: resuming, bookmarks, 410, selectors, the end of a time-out.

use crate::harness::{config_map, start, version};
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const OTHER: &str = "/api/v1/namespaces/kube-public/configmaps";

#[tokio::test]
async fn a_watch_resumes_where_it_left_off() {
    let api = start().await;
    let first = api.post(MAPS, config_map("a", json!({}))).await.ok();
    api.post(MAPS, config_map("b", json!({}))).await.ok();
    api.post(OTHER, config_map("x", json!({}))).await.ok();
    api.merge(&format!("{MAPS}/a"), json!({"data": {"k": "v"}})).await.ok();
    let mut watch = api.watch(&format!("{MAPS}?watch=true&resourceVersion={}", version(&first))).await;
    assert_eq!(watch.name().await, "ADDED b");
    assert_eq!(watch.name().await, "MODIFIED a");
    api.delete(&format!("{MAPS}/b")).await.ok();
    let (kind, gone) = watch.next().await.unwrap();
    assert_eq!((kind.as_str(), &gone["metadata"]["name"]), ("DELETED", &json!("b")));
    assert_eq!(version(&gone), api.handle.resource_version());
    api.post(MAPS, config_map("c", json!({}))).await.ok();
    assert_eq!(watch.name().await, "ADDED c");
}

#[tokio::test]
async fn forgotten_history_is_410() {
    let api = start().await;
    let first = api.post(MAPS, config_map("a", json!({}))).await.ok();
    api.post(MAPS, config_map("b", json!({}))).await.ok();
    api.handle.compact();
    let mut watch = api.watch(&format!("{MAPS}?watch=true&resourceVersion={}", version(&first))).await;
    let (kind, status) = watch.next().await.unwrap();
    assert_eq!(kind, "ERROR");
    assert_eq!(status["code"], 410);
    assert_eq!(status["reason"], "Expired");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn selectors_turn_changes_into_additions_and_deletions() {
    let api = start().await;
    let start_version = api.handle.resource_version();
    let query = format!("watch=true&resourceVersion={start_version}&labelSelector=on%3Dyes");
    let mut watch = api.watch(&format!("{MAPS}?{query}")).await;
    api.post(MAPS, config_map("a", json!({}))).await.ok();
    let path = format!("{MAPS}/a");
    api.merge(&path, json!({"metadata": {"labels": {"on": "yes"}}})).await.ok();
    assert_eq!(watch.name().await, "ADDED a");
    api.merge(&path, json!({"data": {"k": "v"}})).await.ok();
    assert_eq!(watch.name().await, "MODIFIED a");
    let off = api.merge(&path, json!({"metadata": {"labels": {"on": "no"}}})).await.ok();
    let (kind, object) = watch.next().await.unwrap();
    assert_eq!(kind, "DELETED");
    assert_eq!(object["metadata"]["labels"]["on"], "yes", "as it was when it matched");
    assert_eq!(version(&object), version(&off));
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let api = start().await;
    api.post(OTHER, config_map("a", json!({}))).await.ok();
    let query =
        "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = api.watch(&format!("{OTHER}?{query}&timeoutSeconds=1")).await;
    assert_eq!(watch.name().await, "ADDED a");
    assert_eq!(watch.name().await, "ADDED kube-root-ca.crt");
    let (kind, bookmark) = watch.next().await.unwrap();
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(bookmark["kind"], "ConfigMap");
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let at = version(&bookmark);
    api.post(MAPS, config_map("elsewhere", json!({}))).await.ok();
    let (kind, last) = watch.next().await.unwrap();
    assert_eq!(kind, "BOOKMARK", "at the end of the time-out");
    assert!(version(&last) > at, "a bookmark carries versions of other objects");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_stopped_server_ends_its_watches() {
    let api = start().await;
    let mut watch =
        api.watch(&format!("{MAPS}?watch=true&resourceVersion={}", api.handle.resource_version())).await;
    api.handle.stop().await;
    assert!(watch.next().await.is_none());
}
