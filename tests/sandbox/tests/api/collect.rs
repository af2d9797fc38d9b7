//! Garbage collection by owner references, and the end of namespaces.

use crate::harness::{Api, config_map, pod, start, within};
use serde_json::{Value, json};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn owned(api: &Api, name: &str, owners: &[&Value]) -> Value {
    let mut body = config_map(name, json!({}));
    let references: Vec<Value> = owners
        .iter()
        .map(|owner| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"], "blockOwnerDeletion": true,
            })
        })
        .collect();
    body["metadata"]["ownerReferences"] = json!(references);
    api.post(MAPS, body).await.ok()
}

async fn delete(api: &Api, name: &str, policy: &str) {
    let options = json!({"propagationPolicy": policy});
    api.send("DELETE", &format!("{MAPS}/{name}"), "application/json", Some(&options)).await.ok();
}

#[tokio::test]
async fn dependents_follow_their_last_owner() {
    let api = start().await;
    let a = owned(&api, "a", &[]).await;
    let b = owned(&api, "b", &[]).await;
    owned(&api, "only-a", &[&a]).await;
    let both = owned(&api, "both", &[&a, &b]).await;
    let deep = owned(&api, "mid", &[&a]).await;
    owned(&api, "deep", &[&deep]).await;
    delete(&api, "a", "Background").await;
    api.gone(&format!("{MAPS}/only-a")).await;
    api.gone(&format!("{MAPS}/deep")).await;
    let path = format!("{MAPS}/both");
    within(async {
        loop {
            let now = api.get(&path).await.ok();
            if now["metadata"]["ownerReferences"].as_array().unwrap().len() == 1 {
                assert_eq!(now["metadata"]["uid"], both["metadata"]["uid"]);
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    delete(&api, "b", "Background").await;
    api.gone(&path).await;
}

#[tokio::test]
async fn an_owner_with_another_uid_is_no_owner() {
    let api = start().await;
    let mut a = owned(&api, "a", &[]).await;
    a["metadata"]["uid"] = "11111111-2222-4333-8444-555555555555".into();
    owned(&api, "child", &[&a]).await;
    api.gone(&format!("{MAPS}/child")).await;
    assert_eq!(api.get(&format!("{MAPS}/a")).await.code, 200);
}

#[tokio::test]
async fn orphans_stay() {
    let api = start().await;
    let a = owned(&api, "a", &[]).await;
    owned(&api, "child", &[&a]).await;
    delete(&api, "a", "Orphan").await;
    api.gone(&format!("{MAPS}/a")).await;
    let child = api.get(&format!("{MAPS}/child")).await.ok();
    assert!(child["metadata"].get("ownerReferences").is_none());
}

#[tokio::test]
async fn foreground_waits_for_dependents() {
    let api = start().await;
    let a = owned(&api, "a", &[]).await;
    let child = owned(&api, "child", &[&a]).await;
    let path = format!("{MAPS}/child");
    api.merge(&path, json!({"metadata": {"finalizers": ["example.com/hold"]}})).await.ok();
    delete(&api, "a", "Foreground").await;
    within(async {
        while api.get(&path).await.ok()["metadata"].get("deletionTimestamp").is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let owner = api.get(&format!("{MAPS}/a")).await.ok();
    assert_eq!(owner["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    assert_eq!(api.get(&path).await.ok()["metadata"]["uid"], child["metadata"]["uid"]);
    api.merge(&path, json!({"metadata": {"finalizers": null}})).await.ok();
    api.gone(&format!("{MAPS}/a")).await;
}

#[tokio::test]
async fn a_namespace_ends_with_all_that_it_holds() {
    let api = start().await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}});
    let created = api.post("/api/v1/namespaces", namespace).await.ok();
    assert_eq!(created["status"]["phase"], "Active");
    assert_eq!(created["metadata"]["labels"]["kubernetes.io/metadata.name"], "x");
    let maps = "/api/v1/namespaces/x/configmaps";
    within(async {
        while api.get(&format!("{maps}/kube-root-ca.crt")).await.code != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    api.get("/api/v1/namespaces/x/serviceaccounts/default").await.ok();
    let mut held = config_map("held", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.post(maps, held).await.ok();
    api.post("/api/v1/namespaces/x/pods", pod("p")).await.ok();
    let going = api.delete("/api/v1/namespaces/x").await.ok();
    assert_eq!(going["status"]["phase"], "Terminating");
    api.gone("/api/v1/namespaces/x/pods/p").await;
    let refused = api.post(maps, config_map("late", json!({}))).await;
    assert_eq!(refused.body["details"]["causes"][0]["reason"], "NamespaceTerminating");
    assert_eq!(
        refused.error(403),
        "configmaps \"late\" is forbidden: unable to create new content in namespace x because it is being \
         terminated"
    );
    assert_eq!(api.get("/api/v1/namespaces/x").await.code, 200);
    api.merge(&format!("{maps}/held"), json!({"metadata": {"finalizers": null}})).await.ok();
    api.gone("/api/v1/namespaces/x").await;
    assert!(api.handle.peek_all("configmaps").iter().all(|m| m["metadata"]["namespace"] != "x"));
}
