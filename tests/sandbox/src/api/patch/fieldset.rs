//! Sets of field paths, in the form that `managedFields` writes them (`f:name`, `k:{"name":"x"}`, `v:1`).

use super::super::schema::{Kind, ListKind, Schema};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A set of paths as a tree. `here` says that the path of the node itself is in the set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FieldSet {
    pub(crate) here: bool,
    pub(crate) children: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    fn leaf() -> Self {
        Self { here: true, children: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.here && self.children.values().all(FieldSet::is_empty)
    }

    /// From `fieldsV1`.
    pub(crate) fn from_json(json: &Value) -> Self {
        let mut set = Self::default();
        let Some(map) = json.as_object() else { return set };
        for (key, value) in map {
            if key == "." {
                set.here = true;
                continue;
            }
            let mut child = Self::from_json(value);
            if child.children.is_empty() {
                child.here = true;
            }
            set.children.insert(key.clone(), child);
        }
        set
    }

    /// To `fieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (key, child) in &self.children {
            if child.is_empty() {
                continue;
            }
            let mut value = child.to_json();
            if child.here && !child.children.is_empty() {
                value["."] = Value::Object(Map::new());
            }
            map.insert(key.clone(), value);
        }
        Value::Object(map)
    }

    pub(crate) fn union(&mut self, other: &FieldSet) {
        self.here |= other.here;
        for (key, child) in &other.children {
            self.children.entry(key.clone()).or_default().union(child);
        }
    }

    /// Without the paths of `other`; what lies below them stays.
    pub(crate) fn difference(&mut self, other: &FieldSet) {
        if other.here {
            self.here = false;
        }
        for (key, child) in &other.children {
            if let Some(mine) = self.children.get_mut(key) {
                mine.difference(child);
                if mine.is_empty() {
                    self.children.remove(key);
                }
            }
        }
    }

    /// Without the paths of `other` and all below them.
    pub(crate) fn recursive_difference(&mut self, other: &FieldSet) {
        for (key, child) in &other.children {
            if child.here {
                self.children.remove(key);
            } else if let Some(mine) = self.children.get_mut(key) {
                mine.recursive_difference(child);
                if mine.is_empty() {
                    self.children.remove(key);
                }
            }
        }
    }

    pub(crate) fn intersection(&self, other: &FieldSet) -> FieldSet {
        let children = self
            .children
            .iter()
            .filter_map(|(key, child)| {
                let both = child.intersection(other.children.get(key)?);
                (!both.is_empty()).then(|| (key.clone(), both))
            })
            .collect();
        FieldSet { here: self.here && other.here, children }
    }

    /// Adds a path of keys.
    pub(crate) fn insert(&mut self, path: &[&str]) {
        match path.split_first() {
            None => self.here = true,
            Some((first, rest)) => {
                self.children.entry((*first).to_owned()).or_default().insert(rest);
            }
        }
    }

    /// The paths of the set, as conflicts name them (`.spec.replicas`, `.spec.ports[port=80]`).
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        if self.here && !prefix.is_empty() {
            paths.push(prefix.to_owned());
        }
        for (key, child) in &self.children {
            child.collect(&format!("{prefix}{}", display(key)), paths);
        }
    }
}

/// A path element as messages show it.
pub(crate) fn display(key: &str) -> String {
    match key.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", json)) => {
            let keys: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
            let list: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("[{}]", list.join(","))
        }
        Some(("v", json)) => format!("[={json}]"),
        _ => format!("[{key}]"),
    }
}

/// The path element of a struct's field or a map's entry.
pub(crate) fn field(name: &str) -> String {
    format!("f:{name}")
}

/// The path element of a list's item; none for an item without its keys.
pub(crate) fn item(schema: &Schema, list: &ListKind, value: &Value) -> Option<String> {
    match list {
        ListKind::Atomic => None,
        ListKind::Set => Some(format!("v:{value}")),
        ListKind::Map(keys) => {
            let mut element = Map::new();
            for key in keys {
                let found = value.get(key).or_else(|| schema.field_default(key));
                if let Some(found) = found {
                    element.insert(key.clone(), found.clone());
                }
            }
            (!element.is_empty()).then(|| format!("k:{}", Value::Object(element)))
        }
    }
}

