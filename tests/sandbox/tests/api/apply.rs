//! Server-side apply: who owns what, conflicts, removal, lists, no-op applies.

use crate::harness::{Api, deployment, start};
use serde_json::{Value, json};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/a";
const MAP: &str = "/api/v1/namespaces/default/configmaps/a";
const SERVICE: &str = "/api/v1/namespaces/default/services/a";

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

/// `fieldsV1` of a manager.
fn fields<'a>(object: &'a Value, manager: &str, operation: &str) -> &'a Value {
    let list = object["metadata"]["managedFields"].as_array().unwrap();
    let entry = list.iter().find(|e| e["manager"] == manager && e["operation"] == operation);
    entry.map_or(&Value::Null, |e| &e["fieldsV1"])
}

#[tokio::test]
async fn an_apply_owns_what_it_sets_and_nothing_else() {
    let api = start().await;
    let created = api.apply(DEPLOYMENT, "one", deployment("a")).await;
    assert_eq!(created.code, 201);
    let owned = fields(&created.body, "one", "Apply");
    assert_eq!(
        *owned,
        json!({"f:spec": {
            "f:selector": {},
            "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {".": {}, "f:image": {}, "f:name": {}}}},
            },
        }})
    );
    assert_eq!(created.body["spec"]["replicas"], 1, "defaults are filled in, and owned by nobody");
    assert_eq!(created.body["metadata"]["managedFields"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_apply_again_changes_nothing() {
    let api = start().await;
    let created = api.apply(DEPLOYMENT, "one", deployment("a")).await.ok();
    let before = api.handle.resource_version();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(api.apply(DEPLOYMENT, "one", deployment("a")).await.ok(), created);
    assert_eq!(api.force(DEPLOYMENT, "one", deployment("a")).await.ok(), created);
    assert_eq!(api.handle.resource_version(), before);
}

#[tokio::test]
async fn what_a_manager_no_longer_sets_goes_unless_others_own_it() {
    let api = start().await;
    api.apply(MAP, "one", map(json!({"a": "1", "b": "1", "c": "1"}))).await.ok();
    api.apply(MAP, "two", map(json!({"b": "1", "d": "2"}))).await.ok();
    api.merge(&format!("{MAP}?fieldManager=three"), json!({"data": {"e": "3"}})).await.ok();
    let after = api.apply(MAP, "one", map(json!({"a": "1"}))).await.ok();
    assert_eq!(after["data"], json!({"a": "1", "b": "1", "d": "2", "e": "3"}));
    assert_eq!(*fields(&after, "one", "Apply"), json!({"f:data": {"f:a": {}}}));
    assert_eq!(*fields(&after, "two", "Apply"), json!({"f:data": {"f:b": {}, "f:d": {}}}));
    assert_eq!(*fields(&after, "three", "Update"), json!({"f:data": {"f:e": {}}}));
    let after = api.apply(MAP, "two", json!({"apiVersion": "v1", "kind": "ConfigMap"})).await.ok();
    assert_eq!(after["data"], json!({"a": "1", "e": "3"}));
    assert_eq!(*fields(&after, "two", "Apply"), Value::Null);
}

#[tokio::test]
async fn conflicts_name_every_field_and_force_takes_over() {
    let api = start().await;
    api.apply(MAP, "one", map(json!({"a": "1", "b": "1"}))).await.ok();
    let refused = api.apply(MAP, "two", map(json!({"a": "2"}))).await;
    assert_eq!(refused.body["reason"], "Conflict");
    assert_eq!(
        refused.body["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.a"}])
    );
    assert_eq!(refused.error(409), "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    let refused = api.apply(MAP, "two", map(json!({"a": "2", "b": "2"}))).await.error(409);
    assert_eq!(refused, "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b");
    let shared = api.apply(MAP, "two", map(json!({"a": "1"}))).await.ok();
    assert_eq!(*fields(&shared, "two", "Apply"), json!({"f:data": {"f:a": {}}}), "equal values are shared");
    let taken = api.force(MAP, "two", map(json!({"a": "2"}))).await.ok();
    assert_eq!(taken["data"]["a"], "2");
    assert_eq!(*fields(&taken, "one", "Apply"), json!({"f:data": {"f:b": {}}}));
    api.merge(&format!("{MAP}?fieldManager=three"), json!({"data": {"a": "3"}})).await.ok();
    let refused = api.apply(MAP, "two", map(json!({"a": "2"}))).await.error(409);
    assert_eq!(refused, "Apply failed with 1 conflict: conflict with \"three\" using v1: .data.a");
}

#[tokio::test]
async fn items_of_lists_are_told_apart_by_their_keys() {
    let api = start().await;
    let with = |containers: Value| {
        let mut body = deployment("a");
        body["spec"]["template"]["spec"]["containers"] = containers;
        body
    };
    let main = json!({"name": "main", "image": "registry/app:1", "ports": [{"containerPort": 80}]});
    let side = json!({"name": "side", "image": "registry/side:1"});
    api.apply(DEPLOYMENT, "one", with(json!([main]))).await.ok();
    let injected = api.apply(DEPLOYMENT, "mesh", with(json!([side]))).await.ok();
    let names = |object: &Value| -> Vec<String> {
        let list = object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        list.iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&injected), ["main", "side"]);
    let again = api.apply(DEPLOYMENT, "one", with(json!([main]))).await.ok();
    assert_eq!(names(&again), ["main", "side"], "an injected sidecar stays");
    let extra = json!({"name": "extra", "image": "registry/extra:1"});
    let ordered = api.apply(DEPLOYMENT, "one", with(json!([extra, main]))).await.ok();
    assert_eq!(names(&ordered), ["extra", "main", "side"]);
    let without = api.apply(DEPLOYMENT, "one", with(json!([main]))).await.ok();
    assert_eq!(names(&without), ["main", "side"], "the removed container goes with its defaults");
    let key = "k:{\"containerPort\":80,\"protocol\":\"TCP\"}";
    let owned = fields(&without, "one", "Apply");
    let ports = &owned["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"main\"}"]["f:ports"];
    assert_eq!(
        *ports,
        json!({key: {".": {}, "f:containerPort": {}}}),
        "the key's default is part of the key"
    );
    let mut edited = main.clone();
    edited["env"] = json!([{"name": "X", "value": "1"}]);
    api.strategic(
        &format!("{DEPLOYMENT}?fieldManager=hand"),
        json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": edited["env"]}]}}}}),
    )
    .await
    .ok();
    let after = api.force(DEPLOYMENT, "one", with(json!([main]))).await.ok();
    assert_eq!(
        after["spec"]["template"]["spec"]["containers"][0]["env"], edited["env"],
        "others' additions stay"
    );
}

