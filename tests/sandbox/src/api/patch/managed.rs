//! `metadata.managedFields`: which manager owns which fields, after each kind of write.

use super::super::errors::ApiError;
use super::super::{meta, schema::Schema};
use super::apply;
use super::fieldset::{self, FieldSet};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Owner of what was there before the first apply, where nobody else is known.
/// The manager that `kubectl apply` names, and where it notes what it applied on the client's side.
const KUBECTL: &str = "kubectl";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const BEFORE: &str = "before-first-apply";

/// Who writes, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Manager {
    pub(crate) name: String,
    /// `Apply` or `Update`.
    pub(crate) operation: String,
    pub(crate) api_version: String,
    /// Empty for the main resource.
    pub(crate) subresource: String,
}

/// One write, as far as ownership is concerned.
pub(crate) struct Write<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) manager: &'a Manager,
    /// Fields that the endpoint cannot write.
    pub(crate) ignored: &'a FieldSet,
    /// Time of the write, RFC 3339.
    pub(crate) now: &'a str,
}

#[derive(Clone, Debug)]
struct Owned {
    set: FieldSet,
    time: String,
}

/// The decoded entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct ManagedFields {
    entries: BTreeMap<Manager, Owned>,
}

impl ManagedFields {
    /// From an object's metadata. Entries that cannot be read are dropped.
    pub(crate) fn of(object: &Value) -> Self {
        let list = object.get("metadata").and_then(|m| m.get("managedFields")).and_then(Value::as_array);
        let mut entries = BTreeMap::new();
        for entry in list.into_iter().flatten() {
            let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            let manager = Manager {
                name: text("manager"),
                operation: text("operation"),
                api_version: text("apiVersion"),
                subresource: text("subresource"),
            };
            let set = FieldSet::from_json(entry.get("fieldsV1").unwrap_or(&Value::Null));
            entries.insert(manager, Owned { set, time: text("time") });
        }
        Self { entries }
    }

    /// What a client sends as the owners of everything: other entries, or none at all where it sends an empty
    /// list or one empty entry. `None` where it says nothing.
    pub(crate) fn sent(object: &Value) -> Option<Self> {
        let list = object.get("metadata")?.get("managedFields")?.as_array()?;
        let reset = list.is_empty() || (list.len() == 1 && list[0].as_object().is_some_and(Map::is_empty));
        Some(if reset { Self::default() } else { Self::of(object) })
    }

    /// Writes the entries into the object: applied ones first, then by time, as the API server does.
    pub(crate) fn store(&self, object: &mut Value) {
        let mut entries: Vec<(&Manager, &Owned)> =
            self.entries.iter().filter(|(_, owned)| !owned.set.is_empty()).collect();
        entries.sort_by(|(a, x), (b, y)| {
            (&a.operation, &x.time, &a.name, &a.api_version, &a.subresource).cmp(&(
                &b.operation,
                &y.time,
                &b.name,
                &b.api_version,
                &b.subresource,
            ))
        });
        let list: Vec<Value> = entries
            .into_iter()
            .map(|(manager, owned)| {
                let mut entry = json!({
                    "manager": manager.name, "operation": manager.operation,
                    "apiVersion": manager.api_version, "time": owned.time,
                    "fieldsType": "FieldsV1", "fieldsV1": owned.set.to_json(),
                });
                if !manager.subresource.is_empty() {
                    entry["subresource"] = manager.subresource.clone().into();
                }
                entry
            })
            .collect();
        meta::set(object, "managedFields", (!list.is_empty()).then_some(Value::Array(list)));
    }

    fn release(&mut self, comparison: &fieldset::Comparison, but: &Manager) {
        let mut taken = comparison.modified.clone();
        taken.union(&comparison.added);
        for (manager, owned) in &mut self.entries {
            if manager != but {
                owned.set.difference(&taken);
                owned.set.difference(&comparison.removed);
            }
        }
        self.entries.retain(|_, owned| !owned.set.is_empty());
    }

    fn set(&mut self, manager: &Manager, set: FieldSet, now: &str) {
        match self.entries.get_mut(manager) {
            Some(owned) if owned.set == set => {}
            _ if set.is_empty() => {
                self.entries.remove(manager);
            }
            _ => {
                self.entries.insert(manager.clone(), Owned { set, time: now.to_owned() });
            }
        }
    }

    /// A create, update or patch that is not an apply: what changed becomes the writer's.
    pub(crate) fn update(&mut self, old: &Value, new: &Value, write: &Write<'_>) {
        let Write { schema, manager, ignored, now } = *write;
        let comparison = fieldset::compare(&stripped(old), &stripped(new), schema);
        self.release(&comparison, manager);
        let mut set = self.entries.get(manager).map(|o| o.set.clone()).unwrap_or_default();
        set.difference(&comparison.removed);
        let mut gained = comparison.modified;
        gained.union(&comparison.added);
        gained.here = false;
        set.union(&gained);
        set.recursive_difference(ignored);
        set.recursive_difference(&system_fields());
        strip_plain(&mut set);
        self.set(manager, set, now);
    }

