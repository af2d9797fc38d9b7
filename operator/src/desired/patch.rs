//! Strategic merge of a patch on a pod template, as `kubectl patch` does it: maps are merged, lists whose
//! items have a key are merged item by item, other lists are replaced, `null` deletes, and `$patch` deletes
//! or replaces.

use serde_json::{Map, Value};

/// What does not fit in a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// What was found.
    pub(super) found: String,
    /// What to write instead.
    pub(super) write: String,
}

fn misfit(found: impl Into<String>, write: impl Into<String>) -> Misfit {
    Misfit { found: found.into(), write: write.into() }
}

/// The directive in a patch.
const DIRECTIVE: &str = "$patch";

/// Key of the items of a list of a pod template, by the list's name and the name of what holds it. Lists that
/// are not here are replaced as a whole, as the API declares it.
fn merge_key(parent: &str, list: &str) -> Option<&'static str> {
    Some(match (parent, list) {
        (_, "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "imagePullSecrets") => {
            "name"
        }
        (_, "env" | "schedulingGates" | "resourceClaims") => "name",
        (_, "volumeMounts") => "mountPath",
        (_, "volumeDevices") => "devicePath",
        (_, "hostAliases") => "ip",
        (_, "topologySpreadConstraints") => "topologyKey",
        ("containers" | "initContainers" | "ephemeralContainers", "ports") => "containerPort",
        ("metadata", "ownerReferences") => "uid",
        _ => return None,
    })
}

/// Merges a patch into a value.
///
/// # Errors
/// What does not fit in the patch.
pub(super) fn merge(target: &mut Value, patch: &Value) -> Result<(), Misfit> {
    let Value::Object(fields) = patch else {
        return Err(misfit("no map", "metadata and spec of a pod template"));
    };
    if let Some(unknown) = fields.keys().find(|key| !matches!(key.as_str(), "metadata" | "spec")) {
        return Err(misfit(format!("the field {unknown}"), "metadata and spec of a pod template alone"));
    }
    merge_map("", target, fields)
}

fn merge_map(name: &str, target: &mut Value, patch: &Map<String, Value>) -> Result<(), Misfit> {
    match directive(patch)? {
        Some("replace") => {
            let mut whole = patch.clone();
            whole.remove(DIRECTIVE);
            *target = Value::Object(whole);
            return Ok(());
        }
        // A list takes its deletions out itself; here a whole map goes.
        Some("delete") => {
            *target = Value::Null;
            return Ok(());
        }
        _ => {}
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return Ok(()) };
    for (key, value) in patch.iter().filter(|(key, _)| *key != DIRECTIVE) {
        match value {
            Value::Null => {
                fields.remove(key);
            }
            Value::Object(inner) => merge_map(key, fields.entry(key).or_insert(Value::Null), inner)?,
            Value::Array(items) => merge_list(name, key, fields.entry(key).or_insert(Value::Null), items)?,
            plain => {
                fields.insert(key.clone(), plain.clone());
            }
        }
    }
    Ok(())
}

fn merge_list(parent: &str, name: &str, target: &mut Value, patch: &[Value]) -> Result<(), Misfit> {
    let (Some(key), Value::Array(items)) = (merge_key(parent, name), &mut *target) else {
        *target = Value::Array(patch.to_vec());
        return Ok(());
    };
    let replaces = |item: &Value| {
        item.as_object().is_some_and(|i| i.len() == 1 && i.get(DIRECTIVE) == Some(&"replace".into()))
    };
    if patch.iter().any(replaces) {
        *items = patch.iter().filter(|item| !replaces(item)).cloned().collect();
        return Ok(());
    }
    for change in patch {
        let Some(fields) = change.as_object() else {
            return Err(misfit(
                format!("an item of {name} that is no map"),
                format!("a map with the field {key}"),
            ));
        };
        let Some(id) = fields.get(key) else {
            return Err(misfit(
                format!("an item of {name} without {key}"),
                format!("{key}, by which items are merged"),
            ));
        };
        let place = items.iter().position(|item| item.get(key) == Some(id));
        match (place, directive(fields)?) {
            (Some(place), Some("delete")) => {
                items.remove(place);
            }
            (None, Some("delete")) => {}
            (Some(place), _) => merge_map(name, &mut items[place], fields)?,
            (None, _) => {
                let mut added = Value::Null;
                merge_map(name, &mut added, fields)?;
                items.push(added);
            }
        }
    }
    Ok(())
}

