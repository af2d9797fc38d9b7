//! Server-side apply: merge what a manager applies, and take away what it no longer does.

use super::super::schema::{Kind, Schema};
use super::fieldset::{self, FieldSet, Shape, field, item, shape};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Merges an applied configuration into the live object.
pub(crate) fn merge(live: &Value, applied: &Value, schema: &Schema) -> Value {
    let schema = schema.resolve();
    match (shape(live, schema), shape(applied, schema)) {
        (Shape::Map(live), Shape::Map(applied)) => {
            let mut merged = live.clone();
            for (name, value) in applied {
                let result = match live.get(name) {
                    Some(old) => merge(old, value, schema.child(name)),
                    None => value.clone(),
                };
                merged.insert(name.clone(), result);
            }
            Value::Object(merged)
        }
        (Shape::List(live), Shape::List(applied)) => Value::Array(merge_lists(live, applied, schema)),
        _ => applied.clone(),
    }
}

/// The applied order rules; items that only the live list has keep their place relative to the shared ones.
fn merge_lists(live: &[Value], applied: &[Value], schema: &Schema) -> Vec<Value> {
    let key = |value: &Value| item(schema.item(), &schema.list, value);
    let live_keys: Vec<Option<String>> = live.iter().map(key).collect();
    let applied_keys: Vec<Option<String>> = applied.iter().map(key).collect();
    let find = |keys: &[Option<String>], key: &Option<String>| {
        key.as_ref().and_then(|_| keys.iter().position(|k| k == key))
    };
    let mut merged = Vec::with_capacity(live.len() + applied.len());
    let (mut l, mut r) = (0, 0);
    while l < live.len() || r < applied.len() {
        if let Some(key) = live_keys.get(l) {
            match find(&applied_keys, key) {
                None => {
                    merged.push(live[l].clone());
                    l += 1;
                    continue;
                }
                // Merged already where the applied order has it.
                Some(at) if at < r => {
                    l += 1;
                    continue;
                }
                Some(at) => {
                    // Another shared item comes first in the applied order: this one waits for its turn there.
                    let shared_before = (r..at).any(|index| find(&live_keys, &applied_keys[index]).is_some());
                    if shared_before {
                        l += 1;
                        continue;
                    }
                }
            }
        }
        if let Some(value) = applied.get(r) {
            let result = match find(&live_keys, &applied_keys[r]) {
                Some(at) => merge(&live[at], value, schema.item()),
                None => value.clone(),
            };
            merged.push(result);
            if live_keys.get(l).is_some_and(|k| k.is_some() && *k == applied_keys[r]) {
                l += 1;
            }
            r += 1;
        }
    }
    merged
}

/// Removes from `value` what `last` owned and nobody in `owned` owns any more.
pub(crate) fn prune(value: &mut Value, last: &FieldSet, owned: &FieldSet, schema: &Schema) {
    let schema = schema.resolve();
    match shape(value, schema) {
        Shape::Leaf => {}
        Shape::Map(_) => {
            let Value::Object(map) = value else { return };
            prune_map(map, last, owned, schema);
        }
        Shape::List(_) => {
            let Value::Array(items) = value else { return };
            items.retain_mut(|child| {
                let Some(key) = item(schema.item(), &schema.list, child) else { return true };
                let Some(was) = last.children.get(&key) else { return true };
                match owned.children.get(&key) {
                    None => !was.here,
                    Some(owned) => {
                        prune(child, was, owned, schema.item());
                        true
                    }
                }
            });
        }
    }
}

fn prune_map(map: &mut Map<String, Value>, last: &FieldSet, owned: &FieldSet, schema: &Schema) {
    map.retain(|name, child| {
        let key = field(name);
        let Some(was) = last.children.get(&key) else { return true };
        match owned.children.get(&key) {
            None => false,
            Some(owned) => {
                prune(child, was, owned, schema.child(name));
                true
            }
        }
    });
}

/// What keeps an object from being applied as its type, in the words of the API server: a field that is not
/// declared, a value of another type, two items with the same keys.
pub(crate) fn fault(value: &Value, schema: &Schema, path: &str) -> Option<String> {
    let schema = schema.resolve();
    let expected = match schema.kind {
        _ if value.is_null() => None,
        Kind::Object if !value.is_object() => Some("map"),
        Kind::Array if !value.is_array() => Some("list"),
        Kind::String if !value.is_string() => Some("string"),
        Kind::Integer | Kind::Number if !value.is_number() => Some("numeric (int or float)"),
        Kind::Boolean if !value.is_boolean() => Some("boolean"),
        _ => None,
    };
    if let Some(expected) = expected {
        let found = match value {
            Value::Object(_) => "map",
            Value::Array(_) => "list",
            Value::String(_) => "string",
            Value::Bool(_) => "boolean",
            _ => "number",
        };
        return Some(format!("{path}: expected {expected}, got {found}"));
    }
    match value {
        Value::Object(map) => map.iter().find_map(|(name, child)| {
            let at = format!("{path}.{name}");
            let known = schema.field(name).is_some()
                || schema.additional.is_some()
                || schema.preserve_unknown
                || schema.untyped();
            if known {
                fault(child, schema.child(name), &at)
            } else {
                Some(format!("{at}: field not declared in schema"))
            }
        }),
        Value::Array(items) => {
            let mut seen = BTreeSet::new();
            items.iter().enumerate().find_map(|(index, child)| {
                let at = match item(schema.item(), &schema.list, child) {
                    Some(key) => {
                        let shown = fieldset::display(&key);
                        if !seen.insert(key) {
                            return Some(format!("{path}: duplicate entries for key {shown}"));
                        }
                        format!("{path}{shown}")
                    }
                    None => format!("{path}[{index}]"),
                };
                fault(child, schema.item(), &at)
            })
        }
        _ => None,
    }
}
