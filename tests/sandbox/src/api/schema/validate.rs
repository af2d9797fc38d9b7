//! Validation of custom resources against their structural schema, with the messages of the API server.

use super::super::errors::Cause;
use super::{Bounds, Kind, ListKind, Schema};
use serde_json::Value;
use std::collections::BTreeSet;

/// Everything that is wrong with a value, in the order of its fields.
pub(crate) fn check(value: &Value, schema: &Schema) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_at(value, schema, "", &mut causes);
    causes
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn fits(value: &Value, kind: Kind) -> bool {
    match kind {
        Kind::Any => true,
        Kind::Object => value.is_object(),
        Kind::Array => value.is_array(),
        Kind::String | Kind::Quantity | Kind::Time | Kind::MicroTime => value.is_string(),
        Kind::Integer => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|f| f.fract() == 0.0),
        Kind::Number => value.is_number(),
        Kind::Boolean => value.is_boolean(),
        Kind::IntOrString => value.is_string() || value.is_i64() || value.is_u64(),
    }
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Any => "any",
        Kind::Object => "object",
        Kind::Array => "array",
        Kind::String | Kind::Quantity | Kind::Time | Kind::MicroTime => "string",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::Boolean => "boolean",
        Kind::IntOrString => "integer,string",
    }
}

fn check_at(value: &Value, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let schema = schema.resolve();
    if value.is_null() && schema.nullable {
        return;
    }
    if !fits(value, schema.kind) {
        let found = type_name(value);
        causes.push(Cause::new(
            "FieldValueTypeInvalid",
            if path.is_empty() { "<nil>" } else { path },
            format!(
                "Invalid value: \"{found}\": {path} in body must be of type {}: \"{found}\"",
                wanted(schema.kind)
            ),
        ));
        enumeration(value, &schema.bounds, path, causes);
        return;
    }
    bounds(value, &schema.bounds, path, causes);
    match value {
        Value::Object(map) => {
            for name in &schema.required {
                if !map.contains_key(name) {
                    causes.push(Cause::required(join(path, name), ""));
                }
            }
            for (name, child) in map {
                if path.is_empty() && matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                    continue;
                }
                if let Some(declared) = schema.field(name) {
                    check_at(child, declared, &join(path, name), causes);
                } else if let Some(additional) = &schema.additional {
                    check_at(child, additional, &join(path, name), causes);
                }
            }
        }
        Value::Array(items) => {
            duplicates(items, schema, path, causes);
            for (index, child) in items.iter().enumerate() {
                check_at(child, schema.item(), &format!("{path}[{index}]"), causes);
            }
        }
        _ => {}
    }
}

fn duplicates(items: &[Value], schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    let (mut seen, mut told) = (BTreeSet::new(), BTreeSet::new());
    for (index, item) in items.iter().enumerate() {
        let identity = match &schema.list {
            ListKind::Atomic => return,
            ListKind::Set => item.to_string(),
            ListKind::Map(_) if !item.is_object() => {
                let why = "must be an object for an array of list-type map".to_owned();
                causes.push(Cause::invalid(format!("{path}[{index}]"), item, why));
                continue;
            }
            ListKind::Map(keys) => {
                let map: serde_json::Map<String, Value> =
                    keys.iter().filter_map(|k| Some((k.clone(), item.get(k)?.clone()))).collect();
                Value::Object(map).to_string()
            }
        };
        // However often one is there, it is told once.
        if !seen.insert(identity.clone()) && told.insert(identity.clone()) {
            causes.push(Cause::new(
                "FieldValueDuplicate",
                format!("{path}[{index}]"),
                format!("Duplicate value: {identity}"),
            ));
        }
    }
}

fn enumeration(value: &Value, bounds: &Bounds, path: &str, causes: &mut Vec<Cause>) {
    if !bounds.enumeration.is_empty() && !bounds.enumeration.contains(value) {
        let supported: Vec<String> = bounds
            .enumeration
            .iter()
            .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned))
            .collect();
        causes.push(Cause::not_supported(path, value, &supported));
    }
}

