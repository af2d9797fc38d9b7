//! Which resources are served: the table of built-in ones, and those that custom resource definitions add.

pub(crate) mod builtin;
mod cells;
pub(crate) mod columns;
pub(crate) mod crd;
pub(crate) mod defaults;
pub(crate) mod field_defaults;
pub(crate) mod lists;
pub(crate) mod types;
pub(crate) mod validate;
mod values;

use super::schema::Schema;
use super::schema::cel::Rules;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a scale subresource finds its numbers, as dotted paths.
#[derive(Clone, Debug)]
pub(crate) struct ScalePaths {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

/// A printed column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Type as Table says it: `string`, `integer`, `date`, ...
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    /// 0 is always shown, others only with `-o wide`.
    pub(crate) priority: i64,
    pub(crate) source: Source,
}

/// Where a column's cell comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A JSON path of a custom resource definition.
    Path(String),
    /// A function of the object.
    Compute(fn(&Value) -> Value),
}

/// What belongs to a custom resource alone.
#[derive(Debug)]
pub(crate) struct Custom {
    /// UID of the definition.
    pub(crate) definition_uid: String,
    /// The definition is being deleted: nothing can be created any more.
    pub(crate) terminating: bool,
    /// The schema of the version in which objects are stored, where that is another one.
    pub(crate) stored: Option<Arc<Schema>>,
    pub(crate) schema_json: Value,
    pub(crate) rules: Rules,
}

/// One served resource in one version.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) has_status: bool,
    pub(crate) scale: Option<ScalePaths>,
    /// `metadata.generation` counts changes of the specification.
    pub(crate) has_generation: bool,
    /// Only `create` is answered and nothing is stored (reviews).
    pub(crate) create_only: bool,
    /// Under which group and plural objects are stored; differs where two groups share one storage.
    pub(crate) storage: String,
    pub(crate) schema: Arc<Schema>,
    pub(crate) columns: Vec<Column>,
    pub(crate) custom: Option<Custom>,
}

impl Resource {
    /// `group/version`, or `v1` for the core group.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `plural` or `plural.group`.
    pub(crate) fn qualified(&self) -> String {
        super::errors::qualified(&self.group, &self.plural)
    }

    /// Whether it is the built-in resource of that group and plural.
    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    /// Subresources that discovery lists.
    pub(crate) fn subresources(&self) -> Vec<&'static str> {
        let mut list = Vec::new();
        if self.is("", "pods") {
            list.extend(["binding", "eviction", "log"]);
        }
        if self.is("", "serviceaccounts") {
            list.push("token");
        }
        if self.is("", "namespaces") {
            list.push("finalize");
        }
        if self.scale.is_some() {
            list.push("scale");
        }
        if self.has_status {
            list.push("status");
        }
        if self.custom.is_some() {
            list.reverse();
        }
        list
    }

    /// Verbs that discovery lists.
    pub(crate) fn verbs(&self) -> Vec<&'static str> {
        if self.create_only {
            return vec!["create"];
        }
        if self.custom.is_some() {
            return vec!["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
        }
        let mut verbs =
            vec!["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        if self.is("", "namespaces") {
            verbs.retain(|v| *v != "deletecollection");
        }
        verbs
    }
}

/// How a version stands among others: `v2` before `v1`, those before betas, and these before alphas.
fn priority(version: &str) -> (u8, u32, u32) {
    let number = |text: &str| text.parse().unwrap_or(0);
    let rest = version.strip_prefix('v').unwrap_or_default();
    for (word, rank) in [("beta", 1), ("alpha", 0)] {
        if let Some((major, minor)) = rest.split_once(word) {
            return (rank, number(major), number(minor));
        }
    }
    (2, number(rest), 0)
}

/// A resource's key: group, version, plural.
pub(crate) type Key = (String, String, String);

/// All served resources. Cheap to clone; a change makes a new one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    pub(crate) resources: BTreeMap<Key, Arc<Resource>>,
}

impl Registry {
    /// Storages of custom resources.
    pub(crate) fn custom_storages(&self) -> Vec<String> {
        self.resources.values().filter(|r| r.custom.is_some()).map(|r| r.storage.clone()).collect()
    }

    /// The built-in resources.
    pub(crate) fn builtin() -> Self {
        let mut registry = Self::default();
        for resource in builtin::all() {
            registry.add(resource);
        }
        registry
    }

    pub(crate) fn add(&mut self, resource: Resource) {
        let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
        self.resources.insert(key, Arc::new(resource));
    }

    pub(crate) fn get(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.resources.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }

    /// The resource of a kind.
    pub(crate) fn by_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        self.resources.values().find(|r| r.kind == kind && r.api_version() == api_version).cloned()
    }

    /// Some version of the resource that stores under that key.
    pub(crate) fn by_storage(&self, storage: &str) -> Option<Arc<Resource>> {
        self.resources.values().find(|r| r.storage == storage && r.qualified() == storage).cloned()
    }

    /// Groups with their versions, the core group left out, in the order of discovery.
    pub(crate) fn groups(&self) -> BTreeMap<String, Vec<String>> {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (group, version, _) in self.resources.keys() {
            if group.is_empty() {
                continue;
            }
            let versions = groups.entry(group.clone()).or_default();
            if !versions.contains(version) {
                versions.push(version.clone());
            }
        }
        groups.values_mut().for_each(|versions| versions.sort_by_key(|version| Reverse(priority(version))));
        groups
    }

    /// Resources of one group and version.
    pub(crate) fn of_version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.resources.values().filter(move |r| r.group == group && r.version == version)
    }
}
