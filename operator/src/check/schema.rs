//! The structural schema of a CRD over a document that knows its lines.

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::validate::{Fault, child_path, quoted};
use crate::yaml::marked::{Entry, Node, Tree};

use super::one_of;

/// What a walk over a document finds.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) faults: Vec<Fault>,
    /// Paths at which a stand-in took the place of what was there, so that the rest can be read.
    pub(super) replaced: Vec<String>,
}

impl Walk {
    /// Reads a value as its schema says. What does not fit is a fault, and is left out or stood in for.
    pub(super) fn read(&mut self, schema: &Value, node: &Node, path: &str) -> Option<Value> {
        if schema["x-kubernetes-int-or-string"] == true {
            return match &node.tree {
                Tree::Scalar(value @ (Value::String(_) | Value::Number(_))) => Some(value.clone()),
                _ => self.wrong(path, node, "a number or a text"),
            };
        }
        match schema["type"].as_str() {
            Some("object") => self.object(schema, node, path),
            Some("array") => self.array(schema, node, path),
            Some("string") => self.string(schema, node, path),
            Some("integer" | "number") => self.number(schema, node, path),
            Some("boolean") => match &node.tree {
                Tree::Scalar(value @ Value::Bool(_)) => Some(value.clone()),
                _ => self.wrong(path, node, "true or false, without quotes"),
            },
            _ => Some(node.to_json()),
        }
    }

    fn add(&mut self, path: &str, found: impl Into<String>, write: impl Into<String>) {
        self.faults.push(Fault { path: path.to_owned(), found: found.into(), write: write.into() });
    }

    fn wrong(&mut self, path: &str, node: &Node, write: &str) -> Option<Value> {
        self.add(path, describe(node), write);
        self.replaced.push(path.to_owned());
        None
    }

