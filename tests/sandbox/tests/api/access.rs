//! Authorization: rules, names, the guard against granting more than one holds.

use crate::harness::{Api, client, config_map, start};
use serde_json::{Value, json};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

async fn as_account(api: &Api, name: &str) -> Api {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    api.post("/api/v1/namespaces/default/serviceaccounts", account).await.ok();
    let client = client(&api.handle.kubeconfig_for_account("default", name)).await;
    Api { handle: api.handle.clone(), client }
}

async fn grant(api: &Api, name: &str, rules: Value) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules,
    });
    api.post(&format!("{RBAC}/namespaces/default/roles"), role).await.ok();
    api.post(&format!("{RBAC}/namespaces/default/rolebindings"), binding(name, "Role", name)).await.ok();
}

fn binding(account: &str, kind: &str, role: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "default"}],
    })
}

#[tokio::test]
async fn an_account_may_do_what_its_rules_say() {
    let admin = start().await;
    let me = as_account(&admin, "me").await;
    let message = me.get(MAPS).await.error(403);
    assert_eq!(
        message,
        "configmaps is forbidden: User \"system:serviceaccount:default:me\" cannot list resource \"configmaps\" in \
         API group \"\" in the namespace \"default\""
    );
    assert_eq!(me.get("/version").await.code, 200, "everybody may discover");
    grant(
        &admin,
        "me",
        json!([
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "patch"], "resourceNames": ["mine"]},
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]},
            {"apiGroups": ["apps"], "resources": ["*/scale"], "verbs": ["get"]},
        ]),
    )
    .await;
    assert_eq!(me.get(MAPS).await.code, 200);
    assert_eq!(me.get("/api/v1/configmaps").await.code, 403, "not in all namespaces");
    assert_eq!(me.get(&format!("{MAPS}/mine")).await.code, 404);
    let message = me.get(&format!("{MAPS}/other")).await.error(403);
    assert!(message.starts_with("configmaps \"other\" is forbidden: User"), "{message}");
    let message = me.apply(&format!("{MAPS}/mine"), "me", config_map("mine", json!({}))).await.error(403);
    assert!(message.contains("cannot create resource"), "an apply of what is not there creates: {message}");
    admin.post(MAPS, config_map("mine", json!({}))).await.ok();
    me.apply(&format!("{MAPS}/mine"), "me", config_map("mine", json!({"a": "b"}))).await.ok();
    let scale = "/apis/apps/v1/namespaces/default/deployments/x/scale";
    assert_eq!(me.get(scale).await.code, 404);
    let denied: Vec<String> =
        me.handle.audit_since(0).into_iter().filter(|e| e.code == 403).map(|e| e.request.verb).collect();
    assert_eq!(denied, ["list", "list", "get", "patch"]);
}

#[tokio::test]
async fn nobody_grants_what_they_do_not_hold() {
    let admin = start().await;
    let me = as_account(&admin, "me").await;
    grant(
        &admin,
        "me",
        json!([
            {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        ]),
    )
    .await;
    let role = |name: &str, verbs: Value| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": verbs}],
        })
    };
    let roles = format!("{RBAC}/namespaces/default/roles");
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    me.post(&roles, role("fine", json!(["get", "list"]))).await.ok();
    let message = me.post(&roles, role("more", json!(["get", "watch"]))).await.error(403);
    assert!(
        message.ends_with(
            "is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], \
             Verbs:[\"watch\"]}"
        ),
        "{message}"
    );
    me.post(&bindings, binding("me", "Role", "fine")).await.ok();
    me.post(&bindings, binding("me", "ClusterRole", "cluster-admin")).await.error(403);
}

#[tokio::test]
async fn reviews_answer_by_the_same_rules() {
    let admin = start().await;
    let me = as_account(&admin, "me").await;
    let ask =
        json!({"spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(me.post(path, ask.clone()).await.ok()["status"]["allowed"], false);
    assert_eq!(admin.post(path, ask.clone()).await.ok()["status"]["allowed"], true);
    grant(&admin, "me", json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}])).await;
    assert_eq!(me.post(path, ask.clone()).await.ok()["status"]["allowed"], true);
    let mut other = ask;
    other["spec"]["user"] = "system:serviceaccount:default:me".into();
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    assert_eq!(admin.post(path, other).await.ok()["status"]["allowed"], true);
}
