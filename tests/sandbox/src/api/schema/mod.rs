//! One model of a type for built-in kinds and for custom resources. Everything that needs to know a type
//! (pruning, defaulting, validation, strategic merge, server-side apply) reads this model.

pub(crate) mod cel;
pub(crate) mod decode;
pub(crate) mod defaults;
pub(crate) mod quantity;
pub(crate) mod structural;
pub(crate) mod validate;

use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a value may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No restriction.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// `x-kubernetes-int-or-string`.
    IntOrString,
    /// A quantity of a built-in type: a string, which may be written as a number.
    Quantity,
    /// A time of a built-in type, kept in whole seconds.
    Time,
    /// A time of a built-in type, kept in microseconds.
    MicroTime,
}

/// How the items of a list are told apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// The list is one value.
    #[default]
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects with these keys.
    Map(Vec<String>),
}

/// Bounds and formats that validation checks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) enumeration: Vec<Value>,
    pub(crate) pattern: Option<(String, Option<Regex>)>,
    pub(crate) format: Option<String>,
    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,
    pub(crate) exclusive_minimum: bool,
    pub(crate) exclusive_maximum: bool,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) unique_items: bool,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
}

/// One node of a type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    pub(crate) kind: Kind,
    /// Name of a built-in definition that this node stands for.
    pub(crate) reference: Option<String>,
    pub(crate) properties: BTreeMap<String, Arc<Schema>>,
    /// Type of the values of a map.
    pub(crate) additional: Option<Arc<Schema>>,
    pub(crate) items: Option<Arc<Schema>>,
    pub(crate) list: ListKind,
    /// The map or struct is one value.
    pub(crate) atomic: bool,
    pub(crate) preserve_unknown: bool,
    pub(crate) embedded: bool,
    pub(crate) nullable: bool,
    pub(crate) default: Option<Value>,
    pub(crate) required: BTreeSet<String>,
    pub(crate) bounds: Bounds,
}

/// A type without any restriction, for what a schema does not describe.
static ANY: std::sync::LazyLock<Schema> =
    std::sync::LazyLock::new(|| Schema { preserve_unknown: true, ..Schema::default() });

impl Schema {
    /// A node that says nothing.
    pub(crate) fn any() -> &'static Schema {
        &ANY
    }

    /// The definition behind a reference, or the node itself.
    pub(crate) fn resolve(&self) -> &Schema {
        match &self.reference {
            Some(name) => super::registry::types::definition(name).unwrap_or(Self::any()),
            None => self,
        }
    }

    /// The declared field, if it is one.
    pub(crate) fn field(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).map(|s| s.resolve())
    }

    /// Type of the field or map entry `name`; no restriction where nothing is declared.
    pub(crate) fn child(&self, name: &str) -> &Schema {
        self.field(name).or_else(|| self.additional.as_deref().map(Schema::resolve)).unwrap_or(Self::any())
    }

    /// As [`Schema::child`], with the name of its definition.
    pub(crate) fn declared(&self, name: &str) -> &Schema {
        let found = self.properties.get(name).or(self.additional.as_ref());
        found.map_or(Self::any(), |schema| schema.as_ref())
    }

    /// Name of the Go struct that this node stands for, or nothing.
    pub(crate) fn name(&self) -> &str {
        self.reference.as_deref().and_then(|name| name.rsplit('.').next()).unwrap_or_default()
    }

    /// Type of a list's items.
    pub(crate) fn item(&self) -> &Schema {
        self.items.as_deref().map_or(Self::any(), Schema::resolve)
    }

    /// Whether the type is a map with free keys instead of a struct.
    pub(crate) fn is_free_map(&self) -> bool {
        self.additional.is_some() && self.properties.is_empty()
    }
}