/// How a value is looked at: as one, as a map, or as a list with distinguishable items.
pub(crate) enum Shape<'a> {
    Leaf,
    Map(&'a Map<String, Value>),
    List(&'a [Value]),
}

/// The shape of a value of that type.
pub(crate) fn shape<'a>(value: &'a Value, schema: &Schema) -> Shape<'a> {
    match value {
        Value::Object(map) if !schema.atomic => Shape::Map(map),
        Value::Array(items) if schema.list != ListKind::Atomic => Shape::List(items),
        _ => Shape::Leaf,
    }
}

/// All paths of an object, as an applied configuration owns them.
pub(crate) fn of(value: &Value, schema: &Schema) -> FieldSet {
    let schema = schema.resolve();
    let mut set = FieldSet::default();
    match shape(value, schema) {
        Shape::Leaf => set.here = true,
        Shape::Map(map) => {
            for (name, child) in map {
                let declared = schema.field(name);
                let mut below = of(child, schema.child(name));
                let bare = child.is_null() || child.as_object().is_some_and(Map::is_empty);
                if bare || (declared.is_none() && !schema.untyped()) {
                    below.here = true;
                }
                if !below.is_empty() {
                    set.children.insert(field(name), below);
                }
            }
        }
        Shape::List(items) => {
            for value in items {
                if let Some(key) = item(schema.item(), &schema.list, value) {
                    let mut below = of(value, schema.item());
                    below.here = true;
                    set.children.insert(key, below);
                }
            }
        }
    }
    set
}

/// What differs between two objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) added: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) removed: FieldSet,
}

/// Compares two objects of one type.
pub(crate) fn compare(old: &Value, new: &Value, schema: &Schema) -> Comparison {
    compare_at(Some(old), Some(new), schema.resolve())
}

fn compare_at(old: Option<&Value>, new: Option<&Value>, schema: &Schema) -> Comparison {
    let mut result = Comparison::default();
    let old_shape = old.map(|v| shape(v, schema));
    let new_shape = new.map(|v| shape(v, schema));
    // A null where there is a list or map now is an empty one.
    let old_shape = match (old, &new_shape) {
        (Some(Value::Null), Some(Shape::List(_))) => Some(Shape::List(&[])),
        _ => old_shape,
    };
    let empty_map = |s: &Option<Shape<'_>>| match s {
        None => true,
        Some(Shape::Map(map)) => map.is_empty(),
        Some(Shape::List(items)) => items.is_empty(),
        Some(Shape::Leaf) => false,
    };
    let leaf = matches!(old_shape, Some(Shape::Leaf))
        || matches!(new_shape, Some(Shape::Leaf))
        || (empty_map(&old_shape) && empty_map(&new_shape));
    if leaf {
        match (old, new) {
            (None, Some(_)) => result.added = FieldSet::leaf(),
            (Some(_), None) => result.removed = FieldSet::leaf(),
            (Some(a), Some(b)) if a != b => result.modified = FieldSet::leaf(),
            _ => {}
        }
        return result;
    }
    let old_children = children(old_shape, schema);
    let new_children = children(new_shape, schema);
    let mut keys: Vec<&String> = old_children.keys().chain(new_children.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let a = old_children.get(key);
        let b = new_children.get(key);
        let Some(below) = a.or(b).map(|c| c.1) else { continue };
        let found = compare_at(a.map(|c| c.0), b.map(|c| c.0), below);
        for (target, source) in [
            (&mut result.added, found.added),
            (&mut result.modified, found.modified),
            (&mut result.removed, found.removed),
        ] {
            if !source.is_empty() {
                target.children.insert(key.clone(), source);
            }
        }
    }
    if old.is_none() {
        result.added.here = true;
    }
    if new.is_none() {
        result.removed.here = true;
    }
    result
}

type Children<'a> = BTreeMap<String, (&'a Value, &'a Schema)>;

fn children<'a>(shape: Option<Shape<'a>>, schema: &'a Schema) -> Children<'a> {
    match shape {
        Some(Shape::Map(map)) => {
            map.iter().map(|(name, value)| (field(name), (value, schema.child(name)))).collect()
        }
        Some(Shape::List(items)) => items
            .iter()
            .filter_map(|value| Some((item(schema.item(), &schema.list, value)?, (value, schema.item()))))
            .collect(),
        _ => BTreeMap::new(),
    }
}

impl Schema {
    fn field_default(&self, name: &str) -> Option<&Value> {
        self.properties.get(name).and_then(|p| p.default.as_ref())
    }

    /// Nothing is known about the fields of the type.
    pub(crate) fn untyped(&self) -> bool {
        self.kind == Kind::Any && self.properties.is_empty() && self.additional.is_none()
    }
}
