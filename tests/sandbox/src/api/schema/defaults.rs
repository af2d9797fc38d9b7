//! Defaults of structural schemas.

use super::Schema;
use serde_json::Value;

/// Fills in what a schema defaults, nested ones included. A null where null is not allowed and a default
/// exists counts as missing, as in the API server.
pub(crate) fn apply(value: &mut Value, schema: &Schema) {
    let schema = schema.resolve();
    match value {
        Value::Object(map) => {
            for (name, declared) in &schema.properties {
                let Some(default) = declared.default.as_ref().or(declared.resolve().default.as_ref()) else {
                    continue;
                };
                let missing = match map.get(name) {
                    None => true,
                    Some(Value::Null) => !declared.nullable,
                    Some(_) => false,
                };
                if missing {
                    map.insert(name.clone(), default.clone());
                }
            }
            // A null that a field cannot be and that has no default is as if it were not there.
            map.retain(|name, value| {
                !value.is_null()
                    || schema.field(name).is_none_or(|declared| declared.nullable || declared.untyped())
            });
            for (name, child) in map.iter_mut() {
                if let Some(declared) = schema.field(name) {
                    apply(child, declared);
                } else if let Some(additional) = &schema.additional {
                    apply(child, additional);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| apply(item, schema.item())),
        _ => {}
    }
}
