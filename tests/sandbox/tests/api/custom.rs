//! Custom resources: definitions, pruning, defaults, validation, rules, columns.

use crate::harness::{Api, start, within};
use serde_json::{Value, json};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// What the server adds where a fault holds up the rules of a definition.
const RULES_WAIT: &str = "<nil>: Invalid value: null: some validation rules were not checked because the object \
                          was invalid; correct the existing errors to complete validation";
const THINGS: &str = "/apis/example.com/v1/namespaces/default/things";

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "shortNames": ["th"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {
                    "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                }},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "string", "jsonPath": ".spec.size"},
                    {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object", "required": ["spec"],
                    "properties": {
                        "spec": {
                            "type": "object", "required": ["size"],
                            "x-kubernetes-validations": [
                                {"rule": "self.size == oldSelf.size", "message": "size is immutable"},
                            ],
                            "properties": {
                                "size": {"type": "string", "enum": ["small", "large"]},
                                "replicas": {"type": "integer", "minimum": 0, "maximum": 9, "default": 1},
                                "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
                                "limits": {
                                    "type": "object", "default": {},
                                    "properties": {"cpu": {"type": "string", "default": "1"}},
                                },
                                "ports": {
                                    "type": "array", "x-kubernetes-list-type": "map",
                                    "x-kubernetes-list-map-keys": ["port"], "maxItems": 2,
                                    "items": {
                                        "type": "object", "required": ["port"],
                                        "properties": {
                                            "port": {"type": "integer"},
                                            "protocol": {"type": "string", "default": "TCP"},
                                        },
                                    },
                                },
                                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                                "any": {"x-kubernetes-int-or-string": true},
                            },
                        },
                        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    },
                    "x-kubernetes-validations": [
                        {"rule": "self.metadata.name != 'bad'", "message": "write another name"},
                    ],
                }},
            }],
        },
    })
}

fn thing(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name}, "spec": spec})
}

