//! Pure: an object seen through the one that was sent. Skipping an apply goes by two hashes: that of what was
//! sent, and that of the server's answer at just the paths that were sent. Defaults and normalised quantities
//! are in the answer already, so they never look like drift; what others added is at other paths.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A digest of a JSON value. Maps are sorted, so the same value gives the same digest.
pub type Hash = [u8; 32];

/// The digest of a JSON value.
pub fn hash(value: &Value) -> Hash {
    // Not by its own display, which goes through the formatter. A value is always written.
    Sha256::digest(serde_json::to_vec(value).unwrap_or_default()).into()
}

/// Lists whose items the API merges by key, so that others may add items: by the name of the field, the keys
/// that tell its items apart. Every other list belongs as a whole to whoever wrote it.
const KEYED: [(&str, &[&str]); 12] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("volumeMounts", &["mountPath"]),
    ("ownerReferences", &["uid"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("hostAliases", &["ip"]),
    // A container's ports and a Service's: an absent protocol is TCP.
    ("ports", &["containerPort", "protocol"]),
    ("ports", &["port", "protocol"]),
];

/// `actual` at just the paths that `wanted` has. What is missing becomes `null`.
pub fn project(actual: &Value, wanted: &Value) -> Value {
    project_field("", actual, wanted)
}

fn project_field(field: &str, actual: &Value, wanted: &Value) -> Value {
    match (actual, wanted) {
        (Value::Object(actual), Value::Object(wanted)) => {
            let project_one = |(key, want): (&String, &Value)| (key.clone(), project_key(key, actual, want));
            Value::Object(wanted.iter().map(project_one).collect())
        }
        (Value::Array(actual), Value::Array(wanted)) => match keys_of(field, wanted) {
            Some(keys) => Value::Array(wanted.iter().map(|want| project_item(keys, actual, want)).collect()),
            None => project_whole(actual, wanted),
        },
        (actual, _) => actual.clone(),
    }
}

fn project_key(key: &str, actual: &Map<String, Value>, wanted: &Value) -> Value {
    actual.get(key).map_or(Value::Null, |actual| project_field(key, actual, wanted))
}

fn project_item(keys: &[&str], actual: &[Value], wanted: &Value) -> Value {
    let found = actual.iter().find(|item| same_item(keys, item, wanted));
    found.map_or(Value::Null, |item| project_field("", item, wanted))
}

/// A list that belongs to us as a whole: an item too many is drift, defaults inside of an item are not.
fn project_whole(actual: &[Value], wanted: &[Value]) -> Value {
    let null = Value::Null;
    let item = |i: usize| match (actual.get(i), wanted.get(i)) {
        (Some(actual), Some(wanted)) => project_field("", actual, wanted),
        (actual, _) => actual.unwrap_or(&null).clone(),
    };
    Value::Array((0..actual.len().max(wanted.len())).map(item).collect())
}

/// The keys that tell the items of this list apart, where every item has them.
fn keys_of(field: &str, wanted: &[Value]) -> Option<&'static [&'static str]> {
    KEYED
        .iter()
        .filter(|(name, _)| *name == field)
        .map(|(_, keys)| *keys)
        .find(|keys| wanted.iter().all(|item| keys.iter().all(|key| key_of(item, key).is_some())))
}

fn key_of<'a>(item: &'a Value, key: &str) -> Option<std::borrow::Cow<'a, Value>> {
    match item.get(key) {
        Some(value) => Some(std::borrow::Cow::Borrowed(value)),
        None if key == "protocol" && item.is_object() => Some(std::borrow::Cow::Owned(Value::from("TCP"))),
        None => None,
    }
}

fn same_item(keys: &[&str], left: &Value, right: &Value) -> bool {
    keys.iter().all(|key| key_of(left, key) == key_of(right, key))
}

