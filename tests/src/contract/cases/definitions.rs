//! Custom resource definitions: from their installation to their end.

use super::prelude::*;

cases! { "definitions":
    a_definition_is_completed_and_established,
    a_definition_serves_its_resource,
    a_definition_takes_its_resource_away,
    a_wrong_definition_is_refused,
    a_schema_is_checked_in_depth differs "defaults and keys of lists in schemas are taken as they are",
    some_of_a_definition_cannot_change,
    a_new_schema_is_served_at_once,
    a_new_version_is_served_beside_the_old_one,
    the_storage_version_can_move_on,
    a_version_that_is_no_longer_served_is_404,
    our_own_definitions_are_accepted_and_enforced,
}

/// Path of the definitions.
pub(super) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

pub(super) fn group(s: &Scope) -> String {
    format!("{}.contract.obstack.test", s.tag)
}

fn definition(s: &Scope, versions: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("things.{}", group(s))},
        "spec": {
            "group": group(s), "scope": "Namespaced", "versions": versions,
            "names": {"kind": "Thing", "plural": "things", "shortNames": ["th"], "categories": ["all"]},
        },
    })
}

/// A definition that keeps everything.
pub(super) fn plain(s: &Scope) -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    definition(
        s,
        json!([{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]),
    )
}

/// A definition with bounds, defaults, rules, columns and subresources.
pub(super) fn rich(s: &Scope) -> Value {
    let spec = json!({
        "type": "object", "required": ["size"],
        "x-kubernetes-validations": [
            {"rule": "self.size == oldSelf.size", "message": "size is immutable"},
            {"rule": "!has(self.name) || self.name != self.size", "messageExpression":
                "'name must not be ' + self.size", "fieldPath": ".name"},
            {"rule": "!has(self.reason) || self.reason != 'forbidden'", "reason": "FieldValueForbidden",
                "message": "write another reason"},
        ],
        "properties": {
            "size": {"type": "string", "enum": ["small", "large"]},
            "replicas": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 9, "default": 1},
            "ratio": {"type": "number", "minimum": 0, "exclusiveMinimum": true, "multipleOf": 0.5},
            "name": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5, "minLength": 2},
            "reason": {"type": "string"},
            "on": {"type": "boolean"},
            "time": {"type": "string", "format": "date-time"},
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
            "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}, "minItems": 1},
            "map": {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "integer"}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "any": {"x-kubernetes-int-or-string": true},
            "maybe": {"type": "string", "nullable": true},
            "defaulted": {"type": "string", "default": "x"},
            "count": {
                "type": "integer",
                "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "count only grows"}],
            },
        },
    });
    definition(
        s,
        json!([{
            "name": "v1", "served": true, "storage": true,
            "subresources": {"status": {}, "scale": {
                "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
            }},
            "additionalPrinterColumns": [
                {"name": "Size", "type": "string", "jsonPath": ".spec.size", "description": "How large it is"},
                {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "priority": 1},
                {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
                {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            ],
            "schema": {"openAPIV3Schema": {
                "type": "object", "required": ["spec"],
                "properties": {
                    "spec": spec, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                },
                "x-kubernetes-validations": [
                    {"rule": "self.metadata.name != 'bad'", "message": "write another name"},
                ],
            }},
        }]),
    )
}

pub(super) fn thing(s: &Scope, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": format!("{}/v1", group(s)), "kind": "Thing", "metadata": {"name": name}, "spec": spec,
    })
}

fn path(s: &Scope) -> String {
    format!("{DEFINITIONS}/things.{}", group(s))
}

fn things(s: &Scope, version: &str) -> String {
    s.at(&format!("{}/{version}", group(s)), "things")
}

/// Installs a definition, waits until it is served, and returns the path of its collection in version `v1`.
pub(super) async fn install(s: &Scope, definition: Value) -> Result<String, Failure> {
    s.delete_later(path(s));
    s.post(DEFINITIONS, definition).await?.code(201)?;
    served(s, "v1").await?;
    Ok(things(s, "v1"))
}

async fn served(s: &Scope, version: &str) -> Outcome {
    s.becomes(&path(s), "an established definition", established).await?;
    let path = things(s, version);
    // A real server takes a moment from the condition to the first answer; and writes come after reads.
    s.becomes(&path, "the resource", |_| true).await?;
    Ok(())
}

fn established(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == "Established" && c["status"] == "True")
}

async fn a_definition_is_completed_and_established(s: &Scope) -> Outcome {
    install(s, rich(s)).await?;
    let stored = s.becomes(&path(s), "an established definition", established).await?;
    s.expect("definition", &stored)
}