async fn installed() -> Api {
    let api = start().await;
    api.post(DEFINITIONS, definition()).await.ok();
    let path = format!("{DEFINITIONS}/things.example.com");
    within(async {
        loop {
            let conditions = api.get(&path).await.ok()["status"]["conditions"].clone();
            let list = conditions.as_array().cloned().unwrap_or_default();
            if list.iter().any(|c| c["type"] == "Established" && c["status"] == "True") {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    api
}

#[tokio::test]
async fn a_definition_serves_its_resource_and_takes_it_away() {
    let api = start().await;
    assert_eq!(api.get(THINGS).await.code, 404);
    drop(api);
    let api = installed().await;
    assert_eq!(api.get(THINGS).await.ok()["kind"], "ThingList");
    let list = api.get("/apis/example.com/v1").await.ok();
    let names: Vec<&str> =
        list["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["things", "things/scale", "things/status"]);
    let mut held = thing("a", json!({"size": "small"}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    api.post(THINGS, held).await.ok();
    api.post(THINGS, thing("b", json!({"size": "small"}))).await.ok();
    api.delete(&format!("{DEFINITIONS}/things.example.com")).await.ok();
    api.gone(&format!("{THINGS}/b")).await;
    assert_eq!(api.post(THINGS, thing("c", json!({"size": "small"}))).await.code, 405);
    api.merge(&format!("{THINGS}/a"), json!({"metadata": {"finalizers": null}})).await.ok();
    api.gone(&format!("{DEFINITIONS}/things.example.com")).await;
    assert_eq!(api.get(THINGS).await.error(404), "the server could not find the requested resource");
    assert_eq!(api.get("/apis/example.com/v1").await.code, 404);
}

#[tokio::test]
async fn unknown_fields_are_pruned_and_defaults_filled_in() {
    let api = installed().await;
    let spec = json!({
        "size": "small", "nonsense": 1, "free": {"kept": {"x": 1}}, "ports": [{"port": 1, "y": 2}], "any": 5,
    });
    let created = api.post(THINGS, thing("a", spec)).await;
    assert_eq!(
        created.warnings,
        ["299 - \"unknown field \\\"spec.nonsense\\\"\"", "299 - \"unknown field \\\"spec.ports[0].y\\\"\""]
    );
    assert_eq!(
        created.body["spec"],
        json!({
            "size": "small", "replicas": 1, "limits": {"cpu": "1"}, "free": {"kept": {"x": 1}}, "any": 5,
            "ports": [{"port": 1, "protocol": "TCP"}],
        })
    );
    let scale = api.merge(&format!("{THINGS}/a/scale"), json!({"spec": {"replicas": 3}})).await.ok();
    assert_eq!(scale["spec"]["replicas"], 3);
    let got = api
        .merge(&format!("{THINGS}/a/status"), json!({"status": {"x": 1}, "spec": {"size": "large"}}))
        .await
        .ok();
    assert_eq!(got["status"], json!({"x": 1}));
    assert_eq!(got["spec"]["size"], "small");
    assert_eq!(got["metadata"]["generation"], 2);
}

#[tokio::test]
async fn bad_objects_are_refused_with_their_fields() {
    let api = installed().await;
    // What is wrong, what is said, and whether it holds the rules up.
    for (spec, wanted, holds_up) in [
        (json!({}), "spec.size: Required value", true),
        (
            json!({"size": "huge"}),
            "spec.size: Unsupported value: \"huge\": supported values: \"small\", \"large\"",
            true,
        ),
        (
            json!({"size": "small", "replicas": 10}),
            "spec.replicas: Invalid value: 10: spec.replicas in body should be less than or equal to 9",
            false,
        ),
        (
            json!({"size": "small", "replicas": "x"}),
            "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"",
            true,
        ),
        (
            json!({"size": "small", "name": "A"}),
            "spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'",
            false,
        ),
        (
            json!({"size": "small", "name": "abcdef"}),
            "spec.name: Too long: may not be more than 5 bytes",
            true,
        ),
        (
            json!({"size": "small", "ports": [{"port": 1}, {"port": 2}, {"port": 3}]}),
            "spec.ports: Too many: 3: must have at most 2 items",
            true,
        ),
        (
            json!({"size": "small", "ports": [{"port": 1}, {"port": 1}]}),
            "spec.ports[1]: Duplicate value: {\"port\":1}",
            false,
        ),
    ] {
        let message = api.post(THINGS, thing("a", spec)).await.error(422);
        let wanted = if holds_up { format!("[{wanted}, {RULES_WAIT}]") } else { wanted.to_owned() };
        assert_eq!(message, format!("Thing.example.com \"a\" is invalid: {wanted}"));
    }
}

#[tokio::test]
async fn rules_see_names_and_old_values() {
    let api = installed().await;
    let message = api.post(THINGS, thing("bad", json!({"size": "small"}))).await.error(422);
    assert_eq!(message, "Thing.example.com \"bad\" is invalid: <nil>: Invalid value: write another name");
    api.post(THINGS, thing("a", json!({"size": "small"}))).await.ok();
    let message = api.merge(&format!("{THINGS}/a"), json!({"spec": {"size": "large"}})).await.error(422);
    assert_eq!(message, "Thing.example.com \"a\" is invalid: spec: Invalid value: size is immutable");
    api.merge(&format!("{THINGS}/a"), json!({"spec": {"replicas": 2}})).await.ok();
}

#[tokio::test]
async fn columns_make_a_table() {
    let api = installed().await;
    api.post(THINGS, thing("a", json!({"size": "small"}))).await.ok();
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    api.merge(&format!("{THINGS}/a/status"), status).await.ok();
    let table = api.get_as(THINGS, "application/json;as=Table;v=v1;g=meta.k8s.io,application/json").await;
    assert_eq!(table["kind"], "Table");
    let names: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Name", "Size", "Ready", "Age"]);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells[..3], [json!("a"), json!("small"), json!("True")]);
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let partial =
        api.get_as(THINGS, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").await;
    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert!(partial["items"][0].get("spec").is_none());
}

#[tokio::test]
async fn a_new_version_of_a_definition_is_served_at_once() {
    let api = installed().await;
    api.post(THINGS, thing("a", json!({"size": "small"}))).await.ok();
    let mut newer = definition();
    newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["extra"] =
        json!({"type": "string", "default": "x"});
    let path = format!("{DEFINITIONS}/things.example.com");
    let applied = api.force(&path, "installer", newer).await.ok();
    assert_eq!(applied["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(applied["metadata"]["generation"], 2);
    let touched = api.merge(&format!("{THINGS}/a"), json!({"metadata": {"labels": {"a": "b"}}})).await.ok();
    assert_eq!(touched["spec"]["extra"], "x");
}

#[tokio::test]
async fn our_own_definitions_are_accepted_and_enforced() {
    let api = start().await;
    for crd in obstack_crds::all() {
        api.post(DEFINITIONS, serde_json::to_value(&crd).unwrap()).await.ok();
    }
    let stacks = "/apis/obstack.io/v1alpha1/namespaces/default/observabilitystacks";
    let stack = |name: &str, spec: Value| {
        json!({
            "apiVersion": "obstack.io/v1alpha1", "kind": "ObservabilityStack", "metadata": {"name": name},
            "spec": spec,
        })
    };
    let empty = api.post(stacks, stack("empty", json!({}))).await.ok();
    assert_eq!(empty["spec"], json!({}), "defaults are the operator's");
    let long = "a".repeat(obstack_crds::MAX_STACK_NAME + 1);
    api.post(stacks, stack(&long, json!({}))).await.error(422);
    api.post(stacks, stack("a", json!({"requirements": {"activeSeries": "many"}}))).await.error(422);
    api.post(stacks, stack("b", json!({"environment": "moon"}))).await.error(422);

    let records = "/apis/obstack.io/v1alpha1/namespaces/default/decisionrecords";
    assert_eq!(api.get(records).await.ok()["items"], json!([]));
}