#[tokio::test]
async fn sets_and_atomics() {
    let api = start().await;
    let with = |finalizers: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "finalizers": finalizers}});
    api.apply(MAP, "one", with(json!(["x/a", "x/b"]))).await.ok();
    let both = api.apply(MAP, "two", with(json!(["x/c"]))).await.ok();
    assert_eq!(both["metadata"]["finalizers"], json!(["x/a", "x/b", "x/c"]));
    assert_eq!(
        *fields(&both, "one", "Apply"),
        json!({"f:metadata": {"f:finalizers": {"v:\"x/a\"": {}, "v:\"x/b\"": {}}}})
    );
    let less = api.apply(MAP, "one", with(json!(["x/b"]))).await.ok();
    assert_eq!(less["metadata"]["finalizers"], json!(["x/b", "x/c"]));

    let service = |selector: Value| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
            "spec": {"selector": selector, "ports": [{"port": 80}]},
        })
    };
    api.apply(SERVICE, "one", service(json!({"a": "b"}))).await.ok();
    let refused = api.apply(SERVICE, "two", service(json!({"c": "d"}))).await.error(409);
    assert_eq!(
        refused, "Apply failed with 1 conflict: conflict with \"one\": .spec.selector",
        "a map as one value"
    );
    let taken = api.force(SERVICE, "two", service(json!({"c": "d"}))).await.ok();
    assert_eq!(taken["spec"]["selector"], json!({"c": "d"}));
}