fn directive(fields: &Map<String, Value>) -> Result<Option<&str>, Misfit> {
    if let Some(other) = fields.keys().find(|key| key.starts_with('$') && *key != DIRECTIVE) {
        return Err(misfit(format!("the directive {other}"), "$patch: delete or $patch: replace"));
    }
    match fields.get(DIRECTIVE) {
        None => Ok(None),
        Some(Value::String(text)) if matches!(text.as_str(), "delete" | "replace" | "merge") => {
            Ok(Some(text.as_str()))
        }
        Some(other) => Err(misfit(format!("$patch: {other}"), "delete, replace or merge")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(target: Value, patch: Value) -> Value {
        let mut target = target;
        merge(&mut target, &patch).unwrap();
        target
    }

    fn template() -> Value {
        json!({ "metadata": { "labels": { "a": "1" } }, "spec": {
            "hostNetwork": false,
            "tolerations": [{ "key": "old" }],
            "securityContext": { "fsGroup": 1, "runAsUser": 2 },
            "volumes": [{ "name": "data", "emptyDir": {} }],
            "containers": [
                { "name": "engine", "image": "x", "args": ["a", "b"],
                  "env": [{ "name": "A", "value": "1" }], "ports": [{ "containerPort": 90, "name": "http" }] },
                { "name": "reloader", "image": "y" }
            ] } })
    }

    #[test]
    fn items_are_merged_by_their_key_and_other_lists_replaced() {
        let patch = json!({ "metadata": { "labels": { "b": "2" } }, "spec": {
            "tolerations": [{ "key": "new" }],
            "containers": [
                { "name": "engine", "args": ["c"], "env": [{ "name": "B", "value": "2" }, { "name": "A", "value": "3" }],
                  "ports": [{ "containerPort": 90, "name": "web" }, { "containerPort": 91 }] },
                { "name": "sidecar", "image": "z" }
            ] } });
        let done = merged(template(), patch);
        let engine = &done["spec"]["containers"][0];
        assert_eq!(done["metadata"]["labels"], json!({ "a": "1", "b": "2" }));
        assert_eq!(done["spec"]["tolerations"], json!([{ "key": "new" }]));
        assert_eq!((&engine["image"], &engine["args"]), (&json!("x"), &json!(["c"])));
        assert_eq!(engine["env"], json!([{ "name": "A", "value": "3" }, { "name": "B", "value": "2" }]));
        assert_eq!(engine["ports"], json!([{ "containerPort": 90, "name": "web" }, { "containerPort": 91 }]));
        assert_eq!(done["spec"]["containers"][1]["name"], "reloader");
        assert_eq!(done["spec"]["containers"][2], json!({ "name": "sidecar", "image": "z" }));
    }

    #[test]
    fn null_and_directives_delete_and_replace() {
        let patch = json!({ "spec": {
            "hostNetwork": null,
            "securityContext": { "$patch": "replace", "runAsUser": 7 },
            "volumes": [{ "$patch": "replace" }, { "name": "other" }],
            "containers": [{ "name": "reloader", "$patch": "delete" }, { "name": "gone", "$patch": "delete" }] } });
        let done = merged(template(), patch);
        assert!(done["spec"].get("hostNetwork").is_none());
        assert_eq!(done["spec"]["securityContext"], json!({ "runAsUser": 7 }));
        assert_eq!(done["spec"]["volumes"], json!([{ "name": "other" }]));
        assert_eq!(done["spec"]["containers"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_merged_says_what_to_write() {
        for (patch, says) in [
            (json!([]), "metadata and spec"),
            (json!({ "containers": [] }), "metadata and spec"),
            (json!({ "spec": { "containers": [{ "image": "x" }] } }), "name"),
            (json!({ "spec": { "containers": ["x"] } }), "a map with the field name"),
            (json!({ "spec": { "$patch": "drop" } }), "delete, replace or merge"),
            (json!({ "spec": { "$retainKeys": [] } }), "$patch"),
        ] {
            let error = merge(&mut template(), &patch).unwrap_err();
            assert!(error.write.contains(says), "{error:?}");
        }
    }
}