    fn object(&mut self, schema: &Value, node: &Node, path: &str) -> Option<Value> {
        let opaque = schema["x-kubernetes-preserve-unknown-fields"] == true;
        let Tree::Map(entries) = &node.tree else {
            return self.wrong(path, node, "a map of fields, or {} for none");
        };
        if opaque {
            return Some(node.to_json());
        }
        let properties = schema["properties"].as_object();
        let mut fields = Map::new();
        for entry in entries {
            // The API server drops fields that are null, and so does this.
            if entry.value.tree == Tree::Scalar(Value::Null) {
                if properties.is_some_and(|p| !p.contains_key(&entry.key)) {
                    self.unknown(schema, entry, path);
                }
                continue;
            }
            let inner = child_path(path, &entry.key);
            let known = properties.and_then(|properties| properties.get(&entry.key));
            let known = known.or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()));
            match known {
                Some(known) => {
                    if let Some(value) = self.read(known, &entry.value, &inner) {
                        fields.insert(entry.key.clone(), value);
                    }
                }
                None => self.unknown(schema, entry, path),
            }
        }
        self.bound(schema, "maxProperties", path, entries.len(), "keys");
        self.missing(schema, entries, &mut fields, path);
        Some(Value::Object(fields))
    }

    fn unknown(&mut self, schema: &Value, entry: &Entry, path: &str) {
        let known: Vec<&str> =
            schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        let found = format!("the unknown field {}", quoted(&entry.key));
        self.add(&child_path(path, &entry.key), found, one_of(&entry.key, &known));
    }

    fn missing(&mut self, schema: &Value, entries: &[Entry], fields: &mut Map<String, Value>, path: &str) {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let there = |e: &Entry| e.key == name && e.value.tree != Tree::Scalar(Value::Null);
            let inner = child_path(path, name);
            if !entries.iter().any(there) {
                let write = match (path, name) {
                    ("", "spec") => "spec: {} at least; an empty spec is a whole stack".to_owned(),
                    _ => format!("{name}: {}", example(&schema["properties"][name])),
                };
                self.add(&inner, "nothing", write);
                self.replaced.push(inner);
            }
            if !fields.contains_key(name) {
                fields.insert(name.to_owned(), stand_in(&schema["properties"][name]));
            }
        }
    }

    fn array(&mut self, schema: &Value, node: &Node, path: &str) -> Option<Value> {
        let Tree::List(items) = &node.tree else {
            return self.wrong(path, node, "a list, each item on a line of its own after a dash");
        };
        self.bound(schema, "maxItems", path, items.len(), "items");
        if let Some(least) = schema["minItems"].as_u64().filter(|least| (items.len() as u64) < *least) {
            self.add(path, format!("{} items", items.len()), format!("at least {least}"));
        }
        let inner = &schema["items"];
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            // A stand-in keeps the places of the others.
            let value = self.read(inner, item, &format!("{path}[{index}]"));
            values.push(value.unwrap_or_else(|| stand_in(inner)));
        }
        Some(Value::Array(values))
    }

    fn string(&mut self, schema: &Value, node: &Node, path: &str) -> Option<Value> {
        let text = match &node.tree {
            Tree::Scalar(Value::String(text)) => text.clone(),
            Tree::Scalar(value @ (Value::Bool(_) | Value::Number(_))) => {
                // Read on as the text that was meant: what is wrong with that is worth more.
                let text = value.to_string();
                self.add(path, describe(node), format!("it in quotes: {text:?}"));
                text
            }
            _ => return self.wrong(path, node, "a text"),
        };
        if let Some(options) = schema["enum"].as_array() {
            let options: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
            if !options.contains(&text.as_str()) {
                self.add(path, quoted(&text), one_of(&text, &options));
                self.replaced.push(path.to_owned());
                return None;
            }
        }
        let length = text.chars().count() as u64;
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            self.add(path, format!("{length} characters"), format!("at most {most}"));
        } else if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
            self.add(path, quoted(&text), format!("at least {least} characters"));
        } else if let Some(pattern) = schema["pattern"].as_str()
            && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(&text))
        {
            self.add(path, quoted(&text), format!("a text that matches {pattern}"));
        }
        Some(Value::String(text))
    }

    fn number(&mut self, schema: &Value, node: &Node, path: &str) -> Option<Value> {
        let whole = schema["type"] == "integer";
        let value = match &node.tree {
            Tree::Scalar(Value::Number(number)) => number.clone(),
            Tree::Scalar(Value::String(text)) if text.parse::<i64>().is_ok() => {
                self.add(path, describe(node), format!("it without quotes: {text}"));
                self.replaced.push(path.to_owned());
                return None;
            }
            _ => return self.wrong(path, node, if whole { "a whole number" } else { "a number" }),
        };
        if whole && !value.is_i64() && !value.is_u64() {
            return self.wrong(path, node, "a whole number");
        }
        let (low, high) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
        let number = value.as_f64().unwrap_or_default();
        if low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high) {
            let write = match (low, high) {
                (Some(low), Some(high)) => format!("a number from {low} to {high}"),
                (Some(low), None) => format!("a number of at least {low}"),
                _ => format!("a number of at most {}", high.unwrap_or_default()),
            };
            return self.wrong(path, node, &write);
        }
        Some(Value::Number(value))
    }

    fn bound(&mut self, schema: &Value, name: &str, path: &str, count: usize, what: &str) {
        if let Some(most) = schema[name].as_u64().filter(|most| count as u64 > *most) {
            self.add(path, format!("{count} {what}"), format!("at most {most}"));
        }
    }
}

/// A value in words.
fn describe(node: &Node) -> String {
    match &node.tree {
        Tree::Scalar(Value::Null) => "nothing".to_owned(),
        Tree::Scalar(Value::Bool(value)) => format!("the boolean {value}"),
        Tree::Scalar(Value::Number(value)) => format!("the number {value}"),
        Tree::Scalar(Value::String(text)) => format!("the text {}", quoted(text)),
        Tree::Scalar(_) => "a value".to_owned(),
        Tree::List(_) => "a list".to_owned(),
        Tree::Map(_) => "a map".to_owned(),
    }
}

/// What a missing field could hold.
fn example(schema: &Value) -> String {
    match schema["type"].as_str() {
        Some("object") => "with its fields".to_owned(),
        Some("array") => "with a list".to_owned(),
        Some("string") => match schema["enum"].as_array() {
            Some(options) => {
                let options: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
                format!("one of {}", options.join(", "))
            }
            None => "with a text".to_owned(),
        },
        Some("boolean") => "true or false".to_owned(),
        _ => "with a value".to_owned(),
    }
}

/// The least value of a schema, so that what is around it can still be read.
fn stand_in(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("object") => {
            let mut fields = Map::new();
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                fields.insert(name.to_owned(), stand_in(&schema["properties"][name]));
            }
            Value::Object(fields)
        }
        Some("array") => json!([]),
        Some("string") => {
            schema["enum"].as_array().and_then(|e| e.first().cloned()).unwrap_or_else(|| json!(""))
        }
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(0)),
        Some("boolean") => json!(false),
        _ => Value::Null,
    }
}