async fn a_definition_serves_its_resource(s: &Scope) -> Outcome {
    let path = things(s, "v1");
    s.get(&path).await?.code(404)?;
    install(s, rich(s)).await?;
    let list = s.get(&path).await?.ok()?;
    is((&list["kind"], &list["items"]), (&json!("ThingList"), &json!([])))?;
    let mut resources = s.get(&format!("/apis/{}/v1", group(s))).await?.ok()?;
    // A hash of how it is stored is an affair of the server.
    if let Some(first) = resources["resources"][0].as_object_mut() {
        first.remove("storageVersionHash");
    }
    s.expect("definition-discovery", &resources)?;
    let found = s.get(&format!("/apis/{}", group(s))).await?.ok()?;
    s.expect("definition-group", &found)?;
    s.post(&path, thing(s, "a", json!({"size": "small"}))).await?.code(201)?;
    is(&s.get(&path).await?.ok()?["items"][0]["kind"], "Thing")
}

async fn a_definition_takes_its_resource_away(s: &Scope) -> Outcome {
    let things = install(s, plain(s)).await?;
    let mut held = thing(s, "a", json!({}));
    held["metadata"]["finalizers"] = json!(["contract.obstack.test/hold"]);
    s.post(&things, held).await?.ok()?;
    s.post(&things, thing(s, "b", json!({}))).await?.ok()?;
    s.delete(&path(s)).await?.ok()?;
    s.gone(&format!("{things}/b")).await?;
    let refused = s
        .until("a refusal", async || {
            let answer = s.post(&format!("{things}?dryRun=All"), thing(s, "c", json!({}))).await?;
            Ok((answer.code != 201).then_some(answer))
        })
        .await?;
    s.expect("definition-terminating", &brief(&refused))?;
    s.merge(&format!("{things}/a"), json!({"metadata": {"finalizers": null}})).await?.ok()?;
    s.gone(&path(s)).await?;
    s.gone(&things).await?;
    s.gone(&format!("/apis/{}/v1", group(s))).await
}

async fn a_wrong_definition_is_refused(s: &Scope) -> Outcome {
    let mut found = serde_json::Map::new();
    for (what, pointer, value) in [
        ("name", "/metadata/name", json!("others.contract.obstack.test")),
        ("scope", "/spec/scope", json!("Everywhere")),
        ("schema", "/spec/versions/0/schema", Value::Null),
        ("root", "/spec/versions/0/schema/openAPIV3Schema/type", json!("string")),
        (
            "untyped",
            "/spec/versions/0/schema/openAPIV3Schema/properties",
            json!({"spec": {"properties": {"a": {"type": "string"}}}}),
        ),
        ("kind", "/spec/names/kind", json!("")),
    ] {
        found.insert(what.to_owned(), refused(s, pointer, value).await?);
    }
    s.expect("wrong-definitions", &Value::Object(found))
}

/// What a definition with something else at a pointer is answered.
async fn refused(s: &Scope, pointer: &str, value: Value) -> Result<Value, Failure> {
    let mut body = plain(s);
    let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(parent) = body.pointer_mut(parent) {
        parent[name] = value;
    }
    Ok(brief(&s.post(&format!("{DEFINITIONS}?dryRun=All"), body).await?))
}

async fn a_schema_is_checked_in_depth(s: &Scope) -> Outcome {
    let mut found = serde_json::Map::new();
    for (what, pointer, value) in [
        (
            "default that does not fit",
            "/spec/versions/0/schema/openAPIV3Schema/properties",
            json!({"spec": {"type": "object", "properties": {"a": {"type": "string", "default": 1}}}}),
        ),
        (
            "keys of nothing",
            "/spec/versions/0/schema/openAPIV3Schema/properties",
            json!({"a": {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "string"}}}),
        ),
    ] {
        found.insert(what.to_owned(), refused(s, pointer, value).await?);
    }
    s.expect("schemas-in-depth", &Value::Object(found))
}

async fn some_of_a_definition_cannot_change(s: &Scope) -> Outcome {
    install(s, plain(s)).await?;
    let path = path(s);
    let answers = json!({
        "scope": brief(&s.merge(&path, json!({"spec": {"scope": "Cluster"}})).await?),
        "group": brief(&s.merge(&path, json!({"spec": {"group": "other.obstack.test"}})).await?),
        "plural": brief(&s.merge(&path, json!({"spec": {"names": {"plural": "others"}}})).await?),
        "kind": brief(&s.merge(&path, json!({"spec": {"names": {"kind": "Other"}}})).await?),
    });
    s.expect("definition-immutable", &answers)
}

async fn a_new_schema_is_served_at_once(s: &Scope) -> Outcome {
    let things = install(s, rich(s)).await?;
    s.post(&things, thing(s, "a", json!({"size": "small"}))).await?.ok()?;
    let mut newer = rich(s);
    newer["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["extra"] =
        json!({"type": "string", "default": "y"});
    let applied = s.force(&path(s), "installer", newer).await?.ok()?;
    is(&applied["status"]["storedVersions"], &json!(["v1"]))?;
    is(&applied["metadata"]["generation"], 2)?;
    let with_default = |found: &Value| found["spec"]["extra"] == "y";
    s.becomes(&format!("{things}/a"), "the new default in what is stored", with_default).await?;
    Ok(())
}

fn two_versions(s: &Scope, stored: &str, served: &[&str]) -> Value {
    let version = |name: &str, schema: Value| {
        json!({
            "name": name, "served": served.contains(&name), "storage": name == stored,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": schema}}},
        })
    };
    let old = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let new = json!({
        "type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string", "default": "new"}},
    });
    definition(s, json!([version("v1", old), version("v2", new)]))
}

