//! Strategic merge patches of built-in types.

use super::super::errors::{ApiError, ApiResult};
use super::super::schema::{ListKind, Schema};
use serde_json::{Map, Value};

/// Applies a strategic merge patch in place.
///
/// # Errors
/// Bad request for a directive that is not known or a list item without its key.
pub(crate) fn apply(target: &mut Value, patch: &Value, schema: &Schema) -> ApiResult<()> {
    let schema = schema.resolve();
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return Ok(()) };
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *map = patch
                .iter()
                .filter(|(k, _)| !k.starts_with('$'))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            return Ok(());
        }
        Some("delete") => {
            map.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(ApiError::bad_request(format!("unknown patch type \"{other}\""))),
    }
    if let Some(keys) = patch.get("$retainKeys").and_then(Value::as_array) {
        let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
        map.retain(|name, _| keys.contains(&name.as_str()));
    }
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            let gone = value.as_array().cloned().unwrap_or_default();
            if let Some(Value::Array(items)) = map.get_mut(list) {
                items.retain(|item| !gone.contains(item));
            }
        }
    }
    for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
        let child = schema.child(name);
        match value {
            Value::Null => {
                map.remove(name);
            }
            Value::Object(_) => {
                // Atomic structs still merge here: only apply looks at that marker.
                apply(map.entry(name.clone()).or_insert(Value::Null), value, child)?;
            }
            Value::Array(items) => {
                let order = patch.get(&format!("$setElementOrder/{name}")).and_then(Value::as_array);
                let slot = map.entry(name.clone()).or_insert_with(|| Value::Array(Vec::new()));
                merge_list(slot, items, child)?;
                if let Some(order) = order {
                    sort(slot, order, child);
                }
            }
            other => {
                map.insert(name.clone(), other.clone());
            }
        }
    }
    for (name, order) in patch {
        let Some(list) = name.strip_prefix("$setElementOrder/") else { continue };
        if let (Some(slot), Some(order)) = (map.get_mut(list), order.as_array()) {
            sort(slot, order, schema.child(list));
        }
    }
    Ok(())
}

fn merge_list(slot: &mut Value, patch: &[Value], schema: &Schema) -> ApiResult<()> {
    let Value::Array(items) = slot else {
        *slot = Value::Array(patch.to_vec());
        return Ok(());
    };
    if patch.iter().any(|p| p.get("$patch").and_then(Value::as_str) == Some("replace")) {
        *items = patch.iter().filter(|p| p.get("$patch").is_none()).cloned().collect();
        return Ok(());
    }
    match &schema.list {
        ListKind::Atomic => *items = patch.to_vec(),
        ListKind::Set => {
            for value in patch {
                if !items.contains(value) {
                    items.push(value.clone());
                }
            }
        }
        ListKind::Map(keys) => {
            let Some(key) = keys.first() else { return Ok(()) };
            for value in patch {
                let Some(wanted) = value.get(key) else {
                    let why = format!("map: {value} does not contain declared merge key: {key}");
                    return Err(ApiError::new(500, "", why));
                };
                let position = items.iter().position(|i| i.get(key) == Some(wanted));
                if value.get("$patch").and_then(Value::as_str) == Some("delete") {
                    items.retain(|i| i.get(key) != Some(wanted));
                    continue;
                }
                match position {
                    Some(index) => apply(&mut items[index], value, schema.item())?,
                    None => {
                        let mut fresh = Value::Object(Map::new());
                        apply(&mut fresh, value, schema.item())?;
                        items.push(fresh);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Brings the items into the order that the client saw; others keep their place at the end.
fn sort(slot: &mut Value, order: &[Value], schema: &Schema) {
    let Value::Array(items) = slot else { return };
    let rank = |value: &Value| match &schema.list {
        ListKind::Map(keys) => {
            let key = keys.first().map(String::as_str).unwrap_or_default();
            order.iter().position(|o| o.get(key) == value.get(key))
        }
        _ => order.iter().position(|o| o == value),
    };
    items.sort_by_key(|value| rank(value).unwrap_or(usize::MAX));
}
