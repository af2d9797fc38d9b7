//! Server-side apply: merge what a manager applies, and take away what it no longer does.

use super::super::schema::Schema;
use super::fieldset::{self, FieldSet, Shape, field, item, shape};
use serde_json::{Map, Value};

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

/// The first field that a type does not declare, as the typed patch reports it.
pub(crate) fn undeclared(value: &Value, schema: &Schema, path: &str) -> Option<String> {
    let schema = schema.resolve();
    match value {
        Value::Object(map) => map.iter().find_map(|(name, child)| {
            let at = format!("{path}.{name}");
            let known = schema.field(name).is_some()
                || schema.additional.is_some()
                || schema.preserve_unknown
                || schema.untyped();
            if known { undeclared(child, schema.child(name), &at) } else { Some(at) }
        }),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, child)| {
            let key = item(schema.item(), &schema.list, child);
            let at = match key {
                Some(key) => FieldSet { here: false, children: [(key, leaf())].into() }
                    .paths()
                    .first()
                    .map(|p| format!("{path}{p}"))
                    .unwrap_or_default(),
                None => format!("{path}[{index}]"),
            };
            undeclared(child, schema.item(), &at)
        }),
        _ => None,
    }
}

fn leaf() -> FieldSet {
    FieldSet { here: true, ..fieldset::FieldSet::default() }
}
