//! From the JSON form (`openAPIV3Schema` of a custom resource, or the schema of a built-in type) to the model.

use super::{Bounds, Kind, ListKind, Schema};
use regex::Regex;
use serde_json::Value;
use std::sync::Arc;

/// Depth at which a schema is cut off; real ones stay far below.
const MAX_DEPTH: usize = 64;

/// Builds the model of a JSON schema. Unknown keywords are ignored, as the API server does.
pub(crate) fn parse(json: &Value) -> Schema {
    parse_at(json, 0)
}

fn parse_at(json: &Value, depth: usize) -> Schema {
    let mut schema = Schema { nullable: flag(json, "nullable"), ..Schema::default() };
    if depth > MAX_DEPTH {
        schema.preserve_unknown = true;
        return schema;
    }
    // With siblings, OpenAPI writes a reference as the only entry of `allOf`.
    let reference = json.get("$ref").or_else(|| json.pointer("/allOf/0/$ref")).and_then(Value::as_str);
    if let Some(reference) = reference {
        schema.reference = reference.rsplit('/').next().map(str::to_owned);
        schema.default = json.get("default").cloned();
        return schema;
    }
    schema.kind = kind(json);
    schema.preserve_unknown = flag(json, "x-kubernetes-preserve-unknown-fields");
    schema.embedded = flag(json, "x-kubernetes-embedded-resource");
    schema.atomic = json.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic");
    schema.default = json.get("default").cloned();
    schema.list = list_kind(json);
    let child = |value: &Value| Arc::new(parse_at(value, depth + 1));
    if let Some(properties) = json.get("properties").and_then(Value::as_object) {
        schema.properties = properties.iter().map(|(name, value)| (name.clone(), child(value))).collect();
    }
    match json.get("additionalProperties") {
        Some(Value::Bool(true)) => schema.additional = Some(Arc::new(Schema::any().clone())),
        Some(value @ Value::Object(_)) => schema.additional = Some(child(value)),
        _ => {}
    }
    schema.items = json.get("items").filter(|v| v.is_object()).map(child);
    let required = json.get("required").and_then(Value::as_array);
    schema.required = required.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect();
    schema.bounds = bounds(json, depth);
    schema
}

fn flag(json: &Value, key: &str) -> bool {
    json.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn kind(json: &Value) -> Kind {
    if flag(json, "x-kubernetes-int-or-string")
        || json.get("format").and_then(Value::as_str) == Some("int-or-string")
    {
        return Kind::IntOrString;
    }
    match json.get("type").and_then(Value::as_str) {
        Some("object") => Kind::Object,
        Some("array") => Kind::Array,
        Some("string") => Kind::String,
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Number,
        Some("boolean") => Kind::Boolean,
        _ => Kind::Any,
    }
}

fn list_kind(json: &Value) -> ListKind {
    match json.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = json.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            ListKind::Map(keys.into_iter().flatten().filter_map(|k| k.as_str().map(str::to_owned)).collect())
        }
        _ => ListKind::Atomic,
    }
}

fn bounds(json: &Value, depth: usize) -> Bounds {
    let number = |key: &str| json.get(key).and_then(Value::as_f64);
    let count = |key: &str| json.get(key).and_then(Value::as_u64);
    let schemas = |key: &str| {
        let list = json.get(key).and_then(Value::as_array);
        list.into_iter().flatten().map(|s| parse_at(s, depth + 1)).collect()
    };
    Bounds {
        enumeration: json.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
        pattern: json.get("pattern").and_then(Value::as_str).map(|p| (p.to_owned(), Regex::new(p).ok())),
        format: json.get("format").and_then(Value::as_str).map(str::to_owned),
        minimum: number("minimum"),
        maximum: number("maximum"),
        exclusive_minimum: flag(json, "exclusiveMinimum"),
        exclusive_maximum: flag(json, "exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_length: count("minLength"),
        max_length: count("maxLength"),
        min_items: count("minItems"),
        max_items: count("maxItems"),
        unique_items: flag(json, "uniqueItems"),
        min_properties: count("minProperties"),
        max_properties: count("maxProperties"),
        all_of: schemas("allOf"),
        any_of: schemas("anyOf"),
        one_of: schemas("oneOf"),
        not: json.get("not").map(|s| Box::new(parse_at(s, depth + 1))),
    }
}