    /// A server-side apply: the merged object, with the manager's set replaced.
    ///
    /// # Errors
    /// A conflict that names every field owned by somebody else, unless `force`.
    pub(crate) fn apply(
        &mut self,
        live: &Value,
        config: &Value,
        force: bool,
        write: &Write<'_>,
    ) -> Result<Value, ApiError> {
        let Write { schema, manager, ignored, now } = *write;
        let live_plain = stripped(live);
        if self.entries.is_empty() && live.get("metadata").is_some() {
            // Whoever wrote the object before anybody was counted as an owner keeps it until an apply is forced.
            let before =
                Manager { name: BEFORE.to_owned(), operation: "Update".to_owned(), ..manager.clone() };
            let mut set = fieldset::of(&live_plain, schema);
            set.recursive_difference(ignored);
            set.recursive_difference(&system_fields());
            strip_plain(&mut set);
            self.set(&before, set, now);
        }
        let config_plain = without(stripped(config), ignored);
        let mut merged = apply::merge(&live_plain, &config_plain, schema);
        let mut set = fieldset::of(&config_plain, schema);
        set.recursive_difference(ignored);
        set.recursive_difference(&system_fields());
        strip_plain(&mut set);
        let last = self.entries.get(manager).map(|o| o.set.clone()).unwrap_or_default();
        // An `Update` entry of the same version and subresource does not keep what the apply takes away
        // from itself; other managers, of whatever operation, do.
        let mut owned = set.clone();
        for (other, entry) in &self.entries {
            if other != manager {
                owned.union(&entry.set);
            }
        }
        apply::prune(&mut merged, &last, &owned, schema);
        let comparison = fieldset::compare(&live_plain, &merged, schema);
        let mut taken = comparison.modified.clone();
        taken.union(&comparison.added);
        taken.here = false;
        if !force {
            let conflicts: Vec<(Manager, FieldSet)> = self
                .entries
                .iter()
                .filter(|(other, _)| *other != manager)
                .map(|(other, entry)| (other.clone(), entry.set.intersection(&taken)))
                .filter(|(_, set)| !set.is_empty())
                .collect();
            let mut against = conflicts.clone();
            if manager.name == KUBECTL {
                let allowed = last_applied(live).map(|last| fieldset::of(&last, schema)).unwrap_or_default();
                against.iter_mut().for_each(|(_, set)| set.difference(&allowed));
            }
            if against.iter().any(|(_, set)| !set.is_empty()) {
                return Err(conflict(&conflicts));
            }
        }
        self.release(&comparison, manager);
        self.set(manager, set, now);
        Ok(merged)
    }
}

/// What `kubectl apply` applied last on the client's side: kubectl may take that over without force.
fn last_applied(live: &Value) -> Option<Value> {
    serde_json::from_str(meta::annotation(live, LAST_APPLIED)?).ok()
}

/// Keeps the note of `kubectl apply` true after kubectl applied on the server's side.
pub(crate) fn note_applied(manager: &Manager, config: &Value, merged: &mut Value) {
    if manager.name == KUBECTL && meta::annotation(merged, LAST_APPLIED).is_some() {
        merged["metadata"]["annotations"][LAST_APPLIED] = format!("{}\n", stripped(config)).into();
    }
}

/// The object without what nobody owns as a value of its own.
fn stripped(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        map.remove("managedFields");
    }
    object
}

/// The object without the fields of a set, which has whole fields only.
fn without(mut object: Value, fields: &FieldSet) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.retain(|name, _| !fields.children.get(&fieldset::field(name)).is_some_and(|f| f.here));
    }
    object
}

/// Fields of every object that no manager owns.
fn system_fields() -> FieldSet {
    let mut set = FieldSet::default();
    set.insert(&["f:apiVersion"]);
    set.insert(&["f:kind"]);
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        set.insert(&["f:metadata", &format!("f:{name}")]);
    }
    set
}

/// `metadata` itself is never owned, only its fields.
fn strip_plain(set: &mut FieldSet) {
    set.here = false;
    if let Some(metadata) = set.children.get_mut("f:metadata") {
        metadata.here = false;
        if metadata.is_empty() {
            set.children.remove("f:metadata");
        }
    }
}

fn conflict(conflicts: &[(Manager, FieldSet)]) -> ApiError {
    let mut causes = Vec::new();
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (manager, set) in conflicts {
        let mut who = format!("\"{}\"", manager.name);
        if !manager.subresource.is_empty() {
            who = format!("{who} with subresource \"{}\"", manager.subresource);
        }
        if manager.operation == "Update" {
            who = format!("{who} using {}", manager.api_version);
        }
        for path in set.paths() {
            causes.push(json!({
                "reason": "FieldManagerConflict", "message": format!("conflict with {who}"), "field": path,
            }));
            lines.entry(who.clone()).or_default().push(path);
        }
    }
    let count = causes.len();
    let text = if let [only] = causes.as_slice() {
        format!(
            "{}: {}",
            only["message"].as_str().unwrap_or_default(),
            only["field"].as_str().unwrap_or_default()
        )
    } else {
        let list: Vec<String> = lines
            .iter()
            .map(|(who, paths)| {
                let list: Vec<String> = paths.iter().map(|p| format!("- {p}")).collect();
                format!("conflicts with {who}:\n{}", list.join("\n"))
            })
            .collect();
        list.join("\n")
    };
    let noun = if count == 1 { "conflict" } else { "conflicts" };
    ApiError {
        details: Some(json!({ "causes": causes })),
        ..ApiError::new(409, "Conflict", format!("Apply failed with {count} {noun}: {text}"))
    }
}
