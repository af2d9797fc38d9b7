//! The rules of a schema, evaluated as the API server does.

use kube::core::cel::{CompiledSchema, Validator};
use serde_json::Value;

use crate::validate::{Fault, quoted};

/// What breaks a rule of the schema.
pub(super) fn faults(schema: &CompiledSchema, body: &Value) -> Vec<Fault> {
    let Err(errors) = Validator::new().validate_compiled(schema, body, None) else { return Vec::new() };
    errors
        .into_vec()
        .into_iter()
        .map(|error| fault(&error.field_path, &error.rule, &error.message, body))
        .collect()
}

fn fault(at: &str, rule: &str, message: &str, body: &Value) -> Fault {
    let path = subject(at, rule, body);
    let value = path.split('.').try_fold(body, |value, key| value.get(key));
    let found = match value.and_then(Value::as_str) {
        Some(text) => quoted(text),
        None => format!("what breaks the rule {rule}"),
    };
    // The messages of our rules say what to write.
    let write = message.strip_prefix("write ").unwrap_or(message).to_owned();
    Fault { path, found, write }
}

/// The path that a rule speaks of: the first that it names below `self`, as far as there is such a field.
fn subject(at: &str, rule: &str, body: &Value) -> String {
    let mut path: Vec<&str> = at.split('.').filter(|step| !step.is_empty()).collect();
    let named = rule.split_once("self.").map_or("", |(_, rest)| rest);
    let end = named.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_').unwrap_or(named.len());
    let mut value = path.iter().try_fold(body, |value, key| value.get(*key));
    for step in named[..end].split('.').filter(|step| !step.is_empty()) {
        value = value.and_then(|value| value.get(step));
        if value.is_none() {
            break;
        }
        path.push(step);
    }
    path.join(".")
}
