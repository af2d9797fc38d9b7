//! OpenAPI v3 documents: what kubectl needs to explain, to validate and to know patch keys.

use super::registry::{Registry, Resource, types};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// What the fields of every custom resource are described with.
const API_VERSION: &str = "APIVersion defines the versioned schema of this representation of an object. \
    Servers should convert recognized schemas to the latest internal value, and may reject unrecognized \
    values. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources";
const KIND: &str = "Kind is a string value representing the REST resource this object represents. \
    Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. \
    More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds";
const METADATA: &str = "Standard object's metadata. More info: \
    https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// The index at `/openapi/v3`.
pub(crate) fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    let mut versions: BTreeSet<(String, String)> = BTreeSet::new();
    versions.extend(registry.resources.keys().map(|(group, version, _)| (group.clone(), version.clone())));
    for (group, version) in versions {
        let path =
            if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let digest = digest(registry, &group, &version);
        paths.insert(path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={digest}")}));
    }
    json!({ "paths": paths })
}

/// Names the content of a document, so that clients can cache it.
fn digest(registry: &Registry, group: &str, version: &str) -> String {
    let mut hash = Sha256::new();
    for resource in registry.of_version(group, version) {
        hash.update(resource.plural.as_bytes());
        if let Some(custom) = &resource.custom {
            hash.update(custom.schema_json.to_string().as_bytes());
        }
    }
    hash.finalize().iter().map(|b| format!("{b:02X}")).collect()
}

/// The document of one group and version.
pub(crate) fn document(registry: &Registry, group: &str, version: &str) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in registry.of_version(group, version) {
        let name = definition_name(resource);
        let mut schema = match &resource.custom {
            Some(custom) => custom_schema(&custom.schema_json),
            None => {
                types::json_definitions().get(&name).cloned().unwrap_or_else(|| json!({"type": "object"}))
            }
        };
        if resource.custom.is_none()
            && let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut)
        {
            // The definitions of this machine say so of every kind; a cluster's of none.
            required.retain(|name| name != "metadata");
        }
        schema["x-kubernetes-group-version-kind"] = json!([gvk(resource)]);
        references(&schema, &mut schemas);
        schemas.insert(name.clone(), schema);
        add_paths(resource, &name, &mut paths);
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.37.0"},
        "paths": paths, "components": {"schemas": schemas},
    })
}

fn gvk(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn definition_name(resource: &Resource) -> String {
    if let Some(name) = &resource.schema.reference {
        return name.clone();
    }
    let group: Vec<&str> = resource.group.split('.').rev().collect();
    format!("{}.{}.{}", group.join("."), resource.version, resource.kind)
}

/// A custom resource's schema with the fields that every object has.
fn custom_schema(schema: &Value) -> Value {
    let mut schema = schema.clone();
    int_or_string(&mut schema);
    schema["properties"]["apiVersion"] = json!({"type": "string", "description": API_VERSION});
    schema["properties"]["kind"] = json!({"type": "string", "description": KIND});
    schema["properties"]["metadata"] = json!({
        "allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}],
        "description": METADATA,
    });
    schema
}

/// What may be a number or a text says so in plain OpenAPI too.
fn int_or_string(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                map.entry("anyOf").or_insert_with(|| json!([{"type": "integer"}, {"type": "string"}]));
            }
            map.values_mut().for_each(int_or_string);
        }
        Value::Array(items) => items.iter_mut().for_each(int_or_string),
        _ => {}
    }
}

/// Adds every definition that a schema refers to.
fn references(schema: &Value, found: &mut Map<String, Value>) {
    match schema {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str).and_then(|r| r.rsplit('/').next())
                && !found.contains_key(name)
                && let Some(definition) = types::json_definitions().get(name)
            {
                found.insert(name.to_owned(), definition.clone());
                references(definition, found);
            }
            map.values().for_each(|v| references(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| references(v, found)),
        _ => {}
    }
}

fn add_paths(resource: &Resource, schema: &str, paths: &mut Map<String, Value>) {
    let base = if resource.group.is_empty() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    let place = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{base}{place}/{}", resource.plural);
    let query =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let writes = json!([query("dryRun"), query("fieldManager"), query("fieldValidation")]);
    let content = json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
    let operation = |action: &str, writes: &Value| {
        let mut operation = json!({
            "responses": {"200": {"description": "OK", "content": content}},
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk(resource),
        });
        if !writes.is_null() {
            operation["parameters"] = writes.clone();
        }
        operation
    };
    if resource.create_only {
        paths.insert(collection, json!({"post": operation("post", &writes)}));
        return;
    }
    paths.insert(
        collection.clone(),
        json!({"get": operation("list", &Value::Null), "post": operation("post", &writes)}),
    );
    paths.insert(
        format!("{collection}/{{name}}"),
        json!({
            "get": operation("get", &Value::Null), "put": operation("put", &writes),
            "patch": operation("patch", &writes), "delete": operation("delete", &Value::Null),
        }),
    );
}
