//! What decoding does to a request's object: unknown fields fall away (and are reported), nulls and empty
//! collections of built-in types fall away, and a value of the wrong type is refused.

use super::{Kind, Schema, quantity};
use serde_json::{Map, Value};

const QUANTITY_TEXT: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// Fields that a type does not declare, as `spec.foo` paths.
pub(crate) type Unknown = Vec<String>;

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// Prunes a custom resource against its structural schema, in place. The root's `apiVersion`, `kind` and
/// `metadata` are never pruned.
pub(crate) fn prune(value: &mut Value, schema: &Schema) -> Unknown {
    let mut unknown = Vec::new();
    prune_at(value, schema, true, "", &mut unknown);
    unknown
}

fn prune_at(value: &mut Value, schema: &Schema, root: bool, path: &str, unknown: &mut Unknown) {
    let schema = schema.resolve();
    match value {
        Value::Object(map) => {
            let keep_all =
                schema.preserve_unknown || (schema.kind == Kind::Any && schema.properties.is_empty());
            let always =
                |name: &str| (root || schema.embedded) && matches!(name, "apiVersion" | "kind" | "metadata");
            map.retain(|name, _| {
                let known = schema.properties.contains_key(name)
                    || schema.additional.is_some()
                    || keep_all
                    || always(name);
                if !known {
                    unknown.push(join(path, name));
                }
                known
            });
            for (name, child) in map.iter_mut() {
                if always(name) {
                    continue;
                }
                if let Some(declared) = schema.field(name) {
                    prune_at(child, declared, false, &join(path, name), unknown);
                } else if let Some(additional) = &schema.additional {
                    prune_at(child, additional, false, &join(path, name), unknown);
                }
            }
        }
        Value::Array(items) => {
            if let Some(item) = &schema.items {
                for (index, child) in items.iter_mut().enumerate() {
                    prune_at(child, item, false, &format!("{path}[{index}]"), unknown);
                }
            }
        }
        _ => {}
    }
}

/// Decodes an object of a built-in type in place, as the server's Go structs would.
///
/// # Errors
/// The text of the JSON decoder for the first value of a wrong type.
pub(crate) fn decode(value: &mut Value, schema: &Schema) -> Result<Unknown, String> {
    let mut unknown = Vec::new();
    decode_at(value, schema, "", &mut unknown)?;
    Ok(unknown)
}

fn wrong(value: &Value, path: &str, wanted: &str) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {found} into Go struct field {path} of type {wanted}")
}

fn decode_at(value: &mut Value, schema: &Schema, path: &str, unknown: &mut Unknown) -> Result<(), String> {
    let schema = schema.resolve();
    match schema.kind {
        Kind::Any => Ok(()),
        Kind::Object => match value {
            Value::Object(map) => decode_map(map, schema, path, unknown),
            other => Err(wrong(other, path, "map[string]interface {}")),
        },
        Kind::Array => match value {
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    decode_at(item, schema.item(), &format!("{path}[{index}]"), unknown)?;
                }
                Ok(())
            }
            other => Err(wrong(other, path, "[]interface {}")),
        },
        Kind::String if !value.is_string() => Err(wrong(value, path, "string")),
        Kind::Boolean if !value.is_boolean() => Err(wrong(value, path, "bool")),
        Kind::Integer if !(value.is_i64() || value.is_u64()) => {
            let wanted = schema.bounds.format.clone().unwrap_or_else(|| "int64".to_owned());
            Err(wrong(value, path, &wanted))
        }
        Kind::Number if !value.is_number() => Err(wrong(value, path, "float64")),
        Kind::IntOrString if !(value.is_string() || value.is_i64()) => {
            Err(wrong(value, path, "intstr.IntOrString"))
        }
        Kind::Quantity => {
            let text = match value {
                Value::Number(number) => number.to_string(),
                Value::String(text) => text.clone(),
                other => return Err(wrong(other, path, "resource.Quantity")),
            };
            let found = quantity::canonical(&text).ok_or_else(|| QUANTITY_TEXT.to_owned())?;
            *value = Value::String(found);
            Ok(())
        }
        Kind::Time | Kind::MicroTime => {
            let Value::String(text) = &value else { return Err(wrong(value, path, "string")) };
            let time: jiff::Timestamp =
                text.parse().map_err(|_| format!("parsing time {text:?}: write RFC 3339"))?;
            let micro = schema.kind == Kind::MicroTime;
            let form = if micro { "%Y-%m-%dT%H:%M:%S%.6fZ" } else { "%Y-%m-%dT%H:%M:%SZ" };
            *value = Value::String(time.strftime(form).to_string());
            Ok(())
        }
        _ => Ok(()),
    }
}

fn decode_map(
    map: &mut Map<String, Value>,
    schema: &Schema,
    path: &str,
    unknown: &mut Unknown,
) -> Result<(), String> {
    map.retain(|name, value| {
        if value.is_null() {
            return false;
        }
        let known = schema.properties.contains_key(name)
            || schema.additional.is_some()
            || schema.properties.is_empty();
        if !known {
            unknown.push(join(path, name));
        }
        known
    });
    for (name, child) in map.iter_mut() {
        decode_at(child, schema.child(name), &join(path, name), unknown)?;
    }
    // `omitempty`: an empty list or map is the same as none, unless the type must have it.
    map.retain(|name, value| match value {
        Value::Array(items) => {
            !items.is_empty() || schema.required.contains(name) || !schema.properties.contains_key(name)
        }
        Value::Object(entries) => {
            !entries.is_empty()
                || schema.required.contains(name)
                || !schema.field(name).is_some_and(Schema::is_free_map)
        }
        _ => true,
    });
    Ok(())
}