fn bounds(value: &Value, bounds: &Bounds, path: &str, causes: &mut Vec<Cause>) {
    enumeration(value, bounds, path, causes);
    let mut invalid = |why: String| causes.push(Cause::invalid(path, value, format!("{path} in body {why}")));
    match value {
        Value::String(text) => {
            let length = text.chars().count() as u64;
            if bounds.max_length.is_some_and(|max| length > max) {
                let max = bounds.max_length.unwrap_or_default();
                causes.push(Cause::new(
                    "FieldValueTooLong",
                    path,
                    format!("Too long: may not be more than {max} bytes"),
                ));
                return;
            }
            if let Some(min) = bounds.min_length.filter(|min| length < *min) {
                invalid(format!("should be at least {min} chars long"));
                return;
            }
            if let Some((pattern, Some(regex))) = &bounds.pattern
                && !regex.is_match(text)
            {
                invalid(format!("should match '{pattern}'"));
            }
            if let Some(format) = bounds.format.as_deref().filter(|f| !has_format(text, f)) {
                let why =
                    format!("Invalid value: \"{text}\": {path} in body must be of type {format}: \"{text}\"");
                causes.push(Cause::new("FieldValueTypeInvalid", path, why));
            }
        }
        Value::Number(number) => {
            let Some(found) = number.as_f64() else { return };
            if let Some(min) = bounds.minimum {
                if bounds.exclusive_minimum && found <= min {
                    invalid(format!("should be greater than {min}"));
                } else if found < min {
                    invalid(format!("should be greater than or equal to {min}"));
                }
            }
            if let Some(max) = bounds.maximum {
                if bounds.exclusive_maximum && found >= max {
                    invalid(format!("should be less than {max}"));
                } else if found > max {
                    invalid(format!("should be less than or equal to {max}"));
                }
            }
            if let Some(step) = bounds.multiple_of.filter(|s| *s != 0.0 && (found / s).fract() != 0.0) {
                invalid(format!("should be a multiple of {step}"));
            }
        }
        Value::Array(items) => {
            let count = items.len() as u64;
            if let Some(max) = bounds.max_items.filter(|max| count > *max) {
                causes.push(too_many(path, count, max));
                return;
            }
            if let Some(min) = bounds.min_items.filter(|min| count < *min) {
                let why = format!("{path} in body should have at least {min} items");
                causes.push(Cause::invalid(path, &count.into(), why));
                return;
            }
            if bounds.unique_items && (1..items.len()).any(|i| items[..i].contains(&items[i])) {
                invalid("shouldn't contain duplicates".to_owned());
            }
        }
        Value::Object(map) => {
            let count = map.len() as u64;
            if let Some(max) = bounds.max_properties.filter(|max| count > *max) {
                causes.push(too_many(path, count, max));
                return;
            }
            if let Some(min) = bounds.min_properties.filter(|min| count < *min) {
                let why = format!("{path} in body should have at least {min} properties");
                causes.push(Cause::invalid(path, &count.into(), why));
            }
        }
        _ => {}
    }
    junctors(value, bounds, path, causes);
}

fn too_many(path: &str, count: u64, max: u64) -> Cause {
    Cause::new("FieldValueTooMany", path, format!("Too many: {count}: must have at most {max} items"))
}

fn junctors(value: &Value, bounds: &Bounds, path: &str, causes: &mut Vec<Cause>) {
    let valid = |schema: &Schema| {
        let mut found = Vec::new();
        check_at(value, schema, path, &mut found);
        found.is_empty()
    };
    for schema in &bounds.all_of {
        check_at(value, schema, path, causes);
    }
    let mut invalid = |why: &str| {
        causes.push(Cause::invalid(path, value, format!("{path} in body {why}")));
    };
    if !bounds.any_of.is_empty() && !bounds.any_of.iter().any(valid) {
        invalid("must validate at least one schema (anyOf)");
    }
    if !bounds.one_of.is_empty() && bounds.one_of.iter().filter(|s| valid(s)).count() != 1 {
        invalid("must validate one and only one schema (oneOf)");
    }
    if bounds.not.as_deref().is_some_and(valid) {
        invalid("must not validate the schema (not)");
    }
}

fn has_format(text: &str, format: &str) -> bool {
    match format {
        "date-time" => text.parse::<jiff::Timestamp>().is_ok(),
        "date" => text.parse::<jiff::civil::Date>().is_ok(),
        "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
        "byte" => {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.decode(text).is_ok()
        }
        "uri" => text.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty()),
        "uuid" => {
            let plain: String = text.chars().filter(|c| *c != '-').collect();
            plain.len() == 32 && plain.chars().all(|c| c.is_ascii_hexdigit())
        }
        // Formats that the API server does not know do not restrict.
        _ => true,
    }
}
