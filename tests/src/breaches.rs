//! Objects that break a schema in one place each: made from the schema itself, so that no bound is forgotten.

use regex::Regex;
use serde_json::{Map, Value, json};

/// Short strings, of which one at least fits every pattern of the API.
const SAMPLES: [&str; 15] = [
    "a",
    "1s",
    "1",
    "https://a",
    "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "Aa",
    "2030-01-01T00:00:00Z",
    "metricsStore",
    "1MB",
    "TLS12",
    "AzurePublic",
    "monitoring.coreos.com",
    "V1.0",
    "v2",
    "http",
];

/// An object that breaks one bound.
#[derive(Clone, Debug)]
pub struct Breach {
    /// The place and the bound: `spec.metrics.replicas: maximum`.
    pub what: String,
    /// The value at `spec`.
    pub spec: Value,
}

/// A step from a schema to one below it.
#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Item,
    Entry,
}

/// Breaks each bound of a schema of `spec` once.
///
/// # Panics
/// When no sample fits a pattern: a new one belongs to the samples.
pub fn breaches(spec: &Value) -> Vec<Breach> {
    let mut found = Vec::new();
    let mut path = Vec::new();
    walk(spec, spec, &mut path, &mut found);
    found
}

fn walk(root: &Value, schema: &Value, path: &mut Vec<Step>, found: &mut Vec<Breach>) {
    for (bound, value) in bad_values(schema) {
        let what = format!("{}: {bound}", describe(path));
        found.push(Breach { what, spec: place(root, path, value) });
    }
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        path.push(Step::Field(name.clone()));
        walk(root, below, path, found);
        path.pop();
    }
    for (step, below) in [(Step::Item, &schema["items"]), (Step::Entry, &schema["additionalProperties"])] {
        if below.is_object() {
            path.push(step);
            walk(root, below, path, found);
            path.pop();
        }
    }
}

fn describe(path: &[Step]) -> String {
    let mut text = "spec".to_owned();
    for step in path {
        match step {
            Step::Field(name) => {
                text.push('.');
                text.push_str(name);
            }
            Step::Item => text.push_str("[]"),
            Step::Entry => text.push_str(".*"),
        }
    }
    text
}

/// Values that break one bound each, and the name of the bound.
fn bad_values(schema: &Value) -> Vec<(String, Value)> {
    let mut bad = Vec::new();
    let mut add = |bound: &str, value: Value| bad.push((bound.to_owned(), value));
    let number = |name: &str| schema[name].as_f64();
    let size = |name: &str| schema[name].as_u64().map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    match schema["type"].as_str() {
        Some("string") => add("type", json!(1)),
        Some(_) => add("type", json!("text")),
        None => (),
    }
    if schema["enum"].is_array() {
        add("enum", json!("None-Of-Them"));
    }
    for (name, step) in [("minimum", -1.0), ("maximum", 1.0)] {
        if let Some(limit) = number(name) {
            let beyond = limit + step;
            add(name, if schema["type"] == "integer" { json!(beyond as i64) } else { json!(beyond) });
        }
    }
    if let Some(least) = size("minLength").filter(|least| *least > 0) {
        add("minLength", json!(sample(schema).chars().take(least - 1).collect::<String>()));
    }
    if let Some(most) = size("maxLength") {
        let sample = sample(schema);
        add("maxLength", json!(sample.repeat(most / sample.len().max(1) + 1)));
    }
    if schema["pattern"].is_string() {
        add("pattern", json!("!".repeat(size("minLength").unwrap_or(1).max(1))));
    }
    if size("minItems").is_some_and(|least| least > 0) {
        add("minItems", json!([]));
    }
    if let Some(most) = size("maxItems") {
        add("maxItems", Value::Array(vec![smallest(&schema["items"]); most + 1]));
    }
    if let Some(most) = size("maxProperties") {
        let entry = |number| (format!("k{number}"), smallest(&schema["additionalProperties"]));
        add("maxProperties", Value::Object((0..=most).map(entry).collect()));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let mut value = smallest(schema);
        value.as_object_mut().map(|fields| fields.remove(name));
        add(&format!("required {name}"), value);
    }
    bad
}

/// The smallest value that a schema takes.
pub fn smallest(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    if schema["x-kubernetes-int-or-string"] == true {
        return json!(1);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let field = |name: &str| (name.to_owned(), smallest(&schema["properties"][name]));
            Value::Object(required.map(field).collect::<Map<_, _>>())
        }
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or(0);
            Value::Array((0..least).map(|_| smallest(&schema["items"])).collect())
        }
        Some("string") => json!(sample(schema)),
        Some("integer") => json!(schema["minimum"].as_f64().unwrap_or(0.0) as i64),
        Some("number") => json!(schema["minimum"].as_f64().unwrap_or(0.0)),
        Some("boolean") => json!(false),
        _ => json!({}),
    }
}

/// A short string that a schema takes.
fn sample(schema: &Value) -> String {
    let pattern = schema["pattern"].as_str().map(|pattern| Regex::new(pattern).expect("a pattern"));
    let least = schema["minLength"].as_u64().unwrap_or(0);
    let most = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    let fits = |text: &&str| {
        let length = text.chars().count() as u64;
        let dated = schema["format"] != "date-time" || text.contains('T');
        (least..=most).contains(&length) && dated && pattern.as_ref().is_none_or(|p| p.is_match(text))
    };
    let found = SAMPLES.into_iter().find(fits);
    found.unwrap_or_else(|| panic!("no sample fits {schema}")).to_owned()
}

/// The smallest value of a schema with another one at a place in it.
fn place(schema: &Value, path: &[Step], value: Value) -> Value {
    let Some((step, rest)) = path.split_first() else { return value };
    match step {
        Step::Field(name) => {
            let mut whole = smallest(schema);
            whole[name] = place(&schema["properties"][name], rest, value);
            whole
        }
        Step::Item => {
            let mut whole = smallest(schema);
            let item = place(&schema["items"], rest, value);
            match whole.as_array_mut() {
                Some(items) if !items.is_empty() => items[0] = item,
                _ => whole = json!([item]),
            }
            whole
        }
        Step::Entry => json!({ "k": place(&schema["additionalProperties"], rest, value) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_broken_once_and_all_else_holds() {
        let schema = json!({
            "type": "object", "required": ["name"],
            "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 3 },
                "list": { "type": "array", "minItems": 1, "items": {
                    "type": "object", "required": ["count"],
                    "properties": { "count": { "type": "integer", "minimum": 2, "maximum": 4 } }
                } }
            }
        });
        let found = breaches(&schema);
        let of = |what: &str| found.iter().find(|breach| breach.what == what).map(|b| b.spec.clone());
        assert_eq!(of("spec.name: minLength"), Some(json!({ "name": "" })));
        assert_eq!(of("spec.name: maxLength"), Some(json!({ "name": "aaaa" })));
        assert_eq!(of("spec: required name"), Some(json!({})));
        assert_eq!(of("spec.list: minItems"), Some(json!({ "name": "a", "list": [] })));
        let deep = json!({ "name": "a", "list": [{ "count": 5 }] });
        assert_eq!(of("spec.list[].count: maximum"), Some(deep));
        assert_eq!(found.len(), 12, "{found:#?}");
    }
}
