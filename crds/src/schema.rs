//! Schemas of values that schemars cannot bound by itself. Every list, map and string of the CRDs has a
//! bound: the API server prices each CEL rule by it.

use schemars::{Schema, SchemaGenerator, json_schema};

/// An object of Kubernetes' own, taken as it is and read by the operator: affinity, pod templates.
/// Its own schema would put hundreds of kilobytes into the CRD.
pub(crate) fn opaque(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A list of objects of Kubernetes' own.
pub(crate) fn opaque_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 32,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true }
    })
}

/// Labels, annotations and selectors: at most 64 entries of at most 1,024 characters.
pub(crate) fn string_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 1024 }
    })
}

/// Requests and limits by resource name.
pub(crate) fn resources(_: &mut SchemaGenerator) -> Schema {
    let quantities = serde_json::json!({
        "type": "object", "maxProperties": 8,
        "additionalProperties": { "x-kubernetes-int-or-string": true }
    });
    json_schema!({
        "type": "object",
        "properties": { "requests": quantities, "limits": quantities }
    })
}

/// Lists of keys of Secrets by name, at most 16 of each.
pub(crate) fn key_lists(generator: &mut SchemaGenerator) -> Schema {
    let mut key = generator.subschema_for::<crate::workload::SecretKey>();
    let key = key.ensure_object().clone();
    json_schema!({
        "type": "object", "maxProperties": 16,
        "additionalProperties": { "type": "array", "maxItems": 16, "items": key }
    })
}

/// A number or a text of at most 63 characters.
pub(crate) fn int_or_string(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true })
}

/// What a step of relabelling does, in small letters or as the peers write it.
pub(crate) fn relabel_action(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": [
            "replace", "Replace", "keep", "Keep", "drop", "Drop", "hashmod", "HashMod", "labelmap", "LabelMap",
            "labeldrop", "LabelDrop", "labelkeep", "LabelKeep", "lowercase", "Lowercase", "uppercase", "Uppercase",
            "keepequal", "KeepEqual", "dropequal", "DropEqual"
        ]
    })
}

/// A resource whose objects are held to their namespace.
pub(crate) fn enforced_resource(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": ["servicemonitors", "podmonitors", "probes", "scrapeconfigs", "prometheusrules"]
    })
}

/// A protocol of scrapes.
pub(crate) fn scrape_protocol(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": [
            "PrometheusProto", "OpenMetricsText0.0.1", "OpenMetricsText1.0.0", "PrometheusText0.0.4",
            "PrometheusText1.0.0"
        ]
    })
}

/// A rule of CEL: at most one of these fields is there.
pub(crate) fn at_most_one(fields: &[&str]) -> serde_json::Value {
    let there: Vec<String> = fields.iter().map(|field| format!("has(self.{field})")).collect();
    let rule = format!("[{}].filter(there, there).size() <= 1", there.join(", "));
    let message = format!("write at most one of {}", fields.join(", "));
    serde_json::json!([{ "rule": rule, "message": message }])
}

/// Conditions as the Kubernetes API conventions define them.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 16,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": { "type": "string", "maxLength": 64 },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
                "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
                "lastTransitionTime": { "type": "string", "format": "date-time" },
                "reason": { "type": "string", "maxLength": 64, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$" },
                "message": { "type": "string", "maxLength": 4096 }
            }
        }
    })
}

/// Fields whose default breaks their own bound are required instead: a definition with such a default is
/// refused, and a missing field is told as missing.
pub(crate) fn required_where_empty_is_invalid(schema: &mut Schema) {
    let mut required = Vec::new();
    let properties = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        let least = |bound: &str| property[bound].as_u64().unwrap_or(0) > 0;
        let empty = property.get("default").is_some_and(|default| match default {
            serde_json::Value::String(text) => text.is_empty() && least("minLength"),
            serde_json::Value::Array(items) => items.is_empty() && least("minItems"),
            _ => false,
        });
        if empty && let Some(property) = property.as_object_mut() {
            property.remove("default");
            required.push(serde_json::Value::from(name.as_str()));
        }
    }
    if !required.is_empty() {
        let list = schema.ensure_object().entry("required").or_insert_with(|| serde_json::json!([]));
        list.as_array_mut().into_iter().for_each(|list| list.append(&mut required));
    }
}