async fn a_new_version_is_served_beside_the_old_one(s: &Scope) -> Outcome {
    let old = install(s, plain(s)).await?;
    s.post(&old, thing(s, "a", json!({"a": "1", "c": "2"}))).await?.ok()?;
    s.force(&path(s), "installer", two_versions(s, "v1", &["v1", "v2"])).await?.ok()?;
    served(s, "v2").await?;
    let new = things(s, "v2");
    // It has the fields of this version, and the defaults of the one in which it is stored.
    let wanted = |found: &Value| found["spec"] == json!({"a": "1"});
    let seen = s.becomes(&format!("{new}/a"), "the object in its new version", wanted).await?;
    is(&seen["apiVersion"], &json!(format!("{}/v2", group(s))))?;
    let found = s.get(&format!("/apis/{}", group(s))).await?.ok()?;
    is(&found["preferredVersion"]["version"], "v2")?;
    let touched = json!({"metadata": {"labels": {"x": "y"}}});
    is(&s.merge(&format!("{new}/a"), touched).await?.ok()?["spec"], &json!({"a": "1", "b": "new"}))?;
    is(&s.get(&format!("{old}/a")).await?.ok()?["spec"], &json!({"a": "1", "b": "new"}))
}

async fn the_storage_version_can_move_on(s: &Scope) -> Outcome {
    install(s, two_versions(s, "v1", &["v1", "v2"])).await?;
    let moved = s.force(&path(s), "installer", two_versions(s, "v2", &["v1", "v2"])).await?.ok()?;
    is(&moved["status"]["storedVersions"], &json!(["v1", "v2"]))?;
    let status = json!({"status": {"storedVersions": ["v2"]}});
    let cleaned = s.merge(&format!("{}/status", path(s)), status).await?.ok()?;
    is(&cleaned["status"]["storedVersions"], &json!(["v2"]))?;
    let mut without = two_versions(s, "v2", &["v2"]);
    if let Some(versions) = without["spec"]["versions"].as_array_mut() {
        versions.remove(0);
    }
    let versions = json!({"spec": {"versions": without["spec"]["versions"]}});
    is(&s.merge(&path(s), versions).await?.ok()?["status"]["storedVersions"], &json!(["v2"]))
}

async fn a_version_that_is_no_longer_served_is_404(s: &Scope) -> Outcome {
    let old = install(s, two_versions(s, "v1", &["v1", "v2"])).await?;
    s.post(&old, thing(s, "a", json!({"a": "1"}))).await?.ok()?;
    s.force(&path(s), "installer", two_versions(s, "v1", &["v2"])).await?.ok()?;
    s.gone(&old).await?;
    is(&s.get(&format!("{}/a", things(s, "v2"))).await?.ok()?["spec"]["a"], "1")
}

/// Installs what obstack defines. It stays: other cases may use it at the same time.
pub(in crate::contract) async fn install_ours(s: &Scope) -> Outcome {
    for definition in obstack_crds::all() {
        let body = serde_json::to_value(&definition).map_err(|e| e.to_string())?;
        let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let plural = body["spec"]["names"]["plural"].as_str().unwrap_or_default().to_owned();
        s.force(&format!("{DEFINITIONS}/{name}"), "contract", body).await?.ok()?;
        s.becomes(&format!("{DEFINITIONS}/{name}"), "an established definition", established).await?;
        s.becomes(&s.at("obstack.io/v1alpha1", &plural), "the resource", |_| true).await?;
    }
    Ok(())
}

async fn our_own_definitions_are_accepted_and_enforced(s: &Scope) -> Outcome {
    install_ours(s).await?;
    let stacks = s.at("obstack.io/v1alpha1", "observabilitystacks");
    let stack = |name: &str, spec: Value| {
        json!({
            "apiVersion": "obstack.io/v1alpha1", "kind": "ObservabilityStack", "metadata": {"name": name},
            "spec": spec,
        })
    };
    let empty = s.post(&stacks, stack("empty", json!({}))).await?.ok()?;
    is(&empty["spec"], &json!({}))?;
    let long = "a".repeat(obstack_crds::MAX_STACK_NAME + 1);
    let answers = json!({
        "long name": brief(&s.post(&stacks, stack(&long, json!({}))).await?),
        "type": brief(&s.post(&stacks, stack("a", json!({"requirements": {"activeSeries": "many"}}))).await?),
        "enum": brief(&s.post(&stacks, stack("b", json!({"environment": "moon"}))).await?),
    });
    s.expect("our-definitions", &answers)
}
