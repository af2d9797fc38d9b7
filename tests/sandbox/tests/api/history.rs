//! Compaction, and the end of a server.

use crate::harness::{config_map, error, ok, start, version};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;
use std::time::Duration;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn forgotten_history_is_410() {
    let api = start().await;
    let first = ok(api.post(MAPS, config_map("a", json!({}))).await);
    ok(api.post(MAPS, config_map("b", json!({}))).await);
    let page = ok(api.get(&format!("{MAPS}?limit=1")).await);
    ok(api.post(MAPS, config_map("c", json!({}))).await);
    api.handle.compact();
    let mut watch = api.watch(&format!("{MAPS}?watch=true&resourceVersion={}", version(&first))).await;
    let (kind, status) = watch.next().await.unwrap().unwrap();
    assert_eq!(
        (kind.as_str(), &status["code"], &status["reason"]),
        ("ERROR", &json!(410), &json!("Expired"))
    );
    assert!(watch.next().await.unwrap().is_none());
    let token = page["metadata"]["continue"].as_str().unwrap();
    error(api.get(&format!("{MAPS}?limit=9&continue={token}")).await, 410);
}

#[tokio::test]
async fn a_watcher_survives_compaction() {
    let api = start().await;
    for initial in [watcher::InitialListStrategy::ListWatch, watcher::InitialListStrategy::StreamingList] {
        let name = format!("map-{}", api.handle.resource_version());
        let config = watcher::Config { initial_list_strategy: initial, ..watcher::Config::default() };
        let maps: Api<ConfigMap> = Api::namespaced(api.raw.client(), "default");
        let mut stream = watcher(maps, config).default_backoff().applied_objects().boxed();
        let mut next = async |wanted: &str| {
            let seen = async {
                while stream.try_next().await.unwrap().unwrap().metadata.name.as_deref() != Some(wanted) {}
            };
            tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
        };
        next("kube-root-ca.crt").await;
        ok(api.post(MAPS, config_map(&name, json!({}))).await);
        next(&name).await;
        api.handle.compact();
        let second = format!("{name}-second");
        ok(api.post(MAPS, config_map(&second, json!({}))).await);
        next(&second).await;
    }
}

#[tokio::test]
async fn a_stopped_server_ends_its_watches() {
    let api = start().await;
    let mut watch =
        api.watch(&format!("{MAPS}?watch=true&resourceVersion={}", api.handle.resource_version())).await;
    api.handle.stop().await;
    assert!(watch.next().await.unwrap().is_none());
}