#[tokio::test]
async fn a_field_released_by_its_last_owner_falls_back_to_its_default() {
    let api = start().await;
    let mut body = deployment("a");
    body["spec"]["replicas"] = 4.into();
    body["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 5.into();
    let first = api.apply(DEPLOYMENT, "one", body).await.ok();
    assert_eq!(first["metadata"]["generation"], 1);
    let second = api.apply(DEPLOYMENT, "one", deployment("a")).await.ok();
    assert_eq!(second["spec"]["replicas"], 1);
    assert_eq!(second["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 30);
    assert_eq!(second["metadata"]["generation"], 2);
}

#[tokio::test]
async fn status_has_owners_of_its_own() {
    let api = start().await;
    api.apply(DEPLOYMENT, "one", deployment("a")).await.ok();
    let status = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "status": {"replicas": 1},
    });
    let path = format!("{DEPLOYMENT}/status");
    let after = api.apply(&path, "controller", status).await.ok();
    let entries = after["metadata"]["managedFields"].as_array().unwrap();
    let entry = entries.iter().find(|e| e["manager"] == "controller").unwrap();
    assert_eq!(entry["subresource"], "status");
    assert_eq!(entry["fieldsV1"], json!({"f:status": {"f:replicas": {}}}));
    let again = api.apply(DEPLOYMENT, "one", deployment("a")).await.ok();
    assert_eq!(again["status"]["replicas"], 1);
}

#[tokio::test]
async fn bad_applies_are_refused() {
    let api = start().await;
    let send = async |path: &str, body: Value| {
        api.send("PATCH", path, "application/apply-patch+yaml", Some(&body)).await
    };
    let message = send(MAP, map(json!({}))).await.error(422);
    assert_eq!(
        message,
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
    );
    let mut unknown = deployment("a");
    unknown["spec"]["template"]["spec"]["containers"][0]["imag"] = "x".into();
    let message = api.apply(DEPLOYMENT, "one", unknown).await.error(500);
    assert_eq!(
        message,
        "failed to create typed patch object (default/a; apps/v1, Kind=Deployment): \
         .spec.template.spec.containers[name=\"main\"].imag: field not declared in schema"
    );
    let mut wrong = deployment("a");
    wrong["spec"]["replicas"] = "3".into();
    let message = api.apply(DEPLOYMENT, "one", wrong).await.error(500);
    assert!(message.ends_with(".spec.replicas: expected numeric (int or float), got \"3\""), "{message}");
    let mut twice = deployment("a");
    let main = twice["spec"]["template"]["spec"]["containers"][0].clone();
    twice["spec"]["template"]["spec"]["containers"] = json!([main, main]);
    let message = api.apply(DEPLOYMENT, "one", twice).await.error(500);
    assert!(message.ends_with("containers: duplicate entries for key [name=\"main\"]"), "{message}");
    let mut other = map(json!({}));
    other["metadata"]["name"] = "b".into();
    let message = api.apply(MAP, "one", other).await.error(400);
    assert_eq!(message, "the name of the object (b) does not match the name on the URL (a)");
    let path = format!("{MAP}?fieldManager=one&dryRun=All");
    assert_eq!(send(&path, map(json!({"a": "1"}))).await.code, 201);
    assert_eq!(missing(&api).await, 404);
}

async fn missing(api: &Api) -> u16 {
    api.get(MAP).await.code
}

#[tokio::test]
async fn client_side_writes_own_what_they_change() {
    let api = start().await;
    let path = "/api/v1/namespaces/default/configmaps?fieldManager=maker";
    let created = api.post(path, map(json!({"a": "1", "b": "1"}))).await.ok();
    assert_eq!(*fields(&created, "maker", "Update"), json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}}));
    let after =
        api.merge(&format!("{MAP}?fieldManager=editor"), json!({"data": {"a": "2", "b": null}})).await.ok();
    assert_eq!(*fields(&after, "editor", "Update"), json!({"f:data": {"f:a": {}}}));
    assert_eq!(*fields(&after, "maker", "Update"), json!({"f:data": {}}));
}