/// Paths at which `present` differs from `remembered`, two projections through the same object; at most
/// `limit`. Paths only, never values: they may be secret.
pub fn differing(remembered: &Value, present: &Value, limit: usize) -> Vec<String> {
    let mut paths = Vec::new();
    collect_differing(String::new(), remembered, present, limit, &mut paths);
    paths
}

fn collect_differing(path: String, left: &Value, right: &Value, limit: usize, paths: &mut Vec<String>) {
    if paths.len() >= limit || left == right {
        return;
    }
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect_differing(below, value, right.get(key).unwrap_or(&Value::Null), limit, paths);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (i, (left, right)) in left.iter().zip(right).enumerate() {
                let item = left.get("name").and_then(Value::as_str).map_or(i.to_string(), str::to_owned);
                collect_differing(format!("{path}[{item}]"), left, right, limit, paths);
            }
        }
        _ => paths.push(path),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_added_is_not_seen() {
        let wanted = json!({
            "metadata": { "labels": { "a": "1" } },
            "spec": { "template": { "spec": { "containers": [{ "name": "prometheus", "image": "p:1" }] } } }
        });
        let mut actual = wanted.clone();
        let before = project(&actual, &wanted);
        actual["metadata"]["labels"]["b"] = json!("others");
        actual["metadata"]["annotations"] = json!({ "restartedAt": "now" });
        actual["spec"]["template"]["spec"]["containers"] =
            json!([{ "name": "injected" }, { "name": "prometheus", "image": "p:1", "tty": true }]);
        assert_eq!(project(&actual, &wanted), before);
    }

    #[test]
    fn a_changed_or_removed_field_of_ours_is_seen() {
        let wanted = json!({ "spec": { "replicas": 2, "args": ["a", "b"] } });
        for (actual, path) in [
            (json!({ "spec": { "replicas": 3, "args": ["a", "b"] } }), "spec.replicas"),
            (json!({ "spec": { "args": ["a", "b"] } }), "spec.replicas"),
            (json!({ "spec": { "replicas": 2, "args": ["a", "c"] } }), "spec.args[1]"),
            (json!({ "spec": { "replicas": 2, "args": ["a", "b", "c"] } }), "spec.args"),
        ] {
            let projected = project(&actual, &wanted);
            assert_eq!(differing(&wanted, &projected, 5), [path], "{actual}");
        }
    }

    #[test]
    fn a_subject_added_to_a_binding_is_drift() {
        let wanted = json!({ "subjects": [{ "kind": "ServiceAccount", "name": "ours" }] });
        let mut actual = wanted.clone();
        actual["subjects"].as_array_mut().unwrap().push(json!({ "kind": "User", "name": "intruder" }));
        assert_ne!(project(&actual, &wanted), project(&wanted, &wanted));
    }

    #[test]
    fn service_and_container_ports_are_matched_with_the_default_protocol() {
        let wanted = json!({ "ports": [{ "port": 9090, "name": "web" }] });
        let actual = json!({ "ports": [
            { "port": 53, "protocol": "UDP" },
            { "port": 9090, "protocol": "TCP", "name": "web", "nodePort": 30_000 }
        ] });
        assert_eq!(project(&actual, &wanted), wanted);
        let container = json!({ "ports": [{ "containerPort": 9090 }] });
        let actual = json!({ "ports": [{ "containerPort": 9090, "protocol": "TCP" }] });
        assert_eq!(project(&actual, &container), container);
    }

    #[test]
    fn defaults_inside_of_whole_lists_are_not_seen() {
        let wanted = json!({ "volumeClaimTemplates": [{ "metadata": { "name": "data" } }] });
        let actual = json!({ "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "status": { "phase": "x" } }] });
        assert_eq!(project(&actual, &wanted), wanted);
    }

    #[test]
    fn hashes_do_not_depend_on_the_order_of_keys() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":{"c":2,"d":3}}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"b":{"d":3,"c":2},"a":1}"#).unwrap();
        assert_eq!(hash(&one), hash(&two));
        assert_ne!(hash(&one), hash(&json!({ "a": 1 })));
    }
}
